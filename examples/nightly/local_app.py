"""MovieLens in Amazon Personalize, exported every minute by the stack of app.py: what `make nightly-local` deploys.

A schedule with a rate fires when it is made, and from then on. Queues take the place of the people: one for the mails,
one for the chat, one for every event.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs

from examples.movielens.app import GROUP, MovieLensData
from examples.nightly.app import Nightly

EVERY_MINUTE = scheduler.ScheduleExpression.rate(cdk.Duration.minutes(1))
FUNCTION_SECONDS = 10


def main() -> None:
    """Synthesise both stacks."""
    app = cdk.App()
    data = MovieLensData(app, "MovieLensData", data_bucket=app.node.try_get_context("data_bucket"))
    nightly = Nightly(app, "Nightly", dataset_group=GROUP, schedule=EVERY_MINUTE)
    nightly.add_dependency(data)
    for name, topic in (("Mailbox", nightly.mail), ("ChatRoom", nightly.chat)):
        reads(nightly, name, topic)
    told = sqs.Queue(nightly, "Told")
    nightly.export.on_event("Everything", target=targets.SqsQueue(told))
    cdk.CfnOutput(nightly, "ToldUrl", value=told.queue_url)

    # An attempt that failed is followed after five minutes by the clock of Personalize, which is moved here; but the
    # function sleeps by the real one. When it may run for 10 s only, the invocation it hands over to sees the new time.
    function = nightly.export.provider.function.node.default_child
    assert isinstance(function, cdk.CfnResource)  # noqa: S101 - an L2 function has one
    function.add_property_override("Timeout", FUNCTION_SECONDS)
    app.synth()


def reads(stack: cdk.Stack, name: str, topic: sns.Topic) -> None:
    """Put what a topic sends into a queue."""
    queue = sqs.Queue(stack, name)
    topic.add_subscription(subscriptions.SqsSubscription(queue, raw_message_delivery=True))
    cdk.CfnOutput(stack, f"{name}Url", value=queue.queue_url)


if __name__ == "__main__":
    main()
