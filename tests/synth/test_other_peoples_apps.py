"""What apps do to all of their constructs reaches ours too: injected properties, mixins, centrally made roles."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aws_cdk
import constructs
import jsii
import pytest
from aws_cdk import App, Duration, Stack, aws_iam, aws_lambda, aws_s3, aws_sqs
from aws_cdk.aws_scheduler import ScheduleExpression

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider, ScheduledDatasetExport

if TYPE_CHECKING:
    from tests.synth.conftest import Synthesise

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
ROOT = Path(__file__).resolve().parents[2]
HANDLER = ROOT / "cdk_personalize_export" / "handler"


injectors_only = pytest.mark.skipif(
    not hasattr(aws_cdk, "IPropertyInjector"), reason="this aws-cdk-lib has no property injectors"
)


def injector(construct: Any, **added: Any) -> Any:
    """Return what adds properties, under the CDK's own names, to every construct of a class."""

    @jsii.implements(aws_cdk.IPropertyInjector)
    class Injector:
        @property
        def construct_unique_id(self) -> str:
            return str(construct.PROPERTY_INJECTION_ID)

        def inject(self, original_props: Any, *, scope: Any, id: str) -> Any:  # noqa: A002, ARG002 - the signature of the CDK
            return {**original_props, **added}

    return Injector()


def injected(*injectors: Any) -> Stack:
    return Stack(App(property_injectors=list(injectors)), "Prod")


@injectors_only
def test_properties_injected_into_every_bucket_reach_the_one_that_is_made(synth: Synthesise) -> None:
    stack = injected(injector(aws_s3.Bucket, enforceSSL=True, minimumTLSVersion=1.3, transferAcceleration=True))
    DatasetExport(stack, "Interactions", dataset=DATASET)
    result = synth(stack)
    assert result.the("AWS::S3::Bucket")["AccelerateConfiguration"] == {"AccelerationStatus": "Enabled"}
    statements = result.statements("InteractionsDestinationBucketPolicy")
    assert [s["Condition"] for s in statements if s["Effect"] == "Deny"] == [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"NumericLessThan": {"s3:TlsVersion": 1.3}},
    ]
    assert [s["Action"] for s in statements if s["Effect"] == "Allow"] == ["s3:ListBucket", "s3:PutObject"]


@injectors_only
def test_bucket_that_deletes_its_objects_is_still_permitted(synth: Synthesise) -> None:
    stack = injected(injector(aws_s3.Bucket, removalPolicy=aws_cdk.RemovalPolicy.DESTROY, autoDeleteObjects=True))
    DatasetExport(stack, "Interactions", dataset=DATASET)
    actions = str([s["Action"] for s in synth(stack).statements("InteractionsDestinationBucketPolicy")])
    assert "s3:DeleteObject*" in actions
    assert "s3:PutObject" in actions


@injectors_only
def test_properties_injected_into_every_function_and_role_reach_ours(synth: Synthesise) -> None:
    stack = injected(
        injector(aws_lambda.Function, environment={"STAGE": "prod"}),
        injector(aws_iam.Role, path="/teams/"),
    )
    DatasetExport(stack, "Interactions", dataset=DATASET)
    result = synth(stack)
    assert result.the("AWS::Lambda::Function")["Environment"] == {"Variables": {"STAGE": "prod"}}
    assert [role["Path"] for role in result.of_type("AWS::IAM::Role")] == ["/teams/"] * 2


def test_mixin_applied_to_a_stack_reaches_the_resources_made_so_far(stack: Stack, synth: Synthesise) -> None:
    mixins = getattr(aws_cdk, "Mixins", None)
    if mixins is None:
        pytest.skip("this aws-cdk-lib has no Mixins")

    @jsii.implements(constructs.IMixin)
    class Versionless:
        def supports(self, construct: Any) -> bool:
            return isinstance(construct, aws_s3.CfnBucket)

        def apply_to(self, construct: Any) -> None:
            construct.versioning_configuration = None

    DatasetExport(stack, "First", dataset=DATASET)
    mixins.of(stack).apply(Versionless())
    DatasetExport(stack, "Second", dataset=DATASET)
    buckets = synth(stack).of_type("AWS::S3::Bucket")
    assert ["VersioningConfiguration" in bucket for bucket in buckets] == [False, True]


