"""A dataset exported every night, as README shows it, with queues where people would be told.

Context: dataset, and timeout (of the function): a pause between two attempts is slept, and whoever the function hands
over to sees that the clock of Personalize was moved.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs

from cdk_personalize_export import ScheduledDatasetExport


def main() -> None:
    """Synthesise the stack."""
    app = cdk.App()
    stack = cdk.Stack(app, "Backup")
    dead, told, alarmed = (sqs.Queue(stack, name) for name in ("Dead", "Told", "Alarmed"))
    export = ScheduledDatasetExport(
        stack,
        "Nightly",
        dataset=str(app.node.try_get_context("dataset")),
        schedule=scheduler.ScheduleExpression.cron(hour="3", minute="0", time_zone=cdk.TimeZone.EUROPE_BERLIN),
        dead_letter_queue=dead,
    )
    export.on_event("Everything", target=targets.SqsQueue(told))
    topic = sns.Topic(stack, "Topic")
    topic.add_subscription(subscriptions.SqsSubscription(alarmed, raw_message_delivery=True))
    silent = export.alarm_when_silent("Silent", for_=cdk.Duration.hours(26))
    for alarm in (export.alarm_when_failed("Failed"), silent):
        alarm.add_alarm_action(actions.SnsAction(topic))
        alarm.add_ok_action(actions.SnsAction(topic))
    timeout = app.node.try_get_context("timeout")
    function = export.provider.function.node.default_child
    if timeout and isinstance(function, cdk.CfnResource):
        function.add_property_override("Timeout", int(timeout))
    for name, queue in (("Dead", dead), ("Told", told), ("Alarmed", alarmed)):
        cdk.CfnOutput(stack, f"{name}Url", value=queue.queue_url)
    app.synth()


main()
