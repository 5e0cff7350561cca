"""What every export is and can do, whatever starts it: a deployment or a schedule, one dataset or those of a group."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from constructs import Construct

from cdk_personalize_export import _checks, _options, _permissions, _telling
from cdk_personalize_export._datasets import dataset_arn
from cdk_personalize_export._environment import StackEnvironment
from cdk_personalize_export.destination import ExportDestination
from cdk_personalize_export.provider import ExportProvider

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_cdk import CfnResource, Duration
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_events as events
    from aws_cdk import aws_iam as iam
    from aws_cdk.aws_personalize import CfnDataset
    from aws_cdk.interfaces.aws_personalize import IDatasetRef
    from constructs import IConstruct

    from cdk_personalize_export.ingestion_mode import IngestionMode

    Metric = cloudwatch.Metric | cloudwatch.MathExpression


@dataclass(frozen=True)
class Options:
    """The options that every export of one dataset has, checked."""

    environment: StackEnvironment
    dataset_arn: str
    ingestion_mode: str
    destination: ExportDestination | None
    provider: ExportProvider | None
    event_bus: events.IEventBus | None
    job_name_prefix: str | None
    tags: Mapping[str, str]
    scheduled: bool

    @classmethod
    def checked(  # noqa: PLR0913 - options, all but one by keyword
        cls,
        scope: Construct,
        *,
        dataset: CfnDataset | IDatasetRef | str,
        ingestion_mode: IngestionMode | str,
        destination: ExportDestination | None,
        provider: ExportProvider | None,
        event_bus: events.IEventBus | None,
        job_name_prefix: str | None,
        tags: Mapping[str, str] | None,
        scheduled: bool,
        wait: bool = True,
    ) -> Options:
        """Check them.

        Raises:
            ValueError: One of them could only fail later.
        """
        _options.check(
            destination=destination,
            provider=provider,
            event_bus=event_bus,
            job_name_prefix=job_name_prefix,
            tags=tags,
        )
        environment = StackEnvironment.of(scope)
        arn = dataset_arn(dataset, environment)
        mode = _checks.ingestion_mode(ingestion_mode)
        if job_name_prefix is not None:
            _checks.check_job_name_prefix(job_name_prefix, scheduled=scheduled)
        if tags is not None:
            _checks.check_tags(tags)
        check_shared(environment, destination, provider, wait=wait)
        return cls(
            environment=environment,
            dataset_arn=arn,
            ingestion_mode=mode.value,
            destination=destination,
            provider=provider,
            event_bus=event_bus,
            job_name_prefix=job_name_prefix,
            tags=tags or {},
            scheduled=scheduled,
        )


class Exports(Construct):
    """One export or several, with one destination and one provider."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        destination: ExportDestination | None,
        provider: ExportProvider | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.destination: ExportDestination = destination or ExportDestination(self, "Destination")
        """Where the data is written."""
        self.provider: ExportProvider = provider or ExportProvider.for_stack(scope)
        """The function that does the work."""

    @property
    @abstractmethod
    def _all(self) -> Mapping[str, OneExport]:
        """The exports, by what people call them."""

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` list and read what is exported to this destination, and decrypt it.

        Args:
            grantee: The role, user or function that reads.

        Returns:
            The grant on the bucket.
        """
        return self.destination.grant_read(grantee)

    def on_event(
        self,
        construct_id: str,
        *,
        target: events.IRuleTarget | None = None,
        description: str | None = None,
        rule_name: str | None = None,
    ) -> events.Rule:
        """Make a rule for every event: each outcome, and the start where `on_started` is used as well.

        Args:
            construct_id: The id of the rule.
            target: What hears of it: `targets.SnsTopic(topic)` for example. Default: nothing; see `Rule.add_target`.
            description: What the rule is for. Default: none.
            rule_name: Its name. Default: made by CloudFormation.

        Returns:
            The rule, on the bus of the export.
        """
        return self._rule(construct_id, _telling.ANY, target, description, rule_name)

    def on_started(
        self,
        construct_id: str,
        *,
        target: events.IRuleTarget | None = None,
        description: str | None = None,
        rule_name: str | None = None,
    ) -> events.Rule:
        """Make a rule for the start of a job, which is told for nobody else; the options are those of `on_event`."""
        rule = self._rule(construct_id, _telling.STARTED, target, description, rule_name)
        for export in self._all.values():
            export._tell(TellStarted="true")  # noqa: SLF001 - one of ours
        return rule

    def on_succeeded(
        self,
        construct_id: str,
        *,
        target: events.IRuleTarget | None = None,
        description: str | None = None,
        rule_name: str | None = None,
    ) -> events.Rule:
        """Make a rule for each export that is done; the options are those of `on_event`."""
        return self._rule(construct_id, _telling.SUCCEEDED, target, description, rule_name)

    def on_failed(
        self,
        construct_id: str,
        *,
        target: events.IRuleTarget | None = None,
        description: str | None = None,
        rule_name: str | None = None,
    ) -> events.Rule:
        """Make a rule for each export that failed or was not done in time; the options are those of `on_event`."""
        return self._rule(construct_id, _telling.NOT_SUCCEEDED, target, description, rule_name)

    def _rule(
        self,
        construct_id: str,
        outcomes: Sequence[str],
        target: events.IRuleTarget | None,
        description: str | None,
        rule_name: str | None,
    ) -> events.Rule:
        _options.check(target=target, description=description, rule_name=rule_name)
        exports = list(self._all.values())
        for export in exports:
            export._tell_events(known=outcomes == _telling.STARTED)  # noqa: SLF001 - one of ours
        return _telling.rule(
            self,
            construct_id,
            stack_id=exports[0]._environment.stack_id,  # noqa: SLF001 - one of ours
            export_ids=[export._export_id for export in exports],  # noqa: SLF001 - the same
            outcomes=outcomes,
            event_bus=exports[0]._event_bus,  # noqa: SLF001 - the same
            target=target,
            description=description,
            rule_name=rule_name,
        )

    @abstractmethod
    def metric(self, metric_name: str, **options: Any) -> Metric:  # noqa: ANN401 - of `cloudwatch.MetricOptions`
        """Return a metric of this export; those of several are added up, durations and attempts the highest of all.

        The function writes metrics into its log from the first use on; nothing is written before.

        Args:
            metric_name: `Succeeded`, `Failed`, `TimedOut`, `Duration` or `Attempts`.
            **options: Those of `cloudwatch.MetricOptions`: `period`, `statistic`, `label` and so on.

        Returns:
            The metric. Default statistic: the sum of counts, and the maximum of the others.
        """

    def metric_succeeded(self, **options: Any) -> Metric:  # noqa: ANN401 - of `cloudwatch.MetricOptions`
        """Return how many exports succeeded; zeros are written for those that did not. Options: see `metric`."""
        return self.metric("Succeeded", **options)

    def metric_failed(self, **options: Any) -> Metric:  # noqa: ANN401 - of `cloudwatch.MetricOptions`
        """Return how many exports failed, after all their attempts. Options: see `metric`."""
        return self.metric("Failed", **options)

    def metric_timed_out(self, **options: Any) -> Metric:  # noqa: ANN401 - of `cloudwatch.MetricOptions`
        """Return how many exports were not done within their time. Options: see `metric`."""
        return self.metric("TimedOut", **options)

    def metric_duration(self, **options: Any) -> Metric:  # noqa: ANN401 - of `cloudwatch.MetricOptions`
        """Return how many seconds an export took. Options: see `metric`."""
        return self.metric("Duration", **options)

    def metric_attempts(self, **options: Any) -> Metric:  # noqa: ANN401 - of `cloudwatch.MetricOptions`
        """Return how many jobs an export took. Options: see `metric`."""
        return self.metric("Attempts", **options)

    def widgets(self) -> list[cloudwatch.IWidget]:
        """Return widgets for a dashboard of yours: last outcomes, durations, failures, and the alarms made so far."""
        exports = self._all
        names = (*_telling.COUNTS, "Duration")
        metrics = {label: {name: one.metric(name) for name in names} for label, one in exports.items()}
        alarms = [alarm for one in exports.values() for alarm in one._alarms]  # noqa: SLF001 - one of ours
        return _telling.widgets(str(self.node.id), metrics, alarms)


class OneExport(Exports):
    """The export of one dataset: what is permitted for it, what the function is told, and what it tells."""

    def __init__(
        self, scope: Construct, construct_id: str, options: Options, *, waits: bool, longest_interval: int | None
    ) -> None:
        super().__init__(scope, construct_id, options.destination, options.provider)
        here = self._environment = options.environment
        self._event_bus, self._waits, self._longest_interval = options.event_bus, waits, longest_interval
        self._export_id = _export_id(scope, construct_id, here)
        self._told: dict[str, str] = {}
        self._alarms: list[cloudwatch.Alarm] = []
        part = here.job_name_part
        needs = _permissions.Needs(
            dataset_arn=options.dataset_arn,
            job_arn=here.job_arn(f"{options.job_name_prefix or part}-*"),
            role_arn=self.destination.role_arn,
            tags=bool(options.tags),
            stack_id=None if options.scheduled else here.stack_id,
            lists=options.scheduled,
        )
        # Made after every permission, so that the job does not meet half of them; deleted before any of them.
        self._permit = self.provider._permissions_in(here).permit(needs, self.destination)  # noqa: SLF001
        default_prefix = _checks.default_job_name_prefix(part, construct_id, scheduled=options.scheduled)
        properties = {
            "ExportId": self._export_id,
            "JobNamePrefix": options.job_name_prefix or default_prefix,
            "DatasetArn": options.dataset_arn,
            "IngestionMode": options.ingestion_mode,
            "RoleArn": self.destination.role_arn,
            "Bucket": self.destination._bucket_name,  # noqa: SLF001
            "Prefix": self.destination.prefix or None,
            "KmsKeyArn": self.destination.kms_key_arn,
            "Tags": [{"Key": key, "Value": options.tags[key]} for key in sorted(options.tags)] or None,
        }
        self._properties: dict[str, Any] = {name: value for name, value in properties.items() if value is not None}
        """What the function is told, by a request and by a tick alike."""

    @property
    @abstractmethod
    def resource(self) -> CfnResource:
        """The resource of this export, for escape hatches."""

    @abstractmethod
    def _set(self, properties: Mapping[str, str]) -> None:
        """Tell the function more."""

    @property
    def _all(self) -> Mapping[str, OneExport]:
        return {self.node.id: self}

    def _tell(self, **properties: str) -> None:
        """Tell the function more, once."""
        new = {name: value for name, value in properties.items() if name not in self._told}
        if new:
            self._told |= new
            self._set(new)

    def _tell_events(self, *, known: bool = False) -> None:
        """Let the function send events; only what is `known` before the job has ended is told without waiting."""
        if not known:
            _checks.check_outcomes_are_known("on_event, on_succeeded or on_failed", wait=self._waits)
        if "EventBus" in self._told:
            return
        here, given = self._environment, self._event_bus
        bus_arn = here.default_event_bus_arn if given is None else str(given.event_bus_arn)
        self._wait_for(self.provider._permissions_in(here).permit_events(bus_arn))  # noqa: SLF001
        self._tell(EventBus=bus_arn, ConstructPath=str(self.node.path))

    def _wait_for(self, policy: IConstruct | None) -> None:
        if policy is not None and policy is not self._permit.policy:
            self.resource.node.add_dependency(policy)

    @property
    def manifests_path(self) -> str:
        """Where the manifests of this export are, one `<job name>.json` for each job, where it has some."""
        return f"{self.destination.path}{_permissions.MANIFESTS}{self._folder}/"

    @property
    def latest_path(self) -> str:
        """Where `symlink.txt` names the objects of the newest export, for a table, where this export has manifests."""
        return f"{self.destination.path}{_permissions.POINTERS}{self._folder}/latest/"

    @property
    def daily_path(self) -> str:
        """Where `dt=<YYYY-MM-DD>/symlink.txt` names the objects of the last export of each day in UTC, likewise."""
        return f"{self.destination.path}{_permissions.POINTERS}{self._folder}/daily/"

    @property
    def _folder(self) -> str:
        return _checks.folder_name(f"{self._environment.job_name_part}-{self._export_id}")

    def _record(self) -> None:
        """Let the function write manifests.

        Raises:
            ValueError: Nobody would write them.
        """
        if "Manifest" in self._told:
            return
        here, destination = self._environment, self.destination
        destination._check_manifest(here, wait=self._waits)  # noqa: SLF001 - one of ours
        self._wait_for(self.provider._permissions_in(here).permit_manifests(destination))  # noqa: SLF001
        destination._permit_manifests_in_key(self.provider.role)  # noqa: SLF001 - one of ours
        self._tell(Manifest=self._folder)

    def _begin(self) -> None:
        """Tell and permit what the options ask for, once the resource is there."""
        if self.destination.manifest:
            self._record()
        if self._event_bus is not None:
            self._tell_events()

    def metric(self, metric_name: str, **options: Any) -> cloudwatch.Metric:  # noqa: ANN401 - as above
        _checks.check_metric(metric_name, _telling.METRICS)
        _checks.check_outcomes_are_known("a metric", wait=self._waits)
        dimension = f"{self._environment.stack.stack_name}/{self._export_id}"
        self._tell(Metrics=dimension)
        return _telling.metric(dimension, metric_name, **options)

    def alarm_when_failed(self, construct_id: str) -> cloudwatch.Alarm:
        """Make an alarm that goes off when an export fails or is not done in time, and is over some minutes later.

        Args:
            construct_id: The id of the alarm.

        Returns:
            The alarm, without an action: see `Alarm.add_alarm_action`.
        """
        succeeded, name = self.metric("Succeeded"), str(self.node.path)
        self._alarms.append(_telling.alarm_when_failed(self, construct_id, succeeded, name))
        return self._alarms[-1]

    def alarm_when_silent(self, construct_id: str, *, for_: Duration) -> cloudwatch.Alarm:
        """Make an alarm that goes off when no export has succeeded for a time, also when nothing happens at all.

        A new alarm has seen no success yet, so it goes off within minutes of its first deployment, and ends with the
        first export that succeeds: start one after the deployment. It goes off up to two hours late, as CloudWatch
        looks at some data points more than the alarm has (inferred from
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html).

        Args:
            construct_id: The id of the alarm.
            for_: How long: whole hours, 168 at most, and longer than the interval of the schedule.

        Returns:
            The alarm, without an action: see `Alarm.add_alarm_action`.

        Raises:
            ValueError: when CloudWatch cannot look back so far, or the alarm would go off between two exports.
        """
        _options.check(for_=for_)
        hours = _checks.silence_hours(for_.to_seconds(), self._longest_interval)
        succeeded, name = self.metric("Succeeded"), str(self.node.path)
        self._alarms.append(_telling.alarm_when_silent(self, construct_id, succeeded, name, hours))
        return self._alarms[-1]


class GroupExports(Exports):
    """The exports of the datasets of a group, by type."""

    exports: Mapping[str, OneExport]

    @property
    def _all(self) -> Mapping[str, OneExport]:
        return self.exports

    def metric(self, metric_name: str, **options: Any) -> cloudwatch.MathExpression:  # noqa: ANN401 - as above
        of_each = {name: value for name, value in options.items() if name not in {"label", "color"}}
        of_all = {name: value for name, value in options.items() if name in {"label", "color", "period"}}
        metrics = [export.metric(metric_name, **of_each) for export in self.exports.values()]
        return _telling.metric_of_all(metric_name, metrics, **of_all)

    def alarm_when_failed(self, construct_id: str) -> GroupAlarms:
        """Make an alarm for each export, see `DatasetExport.alarm_when_failed`.

        Args:
            construct_id: The id of each alarm, within its export.

        Returns:
            The alarms.
        """
        return GroupAlarms({kind: export.alarm_when_failed(construct_id) for kind, export in self.exports.items()})

    def alarm_when_silent(self, construct_id: str, *, for_: Duration) -> GroupAlarms:
        """Make an alarm for each export, see `DatasetExport.alarm_when_silent`.

        Args:
            construct_id: The id of each alarm, within its export.
            for_: How long: whole hours, 168 at most, and longer than the interval of the schedule.

        Returns:
            The alarms.
        """
        return GroupAlarms(
            {kind: export.alarm_when_silent(construct_id, for_=for_) for kind, export in self.exports.items()}
        )


class GroupAlarms:
    """The alarms of the exports of a group: each says by its name which dataset it is about."""

    def __init__(self, alarms: Mapping[str, cloudwatch.Alarm]) -> None:
        self.alarms = alarms
        """The alarms by the type of the dataset."""

    def add_alarm_action(self, *actions: cloudwatch.IAlarmAction) -> None:
        """Do this when one of them goes off."""
        for alarm in self.alarms.values():
            alarm.add_alarm_action(*actions)

    def add_ok_action(self, *actions: cloudwatch.IAlarmAction) -> None:
        """Do this when one of them is over."""
        for alarm in self.alarms.values():
            alarm.add_ok_action(*actions)


def check_shared(
    environment: StackEnvironment,
    destination: ExportDestination | None,
    provider: ExportProvider | None,
    *,
    wait: bool = True,
) -> None:
    """Refuse a destination or a provider of another Region, as far as that is known, and manifests nobody writes."""
    here = environment
    for what, shared in (("ExportDestination", destination), ("ExportProvider", provider)):
        if shared is not None:
            there = shared.environment
            _checks.check_same_region(what, there.path, there.region, stack=here.path, stack_region=here.region)
    if destination is not None and destination.manifest:
        destination._check_manifest(here, wait=wait)  # noqa: SLF001 - one of ours


def _export_id(scope: Construct, construct_id: str, environment: StackEnvironment) -> str:
    """Return the path of the export within its stack, which is its identity, whatever its logical id."""
    own = construct_id.replace("/", "--")  # as construct ids are written
    if scope is environment.stack:
        return own
    path = environment.path_within(str(scope.node.path))
    return f"{path}/{own}" if path else own