def test_role_given_to_the_function_is_used_and_given_managed_policies(stack: Stack, synth: Synthesise) -> None:
    role = aws_iam.Role(stack, "Central", assumed_by=aws_iam.ServicePrincipal("lambda.amazonaws.com"))
    provider = ExportProvider(stack, "Provider", role=role, tracing=aws_lambda.Tracing.ACTIVE)
    DatasetExport(stack, "Interactions", dataset=DATASET, provider=provider)
    result = synth(stack)
    assert provider.role is role
    assert result.the("AWS::Lambda::Function")["Role"] == "${Central.Arn}"
    assert {str(p["Roles"]) for p in result.of_type("AWS::IAM::ManagedPolicy")} == {
        "['${Central}']",
        "['${InteractionsDestinationRole}']",
    }
    assert result.types.count("AWS::IAM::Role") == 2  # that one, and the one Personalize writes with
    assert "AWS::IAM::Policy" not in result.types


def test_imported_role_that_may_be_changed_gets_one_policy_that_grows(stack: Stack, synth: Synthesise) -> None:
    role = aws_iam.Role.from_role_arn(stack, "Central", "arn:aws:iam::123456789012:role/exports")
    provider = ExportProvider(stack, "Provider", role=role)
    first = DatasetExport(stack, "One", dataset=DATASET, provider=provider)
    later = DATASET.replace("movies", "books")
    DatasetExport(stack, "Two", dataset=later, provider=provider, destination=first.destination)
    result = synth(stack)
    (policy,) = result.of_type("AWS::IAM::Policy")
    assert policy["Roles"] == ["exports"]
    assert later in str(policy)
    for logical_id, resource in result.resources.items():
        if resource["Type"] == "Custom::PersonalizeDatasetExport":
            assert any("CentralPolicy" in other for other in resource["DependsOn"]), logical_id
            assert "PolicyArn" not in resource["Properties"]
    assert result.warnings == []


def test_role_that_may_not_be_changed_is_told_what_it_must_be_allowed(stack: Stack, synth: Synthesise) -> None:
    arn = "arn:aws:iam::123456789012:role/exports"
    role = aws_iam.Role.from_role_arn(stack, "Central", arn, mutable=False)
    provider = ExportProvider(stack, "Provider", role=role, tracing=aws_lambda.Tracing.ACTIVE)
    first = DatasetExport(stack, "One", dataset=DATASET, provider=provider)
    later = DATASET.replace("movies", "books")
    DatasetExport(stack, "Two", dataset=later, provider=provider, destination=first.destination)
    result = synth(stack)
    message = (
        f"This app cannot change role {arn} of the function. Exports fail unless its policies say what the output "
        "{0} of the stack says. [ack: cdk-personalize-export:{0}]"
    )
    assert sorted(result.warnings) == [message.format("LambdaStatements"), message.format("RoleStatements")]
    outputs = {key: str(output["Value"]) for key, output in result.template["Outputs"].items()}
    (statements,) = [text for key, text in outputs.items() if "RoleStatements" in key]
    for needed in ("lambda:InvokeFunction", "iam:PassRole", DATASET, later):
        assert needed in statements
    (lambda_statements,) = [text for key, text in outputs.items() if "LambdaStatements" in key]
    assert "xray:PutTraceSegments" in lambda_statements
    assert "${OneDestinationRole}" in str(result.of_type("AWS::IAM::ManagedPolicy")), "only that role is made here"


