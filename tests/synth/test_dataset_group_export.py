"""The datasets of a group: one export each, sharing everything, as many at once as allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Environment, Stack, aws_iam, aws_personalize

from cdk_personalize_export import DatasetExport, DatasetGroupExport, ExportDestination, ExportProvider
from tests.synth.conftest import name_of

if TYPE_CHECKING:
    from tests.synth.conftest import Synthesise

TYPES = ["INTERACTIONS", "ITEMS", "USERS"]
GROUP = "arn:aws:personalize:us-east-1:123456789012:dataset/movies"
ARNS = [f"{GROUP}/{dataset_type}" for dataset_type in TYPES]
EXPORT = "Custom::PersonalizeDatasetExport"


def dataset(stack: Stack, dataset_type: str) -> aws_personalize.CfnDataset:
    return aws_personalize.CfnDataset(
        stack, dataset_type, dataset_group_arn="g", dataset_type=dataset_type, name=dataset_type, schema_arn="s"
    )


def waits_for(resources: dict[str, Any]) -> dict[str, list[str]]:
    """Which exports each export waits for, by type."""
    return {
        name(logical_id): [name(other) for other in resource.get("DependsOn", []) if resources[other]["Type"] == EXPORT]
        for logical_id, resource in resources.items()
        if resource["Type"] == EXPORT
    }


def name(logical_id: str) -> str:
    return name_of(logical_id).removeprefix("Movies")


def test_group_shares_bucket_role_and_function(stack: Stack, synth: Synthesise) -> None:
    DatasetGroupExport(stack, "Movies", datasets=ARNS)
    result = synth(stack)
    assert len(result.resources) == 11
    assert [export["DatasetArn"] for export in result.exports] == ARNS
    assert [export["JobNamePrefix"] for export in result.exports] == [
        "Prod-5f5635-Interactions",
        "Prod-5f5635-Items",
        "Prod-5f5635-Users",
    ]
    assert {(export["Bucket"], export["Prefix"]) for export in result.exports} == {
        ("${MoviesDestinationBucket}", "personalize/")
    }


def test_logical_ids_of_a_group_are_pinned_because_they_are_part_of_the_api(stack: Stack, synth: Synthesise) -> None:
    DatasetGroupExport(stack, "Movies", datasets=ARNS)
    assert [key for key, r in synth(stack).resources.items() if r["Type"] == EXPORT] == [
        "MoviesInteractionsResourcec71ffc614858777F",
        "MoviesItemsResourcec71ffc61EE986F25",
        "MoviesUsersResourcec71ffc61071647D0",
    ]


def test_group_is_named_by_its_name_and_its_types(stack: Stack, synth: Synthesise) -> None:
    export = DatasetGroupExport(stack, "Movies", dataset_group="movies", dataset_types=["Interactions", "users"])
    own = "arn:${AWS::Partition}:personalize:${AWS::Region}:${AWS::AccountId}:dataset/movies"
    assert [e["DatasetArn"] for e in synth(stack).exports] == [f"{own}/INTERACTIONS", f"{own}/USERS"]
    assert list(export.exports) == ["INTERACTIONS", "USERS"]


def test_group_name_known_only_at_deployment_passes(stack: Stack, synth: Synthesise) -> None:
    group = CfnParameter(stack, "Group").value_as_string
    DatasetGroupExport(stack, "Movies", dataset_group=group, dataset_types=["ITEMS"])
    assert synth(stack).export["DatasetArn"].endswith(":dataset/${Group}/ITEMS")


def test_l1_datasets_are_named_by_their_type(stack: Stack, synth: Synthesise) -> None:
    export = DatasetGroupExport(stack, "Movies", datasets=[dataset(stack, "Users"), dataset(stack, "Interactions")])
    assert list(export.exports) == ["USERS", "INTERACTIONS"]
    assert [e["DatasetArn"] for e in synth(stack).exports] == ["${Users.DatasetArn}", "${Interactions.DatasetArn}"]


def test_each_dataset_has_attributes_of_its_own(stack: Stack) -> None:
    group = DatasetGroupExport(stack, "Movies", datasets=ARNS)
    for dataset_type in TYPES:
        export = group.exports[dataset_type]
        assert isinstance(export, DatasetExport)
        (logical_id, attribute) = stack.resolve(export.job_arn)["Fn::GetAtt"]
        assert attribute == "DatasetExportJobArn"
        assert logical_id.startswith(f"Movies{dataset_type.title()}")


def test_options_reach_every_export(stack: Stack, synth: Synthesise) -> None:
    DatasetGroupExport(
        stack,
        "Movies",
        datasets=ARNS,
        ingestion_mode="BULK",
        destination=ExportDestination(stack, "Exports", prefix="movies"),
        provider=ExportProvider(stack, "Provider"),
        generation="2",
        job_name_prefix="nightly",
        max_wait=Duration.minutes(10),
        tags={"a": "b"},
    )
    for export, arn in zip(synth(stack).exports, ARNS, strict=True):
        assert export == {
            "ServiceToken": "${ProviderFunction.Arn}",
            "ServiceTimeout": "840",
            "ExportId": f"Movies/{arn.rpartition('/')[2].title()}",
            "JobNamePrefix": "nightly",
            "DatasetArn": arn,
            "IngestionMode": "BULK",
            "RoleArn": "${ExportsRole.Arn}",
            "Bucket": "${ExportsBucket}",
            "Prefix": "movies/",
            "PolicyArn": "${ProviderPolicy}",
            "Generation": "2",
            "Tags": [{"Key": "a", "Value": "b"}],
            "MaxWaitSeconds": "600",
        }


@pytest.mark.parametrize(
    ("max_concurrency", "expected"),
    [
        (None, {"Interactions": [], "Items": [], "Users": []}),
        (5, {"Interactions": [], "Items": [], "Users": []}),
        (2, {"Interactions": [], "Items": [], "Users": ["Interactions"]}),
        (1, {"Interactions": [], "Items": ["Interactions"], "Users": ["Items"]}),
    ],
)
def test_no_more_exports_than_allowed_run_at_once(
    stack: Stack, synth: Synthesise, max_concurrency: int | None, expected: dict[str, list[str]]
) -> None:
    DatasetGroupExport(stack, "Movies", datasets=ARNS, max_concurrency=max_concurrency)
    assert waits_for(synth(stack).resources) == expected


def test_the_next_in_turn_waits_for_the_last_link_of_the_one_before(stack: Stack, synth: Synthesise) -> None:
    DatasetGroupExport(stack, "Movies", datasets=ARNS[:2], max_concurrency=1, max_wait=Duration.hours(2))
    resources = synth(stack).resources
    (items,) = [r for key, r in resources.items() if key.startswith("MoviesItemsResource")]
    links = {name_of(d) for d in items["DependsOn"] if "Link" in d}
    assert links == {"MoviesInteractionsLink2", "MoviesInteractionsLink3"}


def test_jobs_are_only_accepted_without_waiting(stack: Stack, synth: Synthesise) -> None:
    DatasetGroupExport(stack, "Movies", datasets=ARNS, wait=False)
    assert [export["Wait"] for export in synth(stack).exports] == ["false"] * 3


def test_reader_may_read_all_of_them(stack: Stack, synth: Synthesise) -> None:
    reader = aws_iam.Role(stack, "Reader", assumed_by=aws_iam.AccountRootPrincipal())
    DatasetGroupExport(stack, "Movies", datasets=ARNS).grant_read(reader).assert_success()
    (statement,) = synth(stack).statements("ReaderDefaultPolicy")
    assert statement["Resource"] == ["${MoviesDestinationBucket.Arn}", "${MoviesDestinationBucket.Arn}/personalize/*"]


def refusal(stack: Stack, **options: Any) -> str:
    with pytest.raises(ValueError, match=r".") as refused:
        DatasetGroupExport(stack, "Movies", **options)
    assert stack.node.try_find_child("Movies") is None, "a refused export leaves nothing behind"
    return str(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dataset_group": "movies"},
        {"dataset_types": ["ITEMS"]},
        {"datasets": ARNS, "dataset_group": "movies"},
        {"datasets": ARNS, "dataset_types": ["ITEMS"]},
        {"datasets": ARNS, "dataset_group": "movies", "dataset_types": ["ITEMS"]},
    ],
)
def test_options_that_do_not_say_what_to_export(stack: Stack, options: dict[str, Any]) -> None:
    assert refusal(stack, **options) == (
        "datasets, dataset_group and dataset_types do not say what to export. Give either datasets, or dataset_group "
        "and dataset_types."
    )


def test_text_or_nothing_where_a_list_belongs(stack: Stack) -> None:
    fix = "It must be a list or tuple: write [...], in an order that stays."
    assert refusal(stack, datasets=ARNS[0]) == f"datasets is {ARNS[0]!r}. {fix}"
    assert refusal(stack, datasets=[]) == "datasets is empty. Name at least one, or remove this export."
    assert refusal(stack, dataset_group="m", dataset_types="ITEMS") == f"dataset_types is 'ITEMS'. {fix}"
    assert refusal(stack, dataset_group="m", dataset_types=[]) == (
        "dataset_types is empty. Name at least one, or remove this export."
    )


def test_type_personalize_does_not_know(stack: Stack) -> None:
    assert refusal(stack, dataset_group="movies", dataset_types=["FILMS"]) == (
        "dataset type 'FILMS' is unknown. Allowed are INTERACTIONS, ITEMS, USERS."
    )


def test_type_personalize_does_not_export(stack: Stack) -> None:
    message = (
        "dataset {!r} is of type ACTIONS, which Amazon Personalize cannot export. Only INTERACTIONS, ITEMS, USERS "
        "datasets can be exported: remove this export."
    )
    assert refusal(stack, dataset_group="movies", dataset_types=["Actions"]) == message.format("Actions")
    assert refusal(stack, datasets=[*ARNS, f"{GROUP}/ACTIONS"]) == message.format(f"{GROUP}/ACTIONS")


@pytest.mark.parametrize("group", ["", "-m", "a b", "m" * 64, "arn:aws:personalize:us-east-1:1:dataset-group/m"])
def test_text_that_names_no_dataset_group(stack: Stack, group: str) -> None:
    assert refusal(stack, dataset_group=group, dataset_types=["ITEMS"]) == (
        f"dataset_group {group!r} is not the name of a dataset group, which has 1 to 63 letters, digits, hyphens and "
        "underscores, the first a letter or digit. Give the name alone, not its ARN; `aws personalize "
        "list-dataset-groups` prints it."
    )


def test_two_datasets_of_one_type(stack: Stack) -> None:
    message = (
        "2 datasets are of type ITEMS. A dataset group has at most one of each type: name each once, and make one "
        "DatasetGroupExport per group."
    )
    assert refusal(stack, datasets=[*ARNS, ARNS[1]]) == message
    assert refusal(stack, dataset_group="movies", dataset_types=["ITEMS", "Items"]) == message


def test_datasets_of_two_groups(stack: Stack) -> None:
    assert refusal(stack, datasets=[ARNS[0], ARNS[1].replace("movies", "books")]) == (
        "the datasets are of the groups movies, books. Make one DatasetGroupExport per group."
    )


def test_type_known_only_at_deployment(stack: Stack) -> None:
    assert refusal(stack, datasets=[CfnParameter(stack, "Dataset").value_as_string]) == (
        "the type of a dataset is only known at deployment. It becomes part of the logical ids: use a DatasetExport "
        "for it, or give dataset_group and dataset_types."
    )


@pytest.mark.parametrize("max_concurrency", [0, -1, True, 1.5, "2"])
def test_max_concurrency_that_is_no_number_of_exports(stack: Stack, max_concurrency: Any) -> None:
    assert refusal(stack, datasets=ARNS, max_concurrency=max_concurrency) == (
        f"max_concurrency is {max_concurrency!r}. It must be a whole number, 1 or more: write 5, or leave it out for "
        "the default."
    )


def test_max_concurrency_that_is_more_than_the_provider_allows(stack: Stack) -> None:
    assert refusal(stack, datasets=ARNS, max_concurrency=6) == (
        "max_concurrency is 6, but the provider lets 5 exports of a stack run at a time: raise that of the "
        "ExportProvider, or give at most 5."
    )
    few = ExportProvider(stack, "Few", max_concurrency=2)
    assert "the provider lets 2 exports" in refusal(stack, datasets=ARNS, max_concurrency=3, provider=few)


def test_max_concurrency_without_waiting(stack: Stack) -> None:
    assert refusal(stack, datasets=ARNS, max_concurrency=1, wait=False) == (
        "max_concurrency has no meaning with wait=False, which waits for nothing: leave one of them out."
    )


def test_group_somewhere_else_than_its_stack_or_destination(app: App) -> None:
    stack = Stack(app, "Prod", env=Environment(account="123456789012", region="eu-west-1"))
    assert "is in Region us-east-1, but stack 'Prod' deploys to Region eu-west-1." in refusal(stack, datasets=ARNS)
    there = ExportDestination(Stack(app, "There", env=Environment(region="us-east-1")), "Exports")
    assert "ExportDestination 'There' is in Region us-east-1" in refusal(
        stack, dataset_group="movies", dataset_types=["ITEMS"], destination=there
    )
