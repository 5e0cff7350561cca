"""The recipes of Amazon Personalize: what ListRecipes and DescribeRecipe tell.

Rests on https://docs.aws.amazon.com/personalize/latest/dg/working-with-predefined-recipes.html and its siblings
ECOMMERCE-use-cases.html and VIDEO_ON_DEMAND-use-cases.html. Their ARNs and those of their algorithms are documented;
the ARN of a feature transformation, the wording of descriptions and all times are (unknown). Nothing trains a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from personalize_local.service.model import operations, project
from personalize_local.service.reading import page_of
from personalize_local.service.state import ACTIVE, not_found

if TYPE_CHECKING:
    from personalize_local.service.ports import Caller

RELEASED = 1_575_331_200.0  # 2019-12-03, an arbitrary day

_USER, _RANKING, _RELATED = "USER_PERSONALIZATION", "PERSONALIZED_RANKING", "RELATED_ITEMS"
_SEGMENTS, _ACTIONS = "USER_SEGMENTATION", "PERSONALIZED_ACTIONS"
_SHOP, _VIDEO = "ECOMMERCE", "VIDEO_ON_DEMAND"


class Recipe(NamedTuple):
    """One recipe."""

    name: str
    type: str
    description: str
    domain: str = ""

    def view(self, partition: str) -> dict[str, Any]:
        """Return every member the API may show."""
        prefix = f"arn:{partition}:personalize:::"
        return {
            "name": self.name,
            "recipeArn": f"{prefix}recipe/{self.name}",
            "algorithmArn": f"{prefix}algorithm/{self.name}",
            "featureTransformationArn": f"{prefix}feature-transformation/{self.name}",
            "status": ACTIVE,
            "description": self.description,
            "creationDateTime": RELEASED,
            "lastUpdatedDateTime": RELEASED,
            "recipeType": self.type,
            "domain": self.domain or None,
        }


RECIPES = (
    Recipe("aws-user-personalization-v2", _USER, "Recommends items a user will like, with a transformer."),
    Recipe("aws-user-personalization", _USER, "Recommends items a user will like, exploring new ones."),
    Recipe("aws-trending-now", _USER, "Recommends items whose popularity grows fastest."),
    Recipe("aws-popularity-count", _USER, "Recommends the most popular items."),
    Recipe("aws-personalized-ranking-v2", _RANKING, "Ranks a list of items for a user, with a transformer."),
    Recipe("aws-personalized-ranking", _RANKING, "Ranks a list of items for a user."),
    Recipe("aws-similar-items", _RELATED, "Recommends items like a given one, by interactions and metadata."),
    Recipe("aws-semantic-similarity", _RELATED, "Recommends items like a given one, by their text."),
    Recipe("aws-sims", _RELATED, "Recommends items like a given one, by interactions."),
    Recipe("aws-next-best-action", _ACTIONS, "Recommends the actions a user will most likely take."),
    Recipe("aws-item-affinity", _SEGMENTS, "Segments users by their interest in items."),
    Recipe("aws-item-attribute-affinity", _SEGMENTS, "Segments users by their interest in attributes of items."),
    Recipe("aws-hrnn", _USER, "Legacy: recommends items a user will like."),
    Recipe("aws-hrnn-metadata", _USER, "Legacy: recommends items a user will like, by metadata too."),
    Recipe("aws-hrnn-coldstart", _USER, "Legacy: recommends new items too."),
    Recipe("aws-ecomm-customers-who-viewed-x-also-viewed", _RELATED, "Customers who viewed X also viewed.", _SHOP),
    Recipe("aws-ecomm-frequently-bought-together", _RELATED, "Frequently bought together.", _SHOP),
    Recipe("aws-ecomm-popular-items-by-purchases", _USER, "Best sellers.", _SHOP),
    Recipe("aws-ecomm-popular-items-by-views", _USER, "Most viewed.", _SHOP),
    Recipe("aws-ecomm-recommended-for-you", _USER, "Recommended for you.", _SHOP),
    Recipe("aws-vod-because-you-watched-x", _RELATED, "Because you watched X.", _VIDEO),
    Recipe("aws-vod-more-like-x", _RELATED, "More like X.", _VIDEO),
    Recipe("aws-vod-most-popular", _USER, "Most popular.", _VIDEO),
    Recipe("aws-vod-top-picks", _USER, "Top picks for you.", _VIDEO),
    Recipe("aws-vod-trending-now", _USER, "Trending now.", _VIDEO),
)


def list_recipes(params: dict[str, Any], caller: Caller) -> dict[str, Any]:
    """Answer ``ListRecipes``."""
    shape = operations()["ListRecipes"].output.members["recipes"].member
    domain = params.get("domain")
    found = [
        (number, project(recipe.view(caller.partition), shape))
        for number, recipe in enumerate(RECIPES, 1)
        if domain in (None, recipe.domain)
    ]
    return page_of("recipes", found, params, ["ListRecipes", domain])


def describe_recipe(params: dict[str, Any], caller: Caller) -> dict[str, Any]:
    """Answer ``DescribeRecipe``."""
    arn = params["recipeArn"]
    shape = operations()["DescribeRecipe"].output.members["recipe"]
    for recipe in RECIPES:
        view = recipe.view(caller.partition)
        if view["recipeArn"] == arn:
            return {"recipe": project(view, shape)}
    raise not_found(arn)
