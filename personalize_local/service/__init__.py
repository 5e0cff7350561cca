"""A local Amazon Personalize: the control plane of datasets and jobs, and personalize-events, without the network.

Everything behind https://docs.aws.amazon.com/personalize/latest/dg/API_Operations.html that a dataset export needs:
what is wrong with a request is said as the API says it, jobs take time, and objects are written with the role the job
was given.
"""

from personalize_local.service.api import Call, PersonalizeService
from personalize_local.service.errors import AccessRefused, ApiError
from personalize_local.service.ports import Caller, ObjectStore
from personalize_local.service.settings import Fault, Settings

__all__ = ["AccessRefused", "ApiError", "Call", "Caller", "Fault", "ObjectStore", "PersonalizeService", "Settings"]
