"""The shape of the API, from botocore's own data files.

Requests are validated and answers are cut to the service-2 models of ``personalize`` and ``personalize-events``, so
that what is accepted and returned here is what every AWS SDK is generated from
(https://docs.aws.amazon.com/personalize/latest/dg/API_Reference.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.loaders import Loader
from botocore.model import ServiceModel

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICES = ("personalize", "personalize-events")
BAD_REQUEST = 400


@dataclass(frozen=True)
class Operation:
    """One operation of the model.

    Args:
        name: Its name, such as ``CreateDataset``.
        input: The botocore shape of the request.
        output: The botocore shape of the answer; ``None`` when there is none.
        statuses: The HTTP status of each error the operation documents.
    """

    name: str
    input: Any
    output: Any
    statuses: Mapping[str, int]


@cache
def operations() -> Mapping[str, Operation]:
    """Return every operation of both services by name; no name occurs in both."""
    # Only the packaged models: a customised one in the home directory must not change what is tested.
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    found = {}
    for service in SERVICES:
        model = ServiceModel(loader.load_service_model(service, "service-2"), service)
        for name in model.operation_names:
            operation = model.operation_model(name)
            statuses = {
                shape.name: int(shape.metadata.get("error", {}).get("httpStatusCode", BAD_REQUEST))
                for shape in operation.error_shapes
            }
            found[str(name)] = Operation(str(name), operation.input_shape, operation.output_shape, statuses)
    return found


@cache
def regions() -> Mapping[str, str]:
    """Return the Regions of Personalize as botocore knows them, each with its partition."""
    session = botocore.session.Session()
    return {
        str(region): str(partition)
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("personalize", partition)
    }


def project(view: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    """Return the members of ``view`` that the structure ``shape`` has and that have a value."""
    return {name: view[name] for name in shape.members if view.get(name) is not None}
