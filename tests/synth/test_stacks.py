"""Exports in every kind of stack, the same template every time, and few questions to the jsii kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, Environment, NestedStack, Stack, Stage
from aws_cdk.assertions import Template
from aws_cdk.aws_cloudfront.experimental import EdgeFunction
from aws_cdk.aws_iam import AccountRootPrincipal, PolicyStatement
from aws_cdk.aws_lambda import Code, Runtime
from aws_cdk.aws_s3 import Bucket
from constructs import Construct
from jsii._kernel.providers.process import _NodeProcess

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider
from tests.synth.conftest import before, name_of

if TYPE_CHECKING:
    from tests.synth.conftest import Synthesise, Synthesised

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every message to the jsii kernel from now on."""
    messages: list[Any] = []
    send = _NodeProcess.send

    def counted(self: _NodeProcess, request: Any, response_type: Any) -> Any:
        messages.append(request)
        return send(self, request, response_type)

    monkeypatch.setattr(_NodeProcess, "send", counted)
    return messages


def arn(number: int) -> str:
    return f"arn:aws:personalize:us-east-1:123456789012:dataset/movies-{number}/INTERACTIONS"


def test_two_syntheses_are_byte_identical(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        app = App(outdir=str(tmp_path / name))
        stack = Stack(app, "Prod")
        destination = ExportDestination(stack, "Exports")
        for number in range(5):
            tags = {"b": "1", "a": "2"}
            DatasetExport(stack, f"Export{number}", dataset=arn(number), destination=destination, tags=tags)
        app.synth()
        texts.append((tmp_path / name / "Prod.template.json").read_bytes())
    assert texts[0] == texts[1]


def test_each_further_export_costs_3_jsii_calls_and_a_fourth_when_it_is_created_after_another(
    stack: Stack, calls: list[Any]
) -> None:
    first = DatasetExport(stack, "Export0", dataset=arn(0))
    calls.clear()
    for number in range(1, 5):
        DatasetExport(stack, f"Export{number}", dataset=arn(number), destination=first.destination)
    assert len(calls) == 4 * 3
    calls.clear()
    for number in range(5, 15):
        DatasetExport(stack, f"Export{number}", dataset=arn(number), destination=first.destination)
    assert len(calls) == 10 * 4


def waits_for(result: Synthesised, name: str) -> set[str]:
    """The logical ids, without their hash, of what a resource waits for."""
    (resource,) = [r for key, r in result.resources.items() if name_of(key) == name]
    return {name_of(logical_id) for logical_id in before(resource)}


def test_exports_that_share_a_destination_wait_for_it_through_the_policy(stack: Stack, synth: Synthesise) -> None:
    first = DatasetExport(stack, "One", dataset=arn(1))
    for name in ("Two", "Three"):
        DatasetExport(stack, name, dataset=DATASET, destination=first.destination)
    result = synth(stack)
    written = {"OneDestinationBucketPolicy", "OneDestinationRolePolicy"}
    assert waits_for(result, "PersonalizeExportProviderPolicy") == written
    for name in ("One", "Two", "Three"):
        assert waits_for(result, name) == {"PersonalizeExportProviderPolicy"}


def created_after(result: Synthesised) -> dict[str, list[str]]:
    """Which exports each export is created after."""
    return {
        name_of(key): [name_of(other) for other in resource.get("DependsOn", [])]
        for key, resource in result.resources.items()
        if resource["Type"].startswith("Custom::")
    }


def test_exports_that_share_a_function_run_five_at_a_time_unless_it_says_otherwise(
    stack: Stack, synth: Synthesise
) -> None:
    destination = ExportDestination(stack, "Exports")
    for number in range(7):
        DatasetExport(stack, f"E{number}", dataset=arn(number), destination=destination)
    few = ExportProvider(stack, "Few", max_concurrency=2)
    for number in range(7, 10):
        DatasetExport(stack, f"E{number}", dataset=arn(number), destination=destination, provider=few)
    assert {name: before for name, before in created_after(synth(stack)).items() if before} == {
        "E5": ["E0"],
        "E6": ["E1"],
        "E9": ["E7"],
    }


def test_turn_is_over_with_the_last_link_and_exports_nobody_waits_for_take_none(
    stack: Stack, synth: Synthesise
) -> None:
    provider = ExportProvider(stack, "One", max_concurrency=1)
    destination = ExportDestination(stack, "Exports")
    options: dict[str, Any] = {"destination": destination, "provider": provider}
    DatasetExport(stack, "Long", dataset=arn(0), max_wait=Duration.hours(2), **options)
    DatasetExport(stack, "Accepted", dataset=arn(1), wait=False, **options)
    DatasetExport(stack, "Next", dataset=arn(2), **options)
    result = created_after(synth(stack))
    assert result["Next"] == ["LongLink3"]
    assert result["Accepted"] == []


def test_exports_of_two_stacks_do_not_wait_for_each_other(app: App, synth: Synthesise) -> None:
    provider = ExportProvider(Stack(app, "Shared"), "One", max_concurrency=1)
    for name in ("A", "B"):
        stack = Stack(app, name)
        DatasetExport(stack, "Export", dataset=DATASET, provider=provider)
        assert stack.dependencies in ([], [provider.environment.stack])
        assert created_after(synth(stack)) == {"Export": []}


def test_permission_of_a_bucket_given_may_speak_of_another_export(stack: Stack, synth: Synthesise) -> None:
    """Which would be a cycle if the policy of the function, that both wait for, waited for that permission."""
    bucket = Bucket(stack, "Lake")
    first = DatasetExport(stack, "One", dataset=arn(1))
    destination = ExportDestination(stack, "Second", bucket=bucket)
    for name in ("Two", "Three"):
        DatasetExport(stack, name, dataset=DATASET, destination=destination)
    statement = PolicyStatement(
        actions=["s3:GetObject"],
        resources=[bucket.arn_for_objects(first.job_name)],
        principals=[AccountRootPrincipal()],
    )
    bucket.add_to_resource_policy(statement)
    result = synth(stack)
    assert "LakePolicy" not in waits_for(result, "PersonalizeExportProviderPolicy")
    assert {"LakePolicy", "PersonalizeExportProviderPolicy"} < waits_for(result, "Three")


def test_nested_stack_has_a_function_of_its_own(stack: Stack, synth: Synthesise) -> None:
    DatasetExport(stack, "Outer", dataset=DATASET)
    nested = NestedStack(stack, "Nested")
    export = DatasetExport(nested, "Inner", dataset=DATASET)
    assert export.provider is ExportProvider.for_stack(nested)
    assert export.provider is not ExportProvider.for_stack(stack)
    result = synth(stack)
    assert result.types.count("AWS::CloudFormation::Stack") == 1
    assert result.types.count("Custom::PersonalizeDatasetExport") == 1


def test_nested_stack_may_use_the_destination_and_function_of_its_parent(stack: Stack, synth: Synthesise) -> None:
    outer = DatasetExport(stack, "Outer", dataset=DATASET)
    nested = NestedStack(stack, "Nested")
    DatasetExport(nested, "Inner", dataset=arn(1), destination=outer.destination, provider=outer.provider)
    result = synth(stack)
    jobs = "arn:${AWS::Partition}:personalize:${AWS::Region}:${AWS::AccountId}:dataset-export-job"
    assert len(result.resources) == 10
    assert result.allowed("personalize:DescribeDatasetExportJob") == [f"{jobs}/Prod-5f5635-*"]
    (policy,) = Template.from_stack(nested).find_resources("AWS::IAM::ManagedPolicy").values()
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    assert [s["Action"] for s in statements] == [
        "cloudformation:DescribeStackResource",
        "personalize:CreateDatasetExportJob",
        "personalize:DescribeDatasetExportJob",
        "iam:PassRole",
    ]
    assert "dataset-export-job/Prod-Nested-5f31b9-*" in str(statements)


def test_function_of_another_stack_is_deployed_first_and_permitted_by_the_stack_of_the_exports(
    app: App, synth: Synthesise
) -> None:
    shared, exports = Stack(app, "Shared"), Stack(app, "Exports")
    destination, provider = ExportDestination(shared, "Destination"), ExportProvider(shared, "Provider")
    for number in range(3):
        DatasetExport(exports, f"Export{number}", dataset=arn(number), destination=destination, provider=provider)
    outputs = synth(shared).template["Outputs"]
    assert len(outputs) == 4  # the function, its role, the bucket and its role
    assert "Policy" not in str(outputs)
    assert exports.dependencies == [shared]
    assert [s["Action"] for s in synth(shared).statements("ProviderPolicy")] == [
        "lambda:InvokeFunction",
        ["logs:CreateLogStream", "logs:PutLogEvents"],
    ]
    (policy,) = synth(exports).of_type("AWS::IAM::ManagedPolicy")
    assert len(policy["PolicyDocument"]["Statement"]) == 4
    assert all("PolicyArn" in export for export in synth(exports).exports)


def test_function_of_another_stack_may_write_to_a_destination_of_the_stack_of_the_exports(
    app: App, synth: Synthesise
) -> None:
    shared, exports = Stack(app, "Shared"), Stack(app, "Exports")
    DatasetExport(exports, "Interactions", dataset=DATASET, provider=ExportProvider(shared, "Provider"))
    types = synth(exports).types
    assert exports.dependencies == [shared]
    assert shared.dependencies == []
    assert types == [
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Role",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "Custom::PersonalizeDatasetExport",
    ]


def test_stacks_that_share_a_function_each_have_a_policy_of_their_own(app: App, synth: Synthesise) -> None:
    provider = ExportProvider(Stack(app, "Shared"), "Provider")
    for name in ("One", "Two"):
        stack = Stack(app, name)
        DatasetExport(stack, "Interactions", dataset=DATASET, provider=provider)
        text = str(synth(stack).of_type("AWS::IAM::ManagedPolicy"))
        assert f"dataset-export-job/{name}-" in text


def test_stack_that_node_made_has_one_function(app: App, synth: Synthesise) -> None:
    """As the CDK does for functions at the edge; jsii makes a new Python object of such a stack each time."""
    stack = Stack(app, "Web", env=Environment(account="123456789012", region="eu-west-1"))
    EdgeFunction(stack, "Edge", runtime=Runtime.PYTHON_3_13, handler="i.h", code=Code.from_inline("def h(e, c): pass"))
    for number in range(2):
        (support,) = [child for child in app.node.children if isinstance(child, Stack) and child.node.id != "Web"]
        DatasetExport(support, f"Export{number}", dataset=arn(number))
    (support,) = [child for child in app.node.children if isinstance(child, Stack) and child.node.id != "Web"]
    assert str(synth(support).types).count("Custom::PersonalizeDatasetExport") == 2


def test_stages_have_a_function_each(app: App) -> None:
    for name in ("Test", "Live"):
        stack = Stack(Stage(app, name), "Exports")
        DatasetExport(stack, "Interactions", dataset=DATASET)
    assembly = app.synth()
    for name, stack_hash in (("Test", "91b1cc"), ("Live", "a45da7")):
        (artifact,) = assembly.get_nested_assembly(f"assembly-{name}").stacks
        resources = artifact.template["Resources"]
        assert len(resources) == 9
        (export,) = [r for r in resources.values() if r["Type"] == "Custom::PersonalizeDatasetExport"]
        assert export["Properties"]["JobNamePrefix"] == f"{name}-Exports-{stack_hash}-Interactions"


def test_destination_of_another_stack_can_be_used(app: App, synth: Synthesise) -> None:
    storage, exports = Stack(app, "Storage"), Stack(app, "Exports")
    destination = ExportDestination(storage, "Shared")
    DatasetExport(exports, "Interactions", dataset=DATASET, destination=destination)
    assert len(synth(storage).resources) == 4
    assert len(synth(exports).resources) == 5


def test_construct_deep_in_a_tree_finds_its_stack(stack: Stack, synth: Synthesise) -> None:
    inner = Construct(Construct(stack, "A"), "B")
    DatasetExport(inner, "Interactions", dataset=DATASET)
    assert synth(stack).export["JobNamePrefix"] == "Prod-5f5635-Interactions"


def test_known_account_and_region_make_no_difference_but_the_words(app: App, synth: Synthesise) -> None:
    stack = Stack(app, "Prod", env=Environment(account="123456789012", region="us-east-1"))
    DatasetExport(stack, "Interactions", dataset=DATASET)
    result = synth(stack)
    assert len(result.resources) == 9
    assert result.allowed("personalize:DescribeDatasetExportJob") == [
        "arn:${AWS::Partition}:personalize:us-east-1:123456789012:dataset-export-job/Prod-5f5635-*"
    ]


def test_python_caches_do_not_change_the_function(tmp_path: Path) -> None:
    """The handler's tests leave .pyc files beside it; the asset is the same with and without them."""
    script = (
        "import json, sys, compileall\n"
        "from pathlib import Path\n"
        "import cdk_personalize_export\n"
        "from aws_cdk import App, Stack\n"
        "def key(out):\n"
        "    app = App(outdir=out); stack = Stack(app, 'Prod')\n"
        "    cdk_personalize_export.ExportProvider(stack, 'Provider')\n"
        "    return [a for a in json.loads(Path(app.synth().directory, 'Prod.assets.json').read_text())['files']]\n"
        "before = key(sys.argv[1] + '/before')\n"
        "folder = Path(cdk_personalize_export.__file__).with_name('handler')\n"
        "compileall.compile_dir(folder, quiet=1)\n"
        "print(json.dumps([before[0], key(sys.argv[1] + '/after')[0]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    before, after = json.loads(done.stdout)
    assert before == after
    assert not list((tmp_path / "after").rglob("*.pyc"))


def test_importing_the_library_loads_no_module_of_lambda_s3_or_logs() -> None:
    script = (
        "import sys, aws_cdk\n"
        "before = set(sys.modules)\n"
        "import cdk_personalize_export\n"
        "print(sorted(m for m in set(sys.modules) - before if m.startswith('aws_cdk.')))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
