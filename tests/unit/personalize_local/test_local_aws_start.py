"""Starting and stopping: one process group, one folder, one line when it does not work."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from personalize_local import LocalAws, LocalAwsError, Settings, __main__, node
from personalize_local.extension import patches

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "personalize_local", *arguments]
    env = {**os.environ, **(environment or {})}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)


def start(*arguments: str, stderr: int | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "personalize_local", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids: Sequence[int]) -> bool:
    deadline = time.monotonic() + 20  # a busy machine takes its time
    while any(map(lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(lives, pids))


def test_exec_runs_a_command_against_it_and_passes_its_output_on() -> None:
    script = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    result = run("exec", "--", sys.executable, "-c", script, environment={"AWS_PROFILE": "of-the-user"})
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "000000000000", "")


def test_the_status_of_the_command_is_the_status_and_the_log_is_named() -> None:
    result = run("exec", "--no-iam", "--", sys.executable, "-c", "raise SystemExit(3)")
    assert result.returncode == 3
    named = re.fullmatch(r"personalize_local: exit status 3; the log of the local AWS is (\S+)\n", result.stderr)
    assert named
    log = Path(named[1])
    assert "Ready" in log.read_text(encoding="utf-8")
    assert list(log.parent.iterdir()) == [log]
    log.unlink()
    log.parent.rmdir()


def test_a_command_that_does_not_exist_is_said_in_one_line() -> None:
    result = run("exec", "--", "no-such-command")
    assert result.returncode == 127
    assert result.stderr == "personalize_local: there is no command 'no-such-command' on the PATH\n"


def test_exec_without_a_command_asks_for_one() -> None:
    result = run("exec")
    assert result.returncode == 2
    assert "which command? python -m personalize_local exec -- CMD ARGS" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (None, False, 4566)),
        (["serve"], ("serve", False, 4566)),
        (["--port", "0", "serve", "--no-iam"], ("serve", True, 0)),
        (["serve", "--port", "0"], ("serve", False, 0)),
        (["--no-iam", "exec", "--", "true"], ("exec", True, 4566)),
        (["exec", "--no-iam", "--", "true"], ("exec", True, 4566)),
    ],
)
def test_options_may_stand_before_and_after_the_action(arguments: list[str], expected: tuple[Any, ...]) -> None:
    options = __main__._parse(arguments)
    assert (options.action, options.no_iam, options.port) == expected


def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("--port", str(port))
    assert result.returncode == 1
    assert result.stderr == (
        f"personalize_local: port {port} can not be used (Address already in use): "
        "stop what listens there, or choose another with --port (0 is any free one)\n"
    )


def test_a_setting_that_makes_no_sense_is_said_in_one_line() -> None:
    result = run("exec", "--", "true", environment={"PERSONALIZE_LOCAL_JOB_SECONDS": "soon"})
    assert result.returncode == 1
    assert result.stderr.startswith("personalize_local: PERSONALIZE_LOCAL_JOB_SECONDS: could not convert")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_command_the_server_and_their_children(number: signal.Signals, status: int) -> None:
    script = "sleep 300 & echo $! $$; echo $(cat /proc/$PPID/task/$PPID/children); sleep 301"
    process = start("exec", "--", "sh", "-c", script)
    assert process.stdout is not None
    pids = [int(pid) for _ in range(2) for pid in process.stdout.readline().split()]
    assert len(pids) >= 4
    process.send_signal(number)
    assert process.wait(20) == status
    assert gone(pids)
    process.stdout.close()


def test_what_the_command_left_running_ends_with_it() -> None:
    result = run("exec", "--", "sh", "-c", "sleep 300 > /dev/null 2>&1 & echo $!")
    assert result.returncode == 0
    assert gone([int(result.stdout)])


def test_the_server_ends_when_whoever_started_it_is_killed() -> None:
    process = start("exec", "--", "sh", "-c", "echo $(cat /proc/$PPID/task/$PPID/children); sleep 2")
    assert process.stdout is not None
    server = int(process.stdout.readline().split()[0])
    process.kill()
    process.wait()
    assert gone([server])
    process.stdout.close()


def test_staying_prints_what_to_export_and_stops_on_ctrl_c() -> None:
    process = start("--port", "0")
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith(("export CDK_HOME=", "!")):
        lines.append(process.stdout.readline() or "!ended")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == ""
    assert process.returncode == 130
    where = r"(http://127\.0\.0\.1:\d+), account 000000000000, us-east-1, IAM enforced"
    begin = re.match(f"# Local AWS with Amazon Personalize at {where}", lines[0])
    assert begin
    assert "# Lambda code runs as you, without a sandbox: deploy only what you trust.\n" in lines
    assert "export AWS_ACCESS_KEY_ID=test\n" in lines
    assert any(line.endswith("Ctrl-C stops it; nothing is kept then. In another terminal:\n") for line in lines)
    assert "# The CDK is bootstrapped.\n" in lines
    assert any(re.fullmatch(r"export AWS_SECRET_ACCESS_KEY=[0-9a-f]{40}\n", line) for line in lines)
    assert f"export AWS_ENDPOINT_URL={begin[1]}\n" in lines


def test_a_terminal_that_is_closed_ends_everything() -> None:
    script = "sleep 300 & echo $! $$; echo $(cat /proc/$PPID/task/$PPID/children); sleep 301"
    in_a_terminal = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    )
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", in_a_terminal, sys.executable, "-m", "personalize_local", "exec", "--", "sh", "-c"]
    process = subprocess.Popen([*command, script], cwd=ROOT, stdin=theirs, stdout=theirs, start_new_session=True)
    os.close(theirs)
    told = b""
    while told.count(b"\n") < 2:
        told += os.read(ours, 1000)
    pids = [int(pid) for pid in told.split()]
    assert len(pids) >= 4
    os.close(ours)
    assert process.wait(20) == 129
    assert gone(pids)


def test_what_is_printed_makes_the_sdks_of_another_terminal_use_nothing_of_the_users(tmp_path: Path) -> None:
    process = start("--port", "0")
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith(("export CDK_HOME=", "!")):
        lines.append(process.stdout.readline() or "!ended")
    script = tmp_path / "exports.sh"
    script.write_text("".join(lines), encoding="utf-8")
    ask = "import boto3; print(boto3.client('s3').list_buckets()['Buckets'][0]['Name'])"
    environment = {
        **os.environ,
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_USE_FIPS_ENDPOINT": "true",
    }
    command = ["sh", "-ec", f'. {script}; {sys.executable} -c "{ask}"']
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert (result.stdout, result.stderr) == ("cdk-hnb659fds-assets-000000000000-us-east-1\n", "")


def test_the_server_ends_with_its_parent_though_a_child_of_that_lives() -> None:
    script = """
