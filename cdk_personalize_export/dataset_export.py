"""One dataset, exported and awaited during deployment.

The construct is a custom resource; the function of `ExportProvider` starts the job when the resource is created or
changed, answers CloudFormation when the job has finished, and deletes nothing, ever. See
https://docs.aws.amazon.com/personalize/latest/dg/export-data.html and
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-customresource.html.
"""

from __future__ import annotations

from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any

from aws_cdk import CfnResource, Token

from cdk_personalize_export import _checks, _options
from cdk_personalize_export._exports import OneExport, Options
from cdk_personalize_export.ingestion_mode import IngestionMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import Duration
    from aws_cdk import aws_events as events
    from aws_cdk.aws_personalize import CfnDataset
    from aws_cdk.interfaces.aws_personalize import IDatasetRef
    from constructs import Construct

    from cdk_personalize_export.destination import ExportDestination
    from cdk_personalize_export.provider import ExportProvider

_EXPORT = "Custom::PersonalizeDatasetExport"
_CLOUDFORMATION_LIMIT_SECONDS = 3600  # CloudFormation waits no longer for one custom resource
_ANSWER_SECONDS = 240  # of those are kept: for Lambda's retries after 1 and 2 minutes, and for the answer
_LINK_SECONDS = _CLOUDFORMATION_LIMIT_SECONDS - _ANSWER_SECONDS
_HOUR = {"ServiceTimeout": str(_CLOUDFORMATION_LIMIT_SECONDS), "MaxWaitSeconds": str(_LINK_SECONDS)}


