"""A schedule that fires a function, whose metric sets off an alarm, which tells a queue: all made by the CDK."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs

CODE = """
import json, time
def handler(event, context):
    directive = {"Namespace": "Nightly", "Dimensions": [["Schedule"]], "Metrics": [{"Name": "Fired", "Unit": "Count"}]}
    aws = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    print(json.dumps({"_aws": aws, "Schedule": event["schedule"], "Fired": 1, "event": event}))
"""
CONTEXT = ("schedule-arn", "scheduled-time", "execution-id", "attempt-number")


def main() -> None:
    """Synthesise the stack."""
    app = cdk.App()
    stack = cdk.Stack(app, "Events")
    function = lambda_.Function(
        stack,
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_12,
        handler="index.handler",
        code=lambda_.Code.from_inline(CODE),
    )
    dead = sqs.Queue(stack, "Dead")
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com"))
    if app.node.try_get_context("may_invoke") != "false":
        function.grant_invoke(role)
    dead.grant_send_messages(role)
    group = scheduler.CfnScheduleGroup(stack, "Group", name="nightly")
    attributes = {name: f"<aws.scheduler.{name}>" for name in CONTEXT}
    schedule = scheduler.CfnSchedule(
        stack,
        "Schedule",
        group_name=group.ref,
        schedule_expression="cron(0 2 * * ? *)",
        schedule_expression_timezone="Europe/Berlin",
        flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
        target=scheduler.CfnSchedule.TargetProperty(
            arn=function.function_arn,
            role_arn=role.role_arn,
            input=stack.to_json_string({"schedule": "backup", **attributes}),
            retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(maximum_retry_attempts=0),
            dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(arn=dead.queue_arn),
        ),
    )
    schedule.node.add_dependency(role)
    topic, told = sns.Topic(stack, "Topic"), sqs.Queue(stack, "Told")
    topic.add_subscription(subscriptions.SqsSubscription(told, raw_message_delivery=True))
    metric = cloudwatch.Metric(
        namespace="Nightly",
        metric_name="Fired",
        dimensions_map={"Schedule": "backup"},
        statistic="Sum",
        period=cdk.Duration.minutes(1),
    )
    fired = metric.create_alarm(
        stack,
        "Fired",
        threshold=1,
        evaluation_periods=1,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
    fired.add_alarm_action(actions.SnsAction(topic))
    for name, value in (("Dead", dead.queue_url), ("Told", told.queue_url), ("Schedule", schedule.attr_arn)):
        cdk.CfnOutput(stack, f"{name}Output", value=value)
    cdk.CfnOutput(stack, "LogGroup", value=f"/aws/lambda/{function.function_name}")
    app.synth()


main()
