"""Exports in every kind of stack, the same template every time, and few questions to the jsii kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Environment, NestedStack, Stack, Stage
from aws_cdk.aws_iam import AccountRootPrincipal, PolicyStatement
from aws_cdk.aws_personalize import CfnDataset
from aws_cdk.aws_s3 import Bucket
from constructs import Construct
from jsii._kernel.providers.process import _NodeProcess

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider
from tests.synth.conftest import before

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


def test_first_export_costs_44_jsii_calls_with_app_stack_and_synthesis(calls: list[Any]) -> None:
    """Five of them acknowledge the two wildcards."""
    app = App()
    DatasetExport(Stack(app, "Prod"), "Interactions", dataset=DATASET)
    app.synth()
    assert len(calls) == 44


def test_each_further_export_costs_2_jsii_calls(stack: Stack, calls: list[Any]) -> None:
    first = DatasetExport(stack, "Export0", dataset=arn(0))
    calls.clear()
    DatasetExport(stack, "Export1", dataset=arn(1), destination=first.destination)
    assert len(calls) == 5 + 2  # the policy grows for the first time, and learns that the destination is shared
    calls.clear()
    for number in range(2, 12):
        DatasetExport(stack, f"Export{number}", dataset=arn(number), destination=first.destination)
    assert len(calls) == 10 * 2


def test_each_further_export_of_an_l1_dataset_costs_4_jsii_calls(stack: Stack, calls: list[Any]) -> None:
    datasets = [
        CfnDataset(stack, f"D{n}", name=f"d{n}", dataset_group_arn="group", dataset_type="Items", schema_arn="schema")
        for n in range(12)
    ]
    first = DatasetExport(stack, "Export0", dataset=datasets[0])
    DatasetExport(stack, "Export1", dataset=datasets[1], destination=first.destination)
    calls.clear()
    for number in range(2, 12):
        DatasetExport(stack, f"Export{number}", dataset=datasets[number], destination=first.destination)
    assert len(calls) == 10 * 4


def waits_for(result: Synthesised, name: str) -> set[str]:
    """The logical ids, without their hash, of what a resource waits for."""
    (resource,) = [r for key, r in result.resources.items() if key[:-8] == name]
    return {logical_id[:-8] for logical_id in before(resource)}


def test_exports_that_share_a_destination_wait_for_it_through_the_policy(stack: Stack, synth: Synthesise) -> None:
    first = DatasetExport(stack, "One", dataset=arn(1))
    for name in ("Two", "Three"):
        DatasetExport(stack, name, dataset=DATASET, destination=first.destination)
    result = synth(stack)
    written = {"OneDestinationBucketPolicy", "OneDestinationRolePolicy"}
    assert waits_for(result, "PersonalizeExportProviderPolicy") == written
    assert waits_for(result, "One") == {*written, "PersonalizeExportProviderPolicy"}
    assert waits_for(result, "Two") == waits_for(result, "Three") == {"PersonalizeExportProviderPolicy"}


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
    assert waits_for(result, "PersonalizeExportProviderPolicy") == set()
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
    assert len(result.resources) == 10
    jobs = "arn:${AWS::Partition}:personalize:${AWS::Region}:${AWS::AccountId}:dataset-export-job"
    assert result.allowed("personalize:DescribeDatasetExportJob") == [f"{jobs}/Prod-*", f"{jobs}/Prod-Nested-*"]
    assert "PersonalizeExportProviderPolicy" in result.depends_on("AWS::CloudFormation::Stack")


def test_function_of_another_stack_is_deployed_first_and_its_policy_is_no_output(app: App, synth: Synthesise) -> None:
    shared, exports = Stack(app, "Shared"), Stack(app, "Exports")
    destination, provider = ExportDestination(shared, "Destination"), ExportProvider(shared, "Provider")
    for number in range(3):
        DatasetExport(exports, f"Export{number}", dataset=arn(number), destination=destination, provider=provider)
    outputs = synth(shared).template["Outputs"]
    assert len(outputs) == 3  # function, role and bucket
    assert "Policy" not in str(outputs)
    assert exports.dependencies == [shared]
    assert all("PolicyArn" not in export for export in synth(exports).exports)


def test_stages_have_a_function_each(app: App) -> None:
    for name in ("Test", "Live"):
        stack = Stack(Stage(app, name), "Exports")
        DatasetExport(stack, "Interactions", dataset=DATASET)
    assembly = app.synth()
    for name in ("Test", "Live"):
        (artifact,) = assembly.get_nested_assembly(f"assembly-{name}").stacks
        resources = artifact.template["Resources"]
        assert len(resources) == 9
        (export,) = [r for r in resources.values() if r["Type"] == "Custom::PersonalizeDatasetExport"]
        assert export["Properties"]["JobNamePrefix"] == f"{name}-Exports-Interactions"


def test_destination_of_another_stack_can_be_used(app: App, synth: Synthesise) -> None:
    storage, exports = Stack(app, "Storage"), Stack(app, "Exports")
    destination = ExportDestination(storage, "Shared")
    DatasetExport(exports, "Interactions", dataset=DATASET, destination=destination)
    assert len(synth(storage).resources) == 4
    assert len(synth(exports).resources) == 5


def test_construct_deep_in_a_tree_finds_its_stack(stack: Stack, synth: Synthesise) -> None:
    inner = Construct(Construct(stack, "A"), "B")
    DatasetExport(inner, "Interactions", dataset=DATASET)
    assert synth(stack).export["JobNamePrefix"] == "Prod-Interactions"


def test_known_account_and_region_make_no_difference_but_the_words(app: App, synth: Synthesise) -> None:
    stack = Stack(app, "Prod", env=Environment(account="123456789012", region="us-east-1"))
    DatasetExport(stack, "Interactions", dataset=DATASET)
    result = synth(stack)
    assert len(result.resources) == 9
    assert result.allowed("personalize:DescribeDatasetExportJob") == [
        "arn:${AWS::Partition}:personalize:us-east-1:123456789012:dataset-export-job/Prod-*"
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