def test_customised_roles_are_not_made_and_their_report_names_every_statement(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path))
    stack = Stack(app, "Prod")
    aws_iam.Role.customize_roles(
        stack,
        use_precreated_roles={
            "Prod/PersonalizeExportProvider/Role": "central-function",
            "Prod/One/Destination/Role": "central-writer",
        },
    )
    first = DatasetExport(stack, "One", dataset=DATASET)
    DatasetExport(stack, "Two", dataset=DATASET.replace("movies", "books"), destination=first.destination)
    template = app.synth().get_stack_by_name("Prod").template
    types = [resource["Type"] for resource in template["Resources"].values()]
    assert not [kind for kind in types if kind.startswith("AWS::IAM")]
    assert "central-function" in json.dumps(template)
    (function,) = [r for r in template["Resources"].values() if r["Type"] == "AWS::Lambda::Function"]
    assert "role/central-function" in json.dumps(function["Properties"]["Role"])
    report = (tmp_path / "iam-policy-report.txt").read_text()
    for needed in (
        "lambda:InvokeFunction",
        "personalize:CreateDatasetExportJob",
        "dataset/books/INTERACTIONS",
        "iam:PassRole",
        "s3:PutObject",
        "personalize.amazonaws.com",
    ):
        assert needed in report


def test_customised_role_of_scheduler_is_not_made_and_the_report_names_what_it_needs(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path))
    stack = Stack(app, "Prod")
    central = {"Role": "central-function", "ScheduleRole": "central-scheduler"}
    aws_iam.Role.customize_roles(
        stack,
        use_precreated_roles={
            **{f"Prod/PersonalizeExportProvider/{role}": name for role, name in central.items()},
            "Prod/Destination/Role": "central-writer",
        },
    )
    options: dict[str, Any] = {
        "dataset": DATASET,
        "schedule": ScheduleExpression.rate(Duration.days(1)),
        "destination": ExportDestination(stack, "Destination"),
        "dead_letter_queue": aws_sqs.Queue(stack, "Undelivered"),
    }
    ScheduledDatasetExport(stack, "One", **options).on_failed("Tell")
    ScheduledDatasetExport(stack, "Two", **options)
    template = app.synth().get_stack_by_name("Prod").template
    assert not [r for r in template["Resources"].values() if r["Type"].startswith("AWS::IAM")]
    schedules = [r for r in template["Resources"].values() if r["Type"] == "AWS::Scheduler::Schedule"]
    assert all("role/central-scheduler" in json.dumps(r["Properties"]["Target"]["RoleArn"]) for r in schedules)
    report = (tmp_path / "iam-policy-report.txt").read_text()
    for needed in ("scheduler.amazonaws.com", "sqs:SendMessage", "events:PutEvents", "ListDatasetExportJobs"):
        assert needed in report


def test_role_this_app_cannot_change_is_told_what_ticks_and_events_need(stack: Stack, synth: Synthesise) -> None:
    role = aws_iam.Role.from_role_arn(stack, "Central", "arn:aws:iam::123456789012:role/central", mutable=False)
    provider = ExportProvider(stack, "Provider", role=role)
    schedule = ScheduleExpression.rate(Duration.days(1))
    ScheduledDatasetExport(stack, "Daily", dataset=DATASET, schedule=schedule, provider=provider).on_failed("Tell")
    shown = json.dumps(synth(stack).template["Outputs"])
    assert "events:PutEvents" in shown
    assert "personalize:ListDatasetExportJobs" in shown


def test_provider_of_a_customised_stack_waits_for_the_bucket_policy(stack: Stack, synth: Synthesise) -> None:
    aws_iam.Role.customize_roles(stack, use_precreated_roles={"Prod/PersonalizeExportProvider/Role": "central"})
    role = aws_iam.Role.from_role_arn(stack, "Writer", "arn:aws:iam::123456789012:role/writer", mutable=False)
    DatasetExport(stack, "One", dataset=DATASET, destination=ExportDestination(stack, "To", role=role))
    assert synth(stack).depends_on("Custom::PersonalizeDatasetExport") == ["ToBucketPolicy"]


def asset(stack: Stack) -> tuple[str, list[str]]:
    """The hash of the function's asset and the files in it."""
    DatasetExport(stack, "Interactions", dataset=DATASET)
    app = stack.node.root
    assert isinstance(app, App)
    assembly = Path(app.synth().directory)
    (folder,) = assembly.glob("asset.*")
    files = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    return folder.name.removeprefix("asset."), sorted(files)


