"""What ministack leaves out and a real deployment shows: secure loopback, events in order, buckets, Lambda.

Each repair names the behaviour of AWS it restores. They wrap single functions, so a release that gains one loses only
the wrapper.
"""

from __future__ import annotations

import ipaddress
import re
import threading
import uuid
from contextvars import ContextVar
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from personalize_local.extension import patches
from personalize_local.extension.calls import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from personalize_local.extension.calls import CallLog

BUCKET = "AWS::S3::Bucket"
FUNCTION = "AWS::Lambda::Function"
_SESSION = re.compile(r"^arn:([a-z-]+):sts::(\d+):assumed-role/([^/]+)/.+$")
LOG_ACTIONS = ("logs:CreateLogStream", "logs:PutLogEvents")


def register(log: CallLog) -> None:
    """Put all repairs in place."""
    _treat_loopback_as_secure()
    _name_the_role_behind_a_session()
    _give_every_stack_event_a_time_of_its_own()
    _repair_buckets()
    _end_workers_of_deleted_functions()
    _tell_functions_their_log_group()
    worker = patches.load(patches.LAMBDA_RUNTIME).Worker
    worker._drain_stderr_bounded = patiently(worker._drain_stderr_bounded)  # noqa: SLF001 - no public interface
    _check_log_permissions(log)


def _treat_loopback_as_secure() -> None:
    """Let ``aws:SecureTransport`` be true on loopback, where there is no wire: SSL-only policies are the rule."""
    evaluator = patches.load(patches.EVALUATOR)
    origin: ContextVar[tuple[str, bool]] = ContextVar("personalize_local_request_origin", default=("127.0.0.1", True))
    evaluator._request_origin = origin  # noqa: SLF001 - ministack has no public interface

    def pin(original: Callable[[str, bool], None]) -> Callable[[str, bool], None]:
        return lambda source, secure: original(source, secure or _is_loopback(source))

    patches.wrap(patches.APP, "pin_request_origin", pin)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _name_the_role_behind_a_session() -> None:
    """Let ``aws:PrincipalArn`` of a session be the ARN of its role, as on AWS; its path is not known here."""

    def make(original: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
        def resolve(key: str, context: Any) -> Any:
            value = original(key, context)
            return _SESSION.sub(r"arn:\1:iam::\2:role/\3", value) if key.lower() == "aws:principalarn" else value

        return resolve

    patches.wrap(patches.EVALUATOR, "_resolve_condition_key", make)


def _give_every_stack_event_a_time_of_its_own() -> None:
    """Let each event be later than the one before: the CDK CLI shows those of one millisecond backwards."""
    latest, lock = datetime.min.replace(tzinfo=timezone.utc), threading.Lock()

    def now() -> str:
        nonlocal latest
        with lock:
            latest = max(datetime.now(timezone.utc), latest + timedelta(milliseconds=1))
            return latest.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    patches.wrap(patches.STACKS, "now_iso", lambda _: now)


def _repair_buckets() -> None:
    """Keep a bucket's tags and encryption, and refuse to delete one that is not empty."""
    provisioners, s3 = patches.load(patches.PROVISIONERS), patches.load(patches.S3)
    handlers = provisioners._RESOURCE_HANDLERS[BUCKET]  # noqa: SLF001 - ministack has no public interface
    provisioners._STACK_TAG_PROPERTY.setdefault(BUCKET, ("Tags", "list"))  # noqa: SLF001
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    def apply(name: str, props: Mapping[str, Any]) -> None:
        _assign(s3._bucket_tags, name, provisioners._tag_map(props.get("Tags")))  # noqa: SLF001
        _assign(s3._bucket_encryption, name, _encryption_xml(props.get("BucketEncryption") or {}))  # noqa: SLF001

    def created(logical_id: str, props: Mapping[str, Any], stack_name: str) -> Any:
        name, attributes = create(logical_id, props, stack_name)
        apply(name, props)
        return name, attributes

    def updated(physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], stack_name: str) -> Any:
        name, attributes = update(physical_id, old, new, stack_name)
        apply(name, new)
        return name, attributes

    def deleted(physical_id: str, props: Mapping[str, Any]) -> None:
        if _holds_objects(physical_id):
            raise ValueError(
                'Resource handler returned message: "The bucket you tried to delete is not empty '
                f'(Service: S3, Status Code: 409, Request ID: {uuid.uuid4()})" '
                f"(RequestToken: {uuid.uuid4()}, HandlerErrorCode: GeneralServiceException)"
            )
        delete(physical_id, props)

    handlers.update(create=created, update=updated, delete=deleted)


def _assign(store: Any, name: str, value: object) -> None:
    """Set or clear one setting of a bucket."""
    if value:
        store[name] = value
    else:
        store.pop(name, None)


