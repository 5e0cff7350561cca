"""A local AWS with Amazon Personalize in it, for development and tests: no account, no Docker, one command.

ministack emulates CloudFormation, Lambda, S3, IAM and the rest in one process; this adds Personalize, whose jobs take
time, assume their role and obey IAM and bucket policies. `LocalAws` starts one for a `with` block, `python -m
personalize_local` for a terminal.
"""

import sys

try:
    from personalize_local.local_aws import LocalAws, LocalAwsError
    from personalize_local.service import Fault, Settings
except ModuleNotFoundError as missing:
    if sys.argv[:1] != ["-m"]:  # which it is while Python looks for the package that `python -m` is to run
        raise
    sys.exit(
        f"personalize_local: {missing.name} is not installed for {sys.executable}. `make serve` installs it first."
    )

__all__ = ["Fault", "LocalAws", "LocalAwsError", "Settings"]
