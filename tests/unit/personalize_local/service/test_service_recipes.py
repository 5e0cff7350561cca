"""Recipes can be listed and described, though nothing trains with them."""

from __future__ import annotations

from typing import Any

from personalize_local.service import Caller

ARN = "arn:aws:personalize:::recipe/aws-vod-top-picks"


def test_recipes_are_listed_page_by_page(world: Any) -> None:
    everything = [recipe["name"] for recipe in world.call("ListRecipes")["recipes"]]
    assert {"aws-user-personalization-v2", "aws-next-best-action", "aws-vod-top-picks"} <= set(everything)
    names: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = world.call("ListRecipes", recipeProvider="SERVICE", maxResults=10, **token)
        names += [recipe["name"] for recipe in page["recipes"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert names == everything


def test_recipes_of_a_domain_are_its_use_cases(world: Any) -> None:
    recipes = world.call("ListRecipes", domain="VIDEO_ON_DEMAND")["recipes"]
    assert len(recipes) == 5
    assert {recipe["domain"] for recipe in recipes} == {"VIDEO_ON_DEMAND"}


def test_recipe_is_described(world: Any) -> None:
    recipe = world.call("DescribeRecipe", recipeArn=ARN)["recipe"]
    assert (recipe["name"], recipe["status"], recipe["recipeType"]) == (
        "aws-vod-top-picks",
        "ACTIVE",
        "USER_PERSONALIZATION",
    )
    assert recipe["algorithmArn"] == "arn:aws:personalize:::algorithm/aws-vod-top-picks"
    assert world.refusal("DescribeRecipe", recipeArn=ARN + "s").code == "ResourceNotFoundException"


def test_recipes_have_the_partition_of_the_region(world: Any) -> None:
    caller = Caller.of("000000000000", "cn-north-1")
    arns = [recipe["recipeArn"] for recipe in world.call("ListRecipes", caller)["recipes"]]
    assert all(arn.startswith("arn:aws-cn:personalize:::recipe/") for arn in arns)