def test_asset_is_the_handler_and_nothing_else(stack: Stack) -> None:
    _, files = asset(stack)
    assert files == [f"handler/{path.name}" for path in sorted(HANDLER.glob("*.py"))]


SCRIPT = f"""\
import sys
from pathlib import Path
from aws_cdk import App, Stack
from cdk_personalize_export import DatasetExport
app = App(outdir=sys.argv[1])
DatasetExport(Stack(app, "Prod"), "Interactions", dataset={DATASET!r})
(folder,) = Path(app.synth().directory).glob("asset.*")
print(folder.name, *sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()))
"""


def synthesised_from(package: Path, out: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(out)], cwd=package.parent, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_what_lies_beside_the_handler_changes_neither_asset_nor_hash(tmp_path: Path) -> None:
    package = tmp_path / "a" / "cdk_personalize_export"
    shutil.copytree(ROOT / "cdk_personalize_export", package, ignore=shutil.ignore_patterns("__pycache__"))
    clean = synthesised_from(package, tmp_path / "clean.out")
    for name in (".DS_Store", ".env", "handler/.DS_Store", "handler/.env", "handler/notes.txt", "handler/stray/x.py"):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("A = 1\n")
    for name in ("stray", "requests"):
        (package / name).mkdir()
        (package / name / "__init__.py").write_text("A = 1\n")
    assert synthesised_from(package, tmp_path / "strewn.out") == clean


def test_checkout_with_windows_line_ends_has_the_same_hash(tmp_path: Path) -> None:
    package = tmp_path / "a" / "cdk_personalize_export"
    shutil.copytree(ROOT / "cdk_personalize_export", package, ignore=shutil.ignore_patterns("__pycache__"))
    clean = synthesised_from(package, tmp_path / "clean.out")
    for path in (package / "handler").glob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert synthesised_from(package, tmp_path / "crlf.out") == clean


def test_zipped_asset_is_at_most_40_kb(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "asset.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in HANDLER.glob("*.py"):
            archive.write(path, f"handler/{path.name}")
    assert (tmp_path / "asset.zip").stat().st_size <= 40_000


SERVICE_TOKENS: dict[str, Any] = {
    "without": lambda _: None,
    "given": lambda stack: ExportProvider(stack, "Provider"),
    "named": lambda stack: ExportProvider(stack, "Provider", function_name_prefix="exports"),
    "renamed": lambda stack: ExportProvider(stack, "Provider", function_name_prefix="other"),
    "another": lambda stack: ExportProvider(stack, "Another"),
}


def test_every_change_of_the_function_gives_the_export_another_logical_id_and_the_same_identity() -> None:
    found = {}
    for name, make in SERVICE_TOKENS.items():
        app = App()
        stack = Stack(app, "Prod")
        DatasetExport(stack, "Interactions", dataset=DATASET, provider=make(stack))
        template = app.synth().get_stack_by_name("Prod").template
        ((logical_id, properties),) = [
            (key, r["Properties"]) for key, r in template["Resources"].items() if r["Type"].startswith("Custom::")
        ]
        identity = {
            key: properties[key] for key in ("ExportId", "JobNamePrefix", "DatasetArn", "IngestionMode", "Prefix")
        }
        found[name] = (logical_id, identity)
    assert len({logical_id for logical_id, _ in found.values()}) == len(SERVICE_TOKENS)
    assert all(identity == found["without"][1] for _, identity in found.values())


def test_logical_id_of_the_function_is_part_of_that_of_the_export() -> None:
    """As a later release may change it, or an escape hatch that comes before the exports."""
    found = set()
    for override in (None, "Renamed"):
        app = App()
        stack = Stack(app, "Prod")
        provider = ExportProvider(stack, "Provider")
        if override:
            resource = provider.function.node.default_child
            assert isinstance(resource, aws_lambda.CfnFunction)
            resource.override_logical_id(override)
        export = DatasetExport(stack, "Interactions", dataset=DATASET, provider=provider)
        found.add(stack.resolve(export.resource.logical_id))
    assert len(found) == 2
