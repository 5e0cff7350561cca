"""The edge to ministack: the one release this works with, the names of it that are used, and how they are replaced.

ministack is young and its internals move, so the release is pinned exactly and every name is looked up at start-up: a
mismatch is one line that says what to do, never an AttributeError in the middle of a deployment.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

VERSION = "1.5.33"

APP = "ministack.app"
EVALUATOR = "ministack.core.iam_evaluator"
ACTIONS = "ministack.core.iam_actions"
ATHENA = "ministack.services.athena"
CONCURRENCY = "ministack.core.concurrency"
LAMBDA_RUNTIME = "ministack.core.lambda_runtime"
RESPONSES = "ministack.core.responses"
ROUTER = "ministack.core.router"
CHANGE_SETS = "ministack.services.cloudformation.changesets"
CLOUDFORMATION = "ministack.services.cloudformation"
CLOUDFORMATION_HANDLERS = "ministack.services.cloudformation.handlers"
CLOUDWATCH = "ministack.services.cloudwatch"
CUSTOM_RESOURCE = "ministack.services.cloudformation.custom_resource"
PROVISIONERS = "ministack.services.cloudformation.provisioners"
STACKS = "ministack.services.cloudformation.stacks"
EVENTBRIDGE = "ministack.services.eventbridge"
GLUE = "ministack.services.glue"
IAM = "ministack.services.iam"
KMS = "ministack.services.kms"
LAMBDA = "ministack.services.lambda_svc"
LOGS = "ministack.services.cloudwatch_logs"
S3 = "ministack.services.s3"
SCHEDULER = "ministack.services.scheduler"
SNS = "ministack.services.sns"
STS = "ministack.services.sts"
TCP_SERVER = "hypercorn.asyncio.tcp_server"  # what ministack serves with

TAGGING = "ministack.services.tagging"

DUCKDB = (
    "duckdb"  # ministack imports it to see whether it is there, which would make the start a fifth of a second longer
)

NAMES: Mapping[str, tuple[str, ...]] = {
    APP: (
        "AUTH",
        "SERVICE_HANDLERS",
        "_credential_failure",
        "_handle_post_body_shortcuts",
        "app",
        "pin_request_origin",
        "pin_signed_request",
    ),
    EVALUATOR: (
        "AuthError",
        "EvalContext",
        "_is_root_key",
        "_first_match",
        "_names_condition_key",
        "_request_origin",
        "_resolve_condition_key",
        "caller_verified",
        "enforce",
        "evaluate",
        "evaluate_resource_policy",
        "evaluate_trust_policy",
        "parse_policy_document",
        "pin_signed_request",
        "resolve_credential",
        "resolve_principal",
    ),
    ACTIONS: (
        "_s3_action",
        "extract_resource_arn",
        "identity_denial_message",
        "request_tag_context",
        "s3_additional_checks",
        "s3_service_context",
    ),
    CONCURRENCY: ("run_reentrant", "spawn_background"),
    LAMBDA_RUNTIME: ("Worker", "Worker._drain_stderr_bounded", "execution_credentials", "invalidate_worker"),
    RESPONSES: ("get_account_id", "get_region", "request_scope"),
    ROUTER: ("SERVICE_PATTERNS", "extract_access_key_id", "extract_region"),
    ATHENA: (
        "ATHENA_ENGINE",
        "_empty_relation",
        "_executions",
        "_materialize_table_files",
        "_run_duckdb",
        "_save_query_results",
        "_table_relation",
    ),
    CHANGE_SETS: ("_deploy_stack_async",),
    CLOUDFORMATION: ("_change_sets", "_stack_events", "_stacks"),
    CLOUDFORMATION_HANDLERS: (
        "_ACTION_HANDLERS",
        "_delete_stack_async",
        "_deploy_stack_async",
        "_error",
        "_p",
        "_resolve_stack",
        "_roll_back_operation",
    ),
    CLOUDWATCH: (
        "_alarms",
        "_calc_stats",
        "_dims_from_list",
        "_dims_key",
        "_dispatch_alarm_actions",
        "_evaluate_alarm",
        "_evaluate_parent_alarms",
        "_error",
        "_metrics",
        "_p",
        "_put_metric_alarm",
        "_record_history",
        "_stat_value",
        "_store_datum",
        "cloudformation_put_metric_alarm",
        "record_metric",
        "time",
    ),
    EVENTBRIDGE: ("_dispatch_event",),
    GLUE: ("_partitions", "_tables"),
    SNS: ("_fanout",),
    CUSTOM_RESOURCE: (
        "_lock",
        "_normalise_resource_properties",
        "_pending",
        "deliver_response",
        "invoke_custom_resource",
        "register_token",
    ),
    PROVISIONERS: (
        "_REPLACING_PROPERTIES",
        "_RESOURCE_HANDLERS",
        "_STACK_TAG_PROPERTY",
        "_cr_stack_id",
        "_custom_named_replacement_error",
        "_delete_predecessor",
        "_physical_name",
        "_tag_map",
    ),
    STACKS: (
        "CLIENT_REQUEST_TOKEN",
        "_add_event",
        "_custom_named_replacement_error",
        "_delete_resource",
        "_delete_stack_async",
        "_deploy_stack_async",
        "_evaluate_conditions",
        "_resolve_stack_outputs",
        "_roll_back_operation",
        "_runs_on_worker_thread",
        "_topological_sort",
        "_update_resource",
        "now_iso",
        "run_reentrant",
    ),
    IAM: (
        "_aws_managed_policies",
        "_boundary_policy_error",
        "_make_aws_managed_record",
        "_roles",
        "_seed_aws_managed_policies",
    ),
    KMS: ("key_policy_for_arn",),
    LAMBDA: (
        "_account_region_from_function_config",
        "_emit_lambda_logs",
        "_execution_record_for_config",
        "_get_func_record_for_ref",
        "invoke_async_with_retry",
    ),
    LOGS: ("_fanout_to_subscription_filters", "_log_groups"),
    S3: (
        "_bucket_encryption",
        "_bucket_owner_account",
        "_bucket_policies",
        "_bucket_tags",
        "_buckets",
        "_foreign_bucket_allows",
        "_object_versions",
        "resolve_credential",
    ),
    SCHEDULER: (
        "_ensure_default_group",
        "_schedule_arn",
        "_schedule_groups",
        "_schedules",
        "_tick_schedules",
        "handle_request",
    ),
    STS: ("register_session",),
    TCP_SERVER: ("TCPServer._read_data",),
    TAGGING: ("_COLLECTORS", "_REMOVERS", "_ResourceNotFound", "_WRITERS", "resource_tags"),
}


class IncompatibleMinistackError(Exception):
    """ministack is not there, is another release, or lacks a name; the message says what to do."""


def check(names: Mapping[str, Iterable[str]] = NAMES, version: str = VERSION) -> None:
    """Refuse anything but the ministack this was written for.

    Raises:
        IncompatibleMinistackError: With one line that says what was found and what to run.
    """
    remedy = f"pip install ministack=={version}"
    try:
        found = metadata.version("ministack")
    except metadata.PackageNotFoundError:
        raise IncompatibleMinistackError(
            f"personalize_local needs ministack=={version}, found none: {remedy}"
        ) from None
    if found != version:
        raise IncompatibleMinistackError(f"personalize_local needs ministack=={version}, found {found}: {remedy}")
    with _absent(DUCKDB):
        missing = [f"{module}.{name}" for module, wanted in names.items() for name in _missing(module, wanted)]
    if missing:
        raise IncompatibleMinistackError(
            f"personalize_local needs ministack=={version}, but {', '.join(missing)} is not in it; "
            f"somebody changed it: pip install --force-reinstall ministack=={version}"
        )


@contextlib.contextmanager
def _absent(module: str) -> Iterator[None]:
    """Let a module that nobody has imported yet look as if it was not installed."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # what importlib takes for absent
    try:
        yield
    finally:
        del sys.modules[module]


def _missing(module: str, names: Iterable[str]) -> list[str]:
    """Return the names that the module does not have, or the module itself."""
    try:
        found = importlib.import_module(module)
    except ImportError:
        return ["(the module)"]
    return [name for name in names if not _has(found, name)]


def _has(owner: Any, name: str) -> bool:
    """Tell whether there is a name, which may be one of a class."""
    first, _, rest = name.partition(".")
    return hasattr(owner, first) and (not rest or _has(getattr(owner, first), rest))


def load(module: str) -> Any:
    """Return a module of ministack; it has no types, so everything behind this is Any."""
    return importlib.import_module(module)


def wrap(module: str, name: str, make: Callable[[Any], Any]) -> None:
    """Replace ``module.name`` with what ``make`` returns for the original."""
    owner = load(module)
    setattr(owner, name, make(getattr(owner, name)))
