"""A local AWS with Amazon Personalize in it, for development and tests: no account, no Docker, one command.

ministack emulates CloudFormation, Lambda, S3, IAM and the rest in one process; this adds Personalize, whose jobs take
time, assume their role and obey IAM and bucket policies. `LocalAws` starts one for a `with` block, `python -m
personalize_local` for a terminal.
"""

from personalize_local.local_aws import LocalAws, LocalAwsError
from personalize_local.service import Fault, Settings

__all__ = ["Fault", "LocalAws", "LocalAwsError", "Settings"]
