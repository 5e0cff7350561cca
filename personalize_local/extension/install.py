"""Puts everything into ministack, in the process that will serve it."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from personalize_local.extension import (
    change_sets,
    conditional_writes,
    connections,
    embedded_metrics,
    event_conditions,
    foreign_buckets,
    iam_policies,
    partitions,
    patches,
    repairs,
    resource_views,
    root_users,
)
from personalize_local.extension.alarms import Alarms
from personalize_local.extension.athena import Athena
from personalize_local.extension.calls import CallLog
from personalize_local.extension.clock import Clock
from personalize_local.extension.cloudformation import PersonalizeTypes
from personalize_local.extension.custom_resources import CustomResources
from personalize_local.extension.failures import FailedCreates
from personalize_local.extension.iam import Authoriser
from personalize_local.extension.objects import S3Objects
from personalize_local.extension.own_paths import OwnPaths
from personalize_local.extension.rollback import Rollbacks
from personalize_local.extension.routing import PersonalizeApi
from personalize_local.extension.scheduler import Scheduler
from personalize_local.extension.tags import PersonalizeTags
from personalize_local.extension.updates import Updates
from personalize_local.service import PersonalizeService

if TYPE_CHECKING:
    from personalize_local.service import Settings

logger = logging.getLogger("personalize_local")

TICK_SECONDS = 0.1


def install(endpoint: str, settings: Settings) -> None:
    """Check the release of ministack and extend it.

    Args:
        endpoint: Where the server will listen.
        settings: How the local Personalize behaves.

    Raises:
        IncompatibleMinistackError: It is not the release this works with.
    """
    patches.check()
    log, failed_creates, clock = CallLog(), FailedCreates(), Clock()
    authoriser = Authoriser(log)
    service = PersonalizeService(settings, S3Objects(endpoint, log, iam=authoriser.enabled), clock.now)
    resources = CustomResources(endpoint, failed_creates)
    connections.register()
    event_conditions.register()
    repairs.register(log)
    root_users.register()
    iam_policies.register()
    partitions.register()
    foreign_buckets.register()
    conditional_writes.register()
    resources.register()
    Updates().register()  # before the rollbacks, which add events too
    change_sets.register()
    resource_views.register()
    PersonalizeApi(service, authoriser, clock).register()
    PersonalizeTags(service).register()
    PersonalizeTypes(service, failed_creates).register()
    Rollbacks(failed_creates).register()
    embedded_metrics.register(clock)
    Alarms(clock).register()
    Athena(endpoint, authoriser, clock, skips_symlink_headers=settings.athena_skips_symlink_headers).register()
    Scheduler(endpoint, log, authoriser, clock, settings.schedule_deliveries).register()
    OwnPaths(service, log, resources, clock).register()
    threading.Thread(target=_tick, args=(service,), name="personalize-tick", daemon=True).start()


def _tick(service: PersonalizeService) -> None:
    """Let time pass for jobs that nobody asks about."""
    while True:
        time.sleep(TICK_SECONDS)
        try:
            service.tick()
        except Exception:
            logger.exception("a transition failed")