class DatasetExport(OneExport):
    """Exports one dataset of Amazon Personalize to Amazon S3 during deployment.

    The deployment waits until the job is `ACTIVE`. If the job fails, the deployment fails with the reason Personalize
    gives. Changing the dataset, `ingestion_mode`, the destination's path or key, or `generation` exports again;
    changing the role, `tags` or waiting times does not. Removing the construct removes neither the job, which the API
    cannot delete, nor any object.

    What was exported before is not exported again but joins its old job, as the name of a job is never free again: a
    `generation` that comes back, and a dataset group that was deleted and made again under the same names. A hotswap
    deployment (`cdk deploy --hotswap`) leaves custom resources alone, and so exports nothing. An express deployment
    waits for the job, but does not roll back by default.

    Args:
        scope: The construct this belongs to.
        construct_id: Its name within `scope`. Renaming it exports again.
        dataset: The dataset, in the Region and account of the stack: a `CfnDataset`, a reference to one, or the ARN as
            text. Interactions, items and users can be exported; actions and action interactions cannot.
        ingestion_mode: Which records to export, by the way they were imported. Default: `IngestionMode.ALL`. (The API's
            own default, `PUT`, leaves out everything that was imported in bulk.)
        destination: Where to write. Default: a bucket of its own, see `ExportDestination`. Pass one to share it between
            exports, or to use your bucket, key or role.
        provider: The function that does the work. Default: the one of the stack, see `ExportProvider`.
        generation: Any text; a new one exports again. Default: none. Set it to a date, a counter or a commit id when
            the data has changed but nothing else.
        job_name_prefix: What the job name begins with; a hash that identifies the export follows, and a number from the
            second attempt on. At most 45 letters, digits, hyphens and underscores. Default: the names of the stack and
            of this construct. Set it to find jobs more easily, or to match your IAM policies. Changing it exports
            again.
        max_wait: How long the deployment waits for the job, 1 minute to 12 hours. Default: 1 hour, of which a few
            minutes are kept for the answer. Each further hour adds one resource, because CloudFormation waits at most 1
            hour for one.
        wait: Whether to wait for the end of the job. Default: True. False answers as soon as the job is accepted: the
            deployment is quick, but does not notice when the job fails.
        tags: Tags of the job. Default: none. Changing them has no effect on a job that already exists.
        event_bus: Where events about the export go, whoever listens. Default: the default bus of the account, from the
            first `on_event`, `on_started`, `on_succeeded` or `on_failed` on.

    Raises:
        ValueError: when an option could only fail later; the message says what is allowed.

    See https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDatasetExportJob.html.
    """

    def __init__(  # noqa: PLR0913 - options, all but two by keyword
        self,
        scope: Construct,
        construct_id: str,
        *,
        dataset: CfnDataset | IDatasetRef | str,
        ingestion_mode: IngestionMode | str = IngestionMode.ALL,
        destination: ExportDestination | None = None,
        provider: ExportProvider | None = None,
        generation: str | None = None,
        job_name_prefix: str | None = None,
        max_wait: Duration | None = None,
        wait: bool = True,
        tags: Mapping[str, str] | None = None,
        event_bus: events.IEventBus | None = None,
    ) -> None:
        _options.check(max_wait=max_wait, wait=wait)
        links = _links(max_wait, wait=wait)
        if generation is not None:
            _checks.check_generation(generation)
        options = Options.checked(
            scope,
            dataset=dataset,
            ingestion_mode=ingestion_mode,
            destination=destination,
            provider=provider,
            event_bus=event_bus,
            job_name_prefix=job_name_prefix,
            tags=tags,
            scheduled=False,
            wait=wait,
        )
        if event_bus is not None:
            _checks.check_outcomes_are_known("event_bus", wait=wait)
        super().__init__(scope, construct_id, options, waits=wait, longest_interval=None)
        permit, environment = self._permit, options.environment
        more = {"Generation": generation or None, "Wait": None if wait else "false", "PolicyArn": permit.policy_arn}
        given = {name: value for name, value in more.items() if value is not None}
        self._resources = self._add_resources({**self._properties, **given}, links)
        waits_for = permit.others if permit.policy_arn or permit.policy is None else [permit.policy, *permit.others]
        if waits_for:
            self._resources[0].node.add_dependency(*waits_for)
        earlier = self.provider._turn(environment, self._resources[-1]) if wait else None  # noqa: SLF001
        if earlier is not None:
            _create_after(self._resources[0], earlier)
        self._begin()

    def _add_resources(self, properties: dict[str, Any], links: list[dict[str, str]]) -> list[CfnResource]:
        given = {"ServiceToken": self.provider.service_token, **properties}
        # CloudFormation refuses to change the service token of a resource: with another function it is another one.
        suffix = self.provider.resource_id(self._environment)
        resources = [CfnResource(self, f"Resource{suffix}", type=_EXPORT, properties={**given, **links[0]})]
        for number, waiting in enumerate(links[1:], start=2):
            link = {**given, **waiting, "LinkNumber": str(number)}
            resources.append(CfnResource(self, f"Link{number}{suffix}", type=_EXPORT, properties=link))
            _create_after(resources[-1], resources[-2])
        return resources

    def _set(self, properties: Mapping[str, str]) -> None:
        for resource in self._resources:
            for name, value in properties.items():
                resource.add_property_override(name, value)

    @property
    def resource(self) -> CfnResource:
        """The custom resource, for escape hatches; with a `max_wait` over an hour the first of several."""
        return self._resources[0]

    @cached_property
    def job_name(self) -> str:
        """The name of the job."""
        return self._attribute("JobName")

    @cached_property
    def job_arn(self) -> str:
        """The ARN of the job."""
        return self._attribute("DatasetExportJobArn")

    @cached_property
    def dataset_arn(self) -> str:
        """The ARN of the exported dataset, as the job reports it."""
        return self._attribute("DatasetArn")

    @cached_property
    def ingestion_mode(self) -> str:
        """The ingestion mode, as the job reports it."""
        return self._attribute("IngestionMode")

    @cached_property
    def role_arn(self) -> str:
        """The ARN of the role the job writes with, as the job reports it."""
        return self._attribute("RoleArn")

    @cached_property
    def output_path(self) -> str:
        """Where the job writes, `s3://bucket/prefix/job name/`; AWS does not document the names of the objects."""
        return self._attribute("OutputPath")

    @cached_property
    def manifest_path(self) -> str:
        """Where the manifest of the job is, `s3://bucket/prefix/_manifests/<export>/<job name>.json`.

        Whoever asks for it has one written, see `manifest` of `ExportDestination`.

        Raises:
            ValueError: with `wait=False`, or a bucket of another account: nobody would write it.
        """
        self._record()
        return self._attribute("ManifestPath")

    @cached_property
    def kms_key_arn(self) -> str:
        """The ARN of the key the job encrypts with; empty when it leaves encryption to the bucket."""
        return self._attribute("KmsKeyArn")

    @cached_property
    def status(self) -> str:
        """The state of the job when the deployment was answered: `ACTIVE`, or an earlier one with `wait=False`."""
        return self._attribute("Status")

    @cached_property
    def creation_time(self) -> str:
        """When the job was created, ISO 8601 in UTC."""
        return self._attribute("CreationDateTime")

    @cached_property
    def last_updated_time(self) -> str:
        """When the job last changed its state, ISO 8601 in UTC."""
        return self._attribute("LastUpdatedDateTime")

    @cached_property
    def failure_reason(self) -> str:
        """Why the job failed; empty when it did not."""
        return self._attribute("FailureReason")

    def _attribute(self, name: str) -> str:
        return Token.as_string(self._resources[-1].get_att(name))


def _create_after(resource: CfnResource, earlier: CfnResource) -> None:
    # A newer aws-cdk-lib deprecates the name of an older one. Both are one jsii call, `node.add_dependency` is two.
    add = getattr(resource, "add_resource_dependency", None) or resource.add_dependency
    add(earlier)


def _links(max_wait: Duration | None, *, wait: bool) -> list[dict[str, str]]:
    """Split the waiting time over as many resources as it takes."""
    seconds = float(_CLOUDFORMATION_LIMIT_SECONDS)
    if max_wait is not None:
        seconds = max_wait.to_seconds()
        _checks.check_max_wait(seconds, wait=wait)
    count = 1 if seconds <= _CLOUDFORMATION_LIMIT_SECONDS else ceil(seconds / _LINK_SECONDS)
    links = []
    for number in range(count):
        waits = int(min(_LINK_SECONDS, seconds - number * _LINK_SECONDS))
        link = {"ServiceTimeout": str(waits + _ANSWER_SECONDS), "MaxWaitSeconds": str(waits)}
        links.append(link if number == count - 1 else {**link, "MoreLinks": "true"})
    # The hour is what CloudFormation and the function take anyway: 60 bytes less in the template for each export.
    return [{}] if links == [_HOUR] else links
