"""The command line: `personalize-local serve` starts a local AWS and stays, `exec -- CMD` starts one for CMD.

Without the distribution it is `python -m personalize_local`.

Exit status: that of the command; 130 after Ctrl-C, 143 after SIGTERM, 129 when the terminal is closed; 127 when there
is no such command; 1 when it does not start, or dies.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from personalize_local import bootstrap, node
from personalize_local.local_aws import LocalAws, LocalAwsError

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_PORT = 4566
NO_IAM = "let every call through, whatever the policies say"
GRACE_SECONDS = 10
COMMAND_NOT_FOUND = 127
SIGNAL_OFFSET = 128


class Terminated(BaseException):
    """A signal to end was received.

    Args:
        number: Which one.
    """

    def __init__(self, number: signal.Signals) -> None:
        """Keep it."""
        super().__init__(number)
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background commands with it ignored
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup wants it to go on
        signal.signal(signal.SIGHUP, _terminate)
    try:
        return _exec(options) if options.action == "exec" else _serve(options)
    except LocalAwsError as error:
        print(f"personalize_local: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return SIGNAL_OFFSET + signal.SIGINT
    except Terminated as terminated:
        return SIGNAL_OFFSET + terminated.number


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments; without an action it is `serve`."""
    name = Path(sys.argv[0]).name
    program = name if name == "personalize-local" else "python -m personalize_local"
    parser = argparse.ArgumentParser(prog=program, description="A local AWS with Amazon Personalize.")
    parser.set_defaults(no_iam=False, port=DEFAULT_PORT)
    actions = parser.add_subparsers(dest="action", metavar="serve | exec", title="actions (default: serve)")
    serve = actions.add_parser("serve", help="start one, say how to use it, and stay")
    run = actions.add_parser("exec", help="start one on a free port for the lifetime of a command")
    for takes in (parser, serve, run):  # before and after the action alike, so no default but the first
        takes.add_argument("--no-iam", action="store_true", default=argparse.SUPPRESS, help=NO_IAM)
    for takes in (parser, serve):
        takes.add_argument("--port", type=int, default=argparse.SUPPRESS, help=f"where (default {DEFAULT_PORT})")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD ARGS", help="the command and its arguments")
    options = parser.parse_args(arguments)
    if options.action == "exec":
        options.command = options.command[1:] if options.command[:1] == ["--"] else options.command
        if not options.command:
            run.error(f"which command? {program} exec -- CMD ARGS")
    return options


def _terminate(number: int, _frame: object) -> NoReturn:
    """Unwind, so that what was started ends; another signal does not stop that."""
    for ignored in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    raise Terminated(signal.Signals(number))


def _serve(options: argparse.Namespace) -> int:
    """Start one with the CDK bootstrapped, say how to use it, and stay."""
    with LocalAws(iam=not options.no_iam, port=options.port) as aws:
        bootstrapped = _bootstrap(aws)
        decides = "every call allowed." if options.no_iam else "IAM enforced."
        print(f"# Local AWS with Amazon Personalize at {aws.endpoint}, account {aws.account}, {aws.region}, {decides}")
        print(f"# {bootstrapped}")
        print("# Lambda code runs as you, without a sandbox: deploy only what you trust.")
        print(f"# Its log is {aws.log_path}. Ctrl-C stops it; nothing is kept then. In another terminal:")
        print("unset AWS_PROFILE $(env | cut -d= -f1 | grep ^AWS_) CDK_DEFAULT_ACCOUNT CDK_DEFAULT_REGION")
        for name, value in {**aws.exports(), "CDK_HOME": aws.environment()["CDK_HOME"]}.items():
            print(f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()
        aws.wait()
    return 1  # it ends by itself only when something is wrong, which was said


def _bootstrap(aws: LocalAws) -> str:
    """Bootstrap the CDK where there is one, and say whether it is."""
    try:
        aws.bootstrap()
    except LocalAwsError as error:
        return f"The CDK is not bootstrapped: {error}"
    return "The CDK is bootstrapped."


def _exec(options: argparse.Namespace) -> int:
    """Run a command with a local AWS of its own."""
    with LocalAws(iam=not options.no_iam) as aws:
        if bootstrap.find_template() is not None:
            aws.bootstrap()
        environment = aws.environment()
        program = shutil.which(options.command[0], path=environment.get("PATH"))
        if program is None:
            print(f"personalize_local: there is no command {options.command[0]!r} on the PATH", file=sys.stderr)
            return COMMAND_NOT_FOUND
        status = _run([program, *options.command[1:]], environment)
        if status:
            aws.keep_log = True
            print(
                f"personalize_local: exit status {status}; the log of the local AWS is {aws.log_path}", file=sys.stderr
            )
            if "JSII_NODE" not in environment:
                print(f"personalize_local: {node.MISSING}", file=sys.stderr)
        return status


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run a command in a process group of its own and end all of it afterwards; Ctrl-C is passed on."""
    process = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603 - what the user asked for
    try:
        status = process.wait()
    except KeyboardInterrupt:
        _signal_group(process.pid, signal.SIGINT)
        raise
    except Terminated as terminated:
        _signal_group(process.pid, terminated.number)
        raise
    finally:
        _end_group(process)
    return status if status >= 0 else SIGNAL_OFFSET - status


def _signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group, which may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a command and whatever it left running, gently first."""
    if process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    _signal_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline and _group_lives(process.pid):
        time.sleep(0.02)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _group_lives(group: int) -> bool:
    """Tell whether a process group has a member."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