def _encryption_xml(encryption: Mapping[str, Any]) -> str:
    """Write a bucket's default encryption as S3 stores it."""
    rules = encryption.get("ServerSideEncryptionConfiguration") or []
    default = (rules[0].get("ServerSideEncryptionByDefault") or {}) if rules else {}
    key = default.get("KMSMasterKeyID")
    if not default or (default.get("SSEAlgorithm") != "AES256" and not key):
        return ""  # ministack has no key of AWS's own to encrypt with
    key_xml = f"<KMSMasterKeyID>{escape(str(key))}</KMSMasterKeyID>" if key else ""
    return (
        '<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>'
        "<ApplyServerSideEncryptionByDefault>"
        f"<SSEAlgorithm>{escape(str(default.get('SSEAlgorithm', 'AES256')))}</SSEAlgorithm>{key_xml}"
        "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )


def _holds_objects(bucket: str) -> bool:
    """Tell whether a bucket holds an object or an older version of one."""
    s3 = patches.load(patches.S3)
    record = s3._buckets.get(bucket) or {}  # noqa: SLF001 - ministack has no public interface
    versions = s3._object_versions  # noqa: SLF001
    return bool(record.get("objects")) or any(key[0] == bucket and versions[key] for key in versions)


def _end_workers_of_deleted_functions() -> None:
    """End the processes of a function with it."""
    handlers = patches.load(patches.PROVISIONERS)._RESOURCE_HANDLERS[FUNCTION]  # noqa: SLF001 - no public interface
    responses, runtime = patches.load(patches.RESPONSES), patches.load(patches.LAMBDA_RUNTIME)
    delete = handlers["delete"]

    def deleted(physical_id: str, props: Mapping[str, Any]) -> None:
        delete(physical_id, props)
        account, region = responses.get_account_id(), responses.get_region()
        spawn = patches.load(patches.CONCURRENCY).spawn_background  # ending one takes up to 2 s
        spawn(runtime.invalidate_worker, physical_id, account=account, region=region)

    handlers["delete"] = deleted


def _tell_functions_their_log_group() -> None:
    """Set ``AWS_LAMBDA_LOG_GROUP_NAME``, which also becomes ``context.log_group_name``."""

    def make(original: Any) -> Any:
        def spawn(worker: Any) -> Any:
            config = worker.config
            environment = config.get("Environment") or {}
            group = {"AWS_LAMBDA_LOG_GROUP_NAME": _log_group(config)}
            variables = {**(environment.get("Variables") or {}), **group}
            worker.config = {**config, "Environment": {**environment, "Variables": variables}}
            return original(worker)

        return spawn

    worker_class = patches.load(patches.LAMBDA_RUNTIME).Worker
    worker_class._spawn = make(worker_class._spawn)  # noqa: SLF001 - ministack has no public interface


def patiently(drain: Callable[..., str]) -> Callable[..., str]:
    """Wait longer for what a function printed last: on a busy machine 5 ms without a line are not the end.

    What came later was shown, and counted as metrics, with the next invocation only.
    """

    def collect(worker: Any, **_waits: float) -> str:
        return drain(worker, first_line_wait=0.1, idle_confirm=0.1, hard_cap=2.0)

    return collect


def _log_group(config: Mapping[str, Any]) -> str:
    """Return the log group a function writes to."""
    logging_config = config.get("LoggingConfig") or {}
    return str(logging_config.get("LogGroup") or f"/aws/lambda/{config.get('FunctionName', '')}")


def _check_log_permissions(log: CallLog) -> None:
    """Drop the logs of a function whose role may not write them, and record what Lambda writes on its behalf."""
    if not patches.load(patches.APP).AUTH:
        return

    def make(original: Callable[..., None]) -> Callable[..., None]:
        def emit(function: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            config = function.get("config") or function
            if _may_log(config, log):
                original(function, *args, **kwargs)

        return emit

    patches.wrap(patches.LAMBDA, "_emit_lambda_logs", make)


def _may_log(config: Mapping[str, Any], log: CallLog) -> bool:
    """Check what Lambda needs to write a log: the group too, when it is not there yet."""
    group = _log_group(config)
    account, region = patches.load(patches.LAMBDA)._account_region_from_function_config(config)  # noqa: SLF001
    with patches.load(patches.RESPONSES).request_scope(account, region):
        exists = group in patches.load(patches.LOGS)._log_groups  # noqa: SLF001
        arn = f"arn:aws:logs:{region}:{account}:log-group:{group}"
        wanted = [("logs:CreateLogGroup", f"{arn}:*")] if not exists else []
        wanted += [(action, f"{arn}:log-stream:*") for action in LOG_ACTIONS]
        decisions = [_role_may(config, action, resource, region, log) for action, resource in wanted]
    return all(decisions)  # of all, so that each one is recorded


def _role_may(config: Mapping[str, Any], action: str, resource: str, region: str, log: CallLog) -> bool:
    """Evaluate one action of the function's role, and record it."""
    evaluator = patches.load(patches.EVALUATOR)
    credentials = patches.load(patches.LAMBDA_RUNTIME).execution_credentials(config)
    account = patches.load(patches.RESPONSES).get_account_id()
    principal = evaluator.resolve_principal(credentials["AWS_ACCESS_KEY_ID"], account)
    context = evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=region,
    )
    allowed = evaluator.evaluate(context, principal.policies, *principal.limits).decision == "Allow"
    log.add(Call("logs", action, (resource,), principal.arn, allowed))
    return bool(allowed)