import os, subprocess, sys, time
from personalize_local import LocalAws
aws = LocalAws().__enter__()
child = os.fork()
if child == 0:
    time.sleep(60)
    os._exit(0)
print(aws._server.pid, child, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    server, child = map(int, process.stdout.readline().split())
    try:
        process.kill()
        process.wait()
        assert gone([server])
        assert lives(child)  # which holds the pipe of the server open
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def test_a_server_that_dies_says_so_in_one_line_and_keeps_its_log() -> None:
    process = start("--port", "0", stderr=subprocess.PIPE)
    assert process.stdout is not None
    while "export CDK_HOME" not in process.stdout.readline():
        assert process.poll() is None
    (server,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
    os.kill(int(server), signal.SIGKILL)
    _, told = process.communicate(timeout=20)
    named = re.fullmatch(r"personalize_local: the local AWS died \(killed by SIGKILL\); its log is (\S+)\n", told)
    assert named, told
    assert process.returncode == 1
    assert "Ready" in Path(named[1]).read_text(encoding="utf-8")
    shutil.rmtree(Path(named[1]).parent)


def test_a_server_that_dies_under_a_command_says_so() -> None:
    kill = "import os, signal; [os.kill(int(p), 9) for p in open(f'/proc/{os.getppid()}/task/{os.getppid()}/children')"
    script = f"{kill}.read().split() if int(p) != os.getpid()]; import time; time.sleep(1)"
    result = run("exec", "--", sys.executable, "-c", script)
    named = re.fullmatch(
        r"personalize_local: the local AWS died \(killed by SIGKILL\); its log is (\S+)\n", result.stderr
    )
    assert named, result.stderr
    assert Path(named[1]).is_file()
    shutil.rmtree(Path(named[1]).parent)


def test_a_server_that_does_not_start_keeps_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho out of memory >&2\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    aws = LocalAws()
    with pytest.raises(LocalAwsError) as caught:
        aws.__enter__()
    assert str(caught.value) == f"the local AWS did not start: out of memory; its log is {aws.log_path}"
    assert aws.log_path.is_file()
    shutil.rmtree(aws.log_path.parent)


def test_nothing_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with LocalAws(settings=Settings(job_seconds=0.1)) as aws:
        folder = aws.log_path.parent
        assert folder.parent == tmp_path
        assert aws.client("s3").list_buckets()["Buckets"] == []
    assert list(tmp_path.iterdir()) == []


def test_a_failing_block_keeps_the_log_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(KeyError), LocalAws() as aws:
        raise KeyError
    assert capsys.readouterr().err == f"personalize_local: the log of the local AWS is {aws.log_path}\n"
    assert aws.log_path.is_file()


def test_nothing_of_the_users_aws_settings_reaches_a_command(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real")
    environment = aws.environment()
    assert "AWS_PROFILE" not in environment
    assert "AWS_SESSION_TOKEN" not in environment
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"
    assert not Path(environment["AWS_CONFIG_FILE"]).exists()
    assert environment["AWS_ENDPOINT_URL_S3"] == environment["AWS_ENDPOINT_URL"] == aws.endpoint


def test_jsii_gets_a_cache_where_home_can_not_be_written(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = "JSII_RUNTIME_PACKAGE_CACHE_ROOT"
    monkeypatch.delenv(cache, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "to come"))
    assert cache not in aws.environment()
    monkeypatch.setenv("HOME", "/dev/null")
    assert Path(aws.environment()[cache]).parent == aws.log_path.parent
    monkeypatch.setenv(cache, "of the user's")
    assert aws.environment()[cache] == "of the user's"


def test_a_function_sees_nothing_of_the_checkout(world: Any) -> None:
    names = world.invoke("import os\ndef handler(event, context):\n    return sorted(os.environ)\n")
    assert "AWS_ENDPOINT_URL" in names
    assert "PYTHONPATH" not in names


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
def test_objects_are_kept_on_the_disk(world: Any, aws: LocalAws) -> None:
    assert aws._server is not None
    world.s3.create_bucket(Bucket=world.name)
    bodies = {f"{number}.csv": os.urandom(2_000_000) for number in range(40)}
    before = resident_bytes(aws._server.pid)
    for key, body in bodies.items():
        world.s3.put_object(Bucket=world.name, Key=key, Body=body)
    assert resident_bytes(aws._server.pid) < before + 60_000_000  # of 80
    for key, body in bodies.items():
        assert world.s3.get_object(Bucket=world.name, Key=key)["Body"].read() == body


def resident_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


def test_another_ministack_is_refused_with_what_to_run() -> None:
    with pytest.raises(patches.IncompatibleMinistackError) as caught:
        patches.check(version="9.9.9")
    found = patches.VERSION
    assert str(caught.value) == f"personalize_local needs ministack==9.9.9, found {found}: pip install ministack==9.9.9"


def test_a_name_that_is_gone_is_refused_with_what_to_run() -> None:
    with pytest.raises(patches.IncompatibleMinistackError) as caught:
        patches.check({"ministack.core.arn": ["parse_arn", "gone"], "ministack.nowhere": ["x"]})
    assert str(caught.value) == (
        "personalize_local needs ministack==1.5.33, but ministack.core.arn.gone, ministack.nowhere.(the module) is not "
        "in it; somebody changed it: pip install --force-reinstall ministack==1.5.33"
    )


def test_everything_that_is_patched_is_there() -> None:
    patches.check()


def fake_node(folder: Path, version: str) -> Path:
    folder.mkdir()
    program = folder / "node"
    program.write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
    program.chmod(0o755)
    return program


def test_the_node_that_was_named_comes_first(tmp_path: Path) -> None:
    named = fake_node(tmp_path / "named", "v24.1.0")
    assert node.find({"JSII_NODE": str(named)}) == named


def test_a_node_past_its_end_of_life_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    old, new = fake_node(tmp_path / "old", "v20.19.0"), fake_node(tmp_path / "new", "v22.0.0")
    assert node.find({"JSII_NODE": str(old), "PATH": str(new.parent)}) == new
    assert node.find({"JSII_NODE": str(old), "PATH": str(tmp_path)}) is None


def test_bootstrap_without_the_cdk_says_what_to_install(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personalize_local.bootstrap.find_template", lambda: None)
    with pytest.raises(LocalAwsError) as caught:
        aws.bootstrap()
    assert str(caught.value) == (
        "the bootstrap template is part of the CDK CLI, which was not found: npm install aws-cdk"
    )


def test_bootstrap_makes_what_the_cdk_cli_looks_for(aws: LocalAws) -> None:
    aws.bootstrap()
    aws.bootstrap()  # again does nothing
    version = aws.client("ssm").get_parameter(Name="/cdk-bootstrap/hnb659fds/version")["Parameter"]["Value"]
    assert int(version) >= 21
    roles = {role["RoleName"] for role in aws.client("iam").list_roles()["Roles"]}
    kinds = ("cfn-exec", "deploy", "file-publishing", "image-publishing", "lookup")
    assert {f"cdk-hnb659fds-{kind}-role-000000000000-us-east-1" for kind in kinds} <= roles
