"""The privacy example makes a place for lists of users that Personalize, and nobody else, reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from examples.privacy.app import Privacy
from examples.restore.app import COPIES_EXPIRE_DAYS

if TYPE_CHECKING:
    from aws_cdk import App

    from tests.synth.conftest import Synthesise


def test_lists_are_private_kept_longer_than_copies_and_read_by_personalize_with_its_role(
    app: App, synth: Synthesise
) -> None:
    result = synth(Privacy(app, "Privacy"))
    bucket = result.the("AWS::S3::Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}, "no KMS key: AWS allows none"
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] > COPIES_EXPIRE_DAYS
    role = result.the("AWS::IAM::Role")
    tls, *of_bucket = result.the("AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    of_role = role["Policies"][0]["PolicyDocument"]["Statement"]
    assert tls["Effect"] == "Deny"
    for statements in (of_bucket, of_role):
        assert [(s["Action"], s["Resource"]) for s in statements] == [
            ("s3:ListBucket", "${Lists.Arn}"),
            ("s3:GetObject", "${Lists.Arn}/*"),
        ]
    assert {s["Principal"]["Service"] for s in of_bucket} == {"personalize.amazonaws.com"}
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "${AWS::AccountId}"}
