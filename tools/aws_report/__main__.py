"""The command: says what it will make and what that costs, asks, makes it, finds out, removes it, and writes a report.

    python -m tools.aws_report arn:aws:personalize:<region>:<account>:dataset/<dataset group>/<INTERACTIONS|ITEMS|USERS>

Whatever happens on the way, Ctrl-C too, what was made is removed, and what could not be is said. The exit status is 0
when the export succeeded, every question was answered and everything was removed, 1 when not, 2 when nothing could
begin, and 128 and its number after a signal.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    from tools.aws_report.account import Account
    from tools.aws_report.plan import CAN_BE_SKIPPED, QUOTA_JOBS, Dataset, Plan, UnusableError
    from tools.aws_report.report import markdown, write
    from tools.aws_report.run import INCOMPLETE, Run, say
    from tools.aws_report.stacks import ROOT, cdk_command
except ModuleNotFoundError as missing:
    sys.exit(
        f"aws-report: {missing.name} is not installed for {sys.executable}. "
        "`make aws-report DATASET=<ARN>` installs it first."
    )

if TYPE_CHECKING:
    from collections.abc import Sequence

POLL_SECONDS = 15.0
UNUSABLE, INTERRUPTED = 2, 130
NOTHING_MADE = "Nothing was made."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    if not 0 < options.poll_seconds < float("inf"):
        print(f"aws-report: --poll-seconds is {options.poll_seconds}. Allowed: more than 0", file=sys.stderr)
        return UNUSABLE
    try:
        dataset = Dataset.parse(options.dataset)
        plan = Plan.make(dataset, skip=frozenset(options.skip), quota=options.quota, probe_value=options.probe_value)
        cdk_command()
        account = Account.open(dataset)
        print(plan.text())
        if not (options.yes or _agreed()):
            print(NOTHING_MADE)
            return INCOMPLETE
    except UnusableError as error:
        print(f"aws-report: {error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        print(f"\n{NOTHING_MADE}", file=sys.stderr)
        return INTERRUPTED
    run = Run(plan, account, options.poll_seconds)
    status = run.run()
    _tell(run, options.output, complete=status == 0)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.aws_report",
        description="Find out, on your own account, what AWS does not document about dataset export jobs.",
    )
    parser.add_argument(
        "dataset", metavar="DATASET_ARN", nargs="?", default="", help="the dataset to export, in the account in use"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before anything is made")
    parser.add_argument(
        "--skip", action="append", default=[], choices=CAN_BE_SKIPPED, help="leave a question out (repeatable)"
    )
    parser.add_argument(
        "--quota", action="store_true", help=f"also start jobs until AWS refuses one, {QUOTA_JOBS} at most"
    )
    parser.add_argument(
        "--probe-value",
        action="store_true",
        help="also put a made-up record into the dataset (ITEMS or USERS), to see how quotes are written; it stays",
    )
    parser.add_argument("--output", type=Path, default=Path(), metavar="FOLDER", help="where to write (default: here)")
    parser.add_argument(
        "--poll-seconds", type=float, default=POLL_SECONDS, help=f"pause between two looks (default {POLL_SECONDS:.0f})"
    )
    return parser


def _agreed() -> bool:
    """Ask; whoever gives no answer says no."""
    try:
        return input("\nGo on? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        print()
        return False


def _tell(run: Run, folder: Path, *, complete: bool) -> None:
    """Write the report, if there is something in it, and say what stays and what is left."""
    if run.answers:
        found = {"about": {**_about(run.plan), "complete": complete}, "answers": run.redacted_answers()}
        try:
            paths = write(found, folder)
        except OSError as error:
            say(f"The report could not be written: {error}. Here it is.")
            paths = []
        say(f"\n{markdown(found)}")
        if paths:
            say(f"Written to {paths[0]}, to be pasted, and {paths[1]}. They hold no names, ids or data.")
    for line in run.kept:
        say(f"Stays: {line}")
    for line in run.left:
        say(f"LEFT: {line}")
    if not run.left:
        say("Removed: everything else that was made")


def _about(plan: Plan) -> dict[str, Any]:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    return {
        "version": version[1] if version else None,
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "region": plan.dataset.region,
        "dataset_type": plan.dataset.type,
        "left_out": sorted(plan.skip),
    }


if __name__ == "__main__":
    sys.exit(main())
