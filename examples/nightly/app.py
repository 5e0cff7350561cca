"""Every night, and somebody is told: a dataset group exported on a schedule, e-mail, chat, alarms and a dashboard.

    cdk deploy --app "python3 app.py" -c dataset_group=NAME -c email=YOU@EXAMPLE.COM

`make nightly-local` deploys it on a local AWS. README.md beside this file says what to do with it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs

from cdk_personalize_export import ScheduledDatasetGroupExport

if TYPE_CHECKING:
    from constructs import Construct

EVERY_NIGHT = scheduler.ScheduleExpression.cron(hour="3", minute="0", time_zone=cdk.TimeZone.EUROPE_BERLIN)
SILENT_AFTER = cdk.Duration.hours(26)  # a night, and two hours for the export


class Nightly(cdk.Stack):
    """A dataset group, exported every night, and who hears of it.

    Args:
        scope: The app or stage.
        construct_id: The stack's id.
        dataset_group: The name of the dataset group to export.
        email: Who gets a mail when an export fails or nothing has succeeded for too long. Default: nobody.
        schedule: When to export. Default: at 3 in the morning, in Berlin.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        dataset_group: str,
        email: str | None = None,
        schedule: scheduler.ScheduleExpression = EVERY_NIGHT,
    ) -> None:
        super().__init__(scope, construct_id)
        undelivered = sqs.Queue(self, "Undelivered", enforce_ssl=True, retention_period=cdk.Duration.days(14))
        self.export = ScheduledDatasetGroupExport(
            self,
            "Export",
            dataset_group=dataset_group,
            dataset_types=["INTERACTIONS", "ITEMS", "USERS"],
            schedule=schedule,
            dead_letter_queue=undelivered,
        )
        self.mail = sns.Topic(self, "Mail", enforce_ssl=True)
        if email:
            self.mail.add_subscription(subscriptions.EmailSubscription(email))
        # Chat is a topic of its own: Amazon Q Developer drops what is not in its own form, and people read no JSON.
        self.chat = sns.Topic(self, "Chat", enforce_ssl=True)

        failed = self.export.on_failed("Failed", target=targets.SnsTopic(self.mail))
        failed.add_target(targets.SnsTopic(self.chat, message=chat_message()))
        silent = self.export.alarm_when_silent("Silent", for_=SILENT_AFTER)
        for topic in (self.mail, self.chat):  # the form of CloudWatch's alarms is one that Amazon Q Developer knows
            silent.add_alarm_action(actions.SnsAction(topic))

        self.dashboard = cloudwatch.Dashboard(self, "Dashboard", widgets=[self.export.widgets()])
        for name, topic in (("MailTopic", self.mail), ("ChatTopic", self.chat)):
            cdk.CfnOutput(self, name, value=topic.topic_arn)
        cdk.CfnOutput(self, "Exports", value=self.export.destination.path)


def chat_message() -> events.RuleTargetInput:
    """Return what Amazon Q Developer in chat applications shows of a failed export.

    Its form is https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html. A value from the event is
    always a whole value here, never a part of a text: EventBridge does not escape what it puts into a text, so a quote
    in a reason would end the text, and the message would be dropped without a word. To a whole value EventBridge adds
    the quotes itself, so that the result is JSON (inferred: whatever is in it; so it is on the local AWS), see
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html. Only fields that every such
    event has are used: EventBridge leaves out what is not there, and that would not be JSON any more.
    """
    return events.RuleTargetInput.from_object(
        {
            "version": "1.0",
            "source": "custom",
            "content": {
                "textType": "client-markdown",
                "title": "A Personalize dataset export did not succeed",
                "description": events.EventField.from_path("$.detail.reason"),
                "keywords": [
                    events.EventField.from_path("$.detail.outcome"),
                    events.EventField.from_path("$.detail.exportId"),
                    events.EventField.from_path("$.detail.scheduledTime"),
                ],
            },
            "metadata": {
                "eventType": events.EventField.from_path("$.detail.outcome"),
                "relatedResources": events.EventField.from_path("$.resources"),
            },
        }
    )


def main() -> None:
    """Synthesise the stack for the dataset group that the context names."""
    app = cdk.App()
    dataset_group = app.node.try_get_context("dataset_group")
    if not dataset_group:
        sys.exit("No dataset group was given: pass -c dataset_group=NAME")
    Nightly(app, "Nightly", dataset_group=dataset_group, email=app.node.try_get_context("email"))
    app.synth()


if __name__ == "__main__":
    main()
