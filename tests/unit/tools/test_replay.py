"""The replay tool: an event in, what the handler does out."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tools.replay import EVENTS, main

if TYPE_CHECKING:
    from pathlib import Path

FIXTURES = sorted(path.stem for path in EVENTS.glob("*.json") if path.stem != "tick")


def answers(text: str) -> list[dict[str, object]]:
    found = re.findall(r"^answer, (\d+) bytes:\n(\{.*?^\})", text, re.MULTILINE | re.DOTALL)
    bodies = [json.loads(body) for _, body in found]
    for (size, _), body in zip(found, bodies, strict=True):
        assert int(size) == len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
    return bodies


def calls(text: str) -> list[str]:
    return re.findall(r"^ +[\d.]+ s  call +(.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("name", FIXTURES)
def test_every_recorded_event_is_answered_with_success(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name]) == 0
    text = capsys.readouterr().out
    [answer] = answers(text)
    assert answer["Status"] == "SUCCESS"
    assert calls(text)[-1] == f"PUT of {re.search(r'answer, (.*) bytes', text)[1]} bytes to the ResponseURL -> 200"  # type: ignore[index]
    assert re.search(r"^answered after [\d.]+ s: \d+ calls?, 1 invocation ", text, re.MULTILINE)
    assert "0badc0ffee" not in text


def test_a_life_makes_one_job_for_each_shape_and_a_rollback_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", "update", "rollback", "delete"]) == 0
    text = capsys.readouterr().out
    created = [line for line in calls(text) if "CreateDatasetExportJob" in line]
    assert [line.split()[2] for line in created] == ["Shop-Interactions-i6ny2thb662y", "Shop-Interactions-mifxhimenhhv"]
    first, second, third, _ = answers(text)
    assert first["PhysicalResourceId"] == third["PhysicalResourceId"] != second["PhysicalResourceId"]


def test_a_long_job_is_handed_over_and_followed_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", "--job-seconds", "2000"]) == 0
    text = capsys.readouterr().out
    assert [answer["Status"] for answer in answers(text)] == ["SUCCESS"]
    assert sum(line.startswith("lambda Invoke") for line in calls(text)) == 2
    assert "3 invocations" in text


def test_a_tick_of_now_is_played_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tick", "tick", "--job-seconds", "1000"]) == 0
    text = capsys.readouterr().out
    made = [line for line in calls(text) if "CreateDatasetExportJob" in line]
    assert [re.fullmatch(r"Shop-Nightly-20\d{6}T\d{4}-[a-z2-7]{12}", line.split()[2]) is None for line in made] == [
        False
    ] * 2
    assert calls(text)[-1] == "events PutEvents SUCCEEDED -> accepted"
    assert len(re.findall(r"^told after [\d.]+ s: \d+ calls, 2 invocations ", text, re.MULTILINE)) == 2


def test_a_manifest_is_written_when_the_job_is_active_and_not_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = json.loads((EVENTS / "create.json").read_text(encoding="utf-8"))
    event["ResourceProperties"]["Manifest"] = "Shop-0badc0-Interactions"
    (tmp_path / "listed.json").write_text(json.dumps(event), encoding="utf-8")
    assert main([str(tmp_path / "listed.json")] * 2) == 0
    text = capsys.readouterr().out
    puts = [line.rpartition(" -> ")[2] for line in calls(text) if line.startswith("s3 PutObject")]
    assert puts == ["200"] * 3 + ["412"] * 3
    assert all("ManifestPath" in str(answer["Data"]) for answer in answers(text))


def test_a_tick_that_is_none_is_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.json").write_text('{"Tick": "now", "Export": []}')
    assert main([str(tmp_path / "broken.json")]) == 1
    assert "NOT TOLD after 0.0 s: 0 calls, 1 invocation " in capsys.readouterr().out


def test_a_failed_job_is_an_answer_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", "--fail", "The bucket is full."]) == 0
    [answer] = answers(capsys.readouterr().out)
    assert answer["Status"] == "FAILED"
    assert str(answer["Reason"]).startswith("The bucket is full. (job: arn:aws:personalize:")


def test_real_time_takes_the_time_a_job_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", "--real-time", "--job-seconds", "1"]) == 0
    text = capsys.readouterr().out
    assert answers(text)[0]["Status"] == "SUCCESS"
    played = re.search(r"played in ([\d.]+) s", text)
    assert played is not None
    assert 2.0 <= float(played[1]) < 10


def test_a_link_joins_the_job_of_the_export(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", "link"]) == 0
    text = capsys.readouterr().out
    assert sum("CreateDatasetExportJob" in line for line in calls(text)) == 1
    assert answers(text)[0]["PhysicalResourceId"] == answers(text)[1]["PhysicalResourceId"]


def test_cloudformation_is_asked_before_a_failed_job_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", "delete", "create", "--fail", "no"]) == 0
    lines = calls(capsys.readouterr().out)
    assert "cloudformation DescribeStackResource -> ValidationError: there is no stack here" in lines
    assert sum("CreateDatasetExportJob" in line for line in lines) == 2


def test_a_deadline_carried_along_moves_with_the_time_the_event_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hand-over", "--job-seconds", "5000"]) == 0
    text = capsys.readouterr().out
    [answer] = answers(text)
    assert "is still CREATE IN_PROGRESS after 56 min" in str(answer["Reason"])


@pytest.mark.parametrize("kind", ["ITEMS", "USERS", "ACTIONS", "ACTION_INTERACTIONS"])
def test_a_file_of_ones_own_is_played_with_the_dataset_it_names(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = json.loads((EVENTS / "create.json").read_text())
    event["ServiceToken"] = "arn:aws-cn:lambda:cn-north-1:210987654321:function:export"
    event["ResourceProperties"]["DatasetArn"] = f"arn:aws-cn:personalize:cn-north-1:210987654321:dataset/a/{kind}"
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event))
    assert main([str(path)]) == 0
    [answer] = answers(capsys.readouterr().out)
    if kind.startswith("ACTION"):
        assert str(answer["Reason"]).startswith(f"A dataset of type {kind} can not be exported.")
    else:
        assert answer["Status"] == "SUCCESS", answer


def test_what_is_wrong_with_a_property_is_the_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event = json.loads((EVENTS / "create.json").read_text())
    event["ResourceProperties"]["DatasetArn"] = "arn:aws:s3:::bucket"
    (tmp_path / "event.json").write_text(json.dumps(event))
    assert main([str(tmp_path / "event.json")]) == 0
    assert "DatasetArn is 'arn:aws:s3:::bucket'." in str(answers(capsys.readouterr().out)[0]["Reason"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "can not be read: No such file or directory. Fix: give a file, or one of create, create-full, "),
        ("{", "is not JSON: Expecting property name"),
        (b"\xff\xfe", "is not JSON: "),
        (
            "[]",
            "is neither a request of CloudFormation (RequestType) nor a tick of a schedule (Tick). Fix: save the event",
        ),
        (
            "{}",
            "is neither a request of CloudFormation (RequestType) nor a tick of a schedule (Tick). Fix: save the event",
        ),
    ],
)
def test_what_is_no_event_is_told_in_one_line(
    content: str | bytes | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "event.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main([str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"replay: {path} ")
    assert says in err
    assert err.count("\n") == 1


def test_an_event_that_gets_no_answer_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.replay.AnswerServer.url", lambda _self, _sent_at: "ftp://127.0.0.1/")
    assert main(["create"]) == 1
    assert "NOT ANSWERED after 0.0 s: 0 calls, 1 invocation" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", ["-1", "inf", "nan", "soon"])
def test_a_job_takes_a_number_of_seconds(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["create", f"--job-seconds={seconds}"])
    assert "--job-seconds" in capsys.readouterr().err
