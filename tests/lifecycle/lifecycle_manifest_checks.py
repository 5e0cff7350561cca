"""What must hold of manifests and pointers, whatever happens: looked at with every write and at the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.buckets import Stored
    from tests.lifecycle.lifecycle_world import World

MANIFESTS, POINTERS = "_manifests/", "hive/"
Order = tuple[float, str]  # when the job was created, and its name


class ManifestChecks:
    """Watches what the function writes into the buckets, and collects in `world.violations` what must never be."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._offered: dict[str, bytes] = {}
        self._pointers: dict[str, Order] = {}
        world.buckets.on_put = self._put

    def written(self, uri: object, job_name: str, properties: Mapping[str, Any]) -> None:
        """Checks that a manifest somebody was told of is there, and the one that was asked for."""
        bucket, prefix, folder = properties["Bucket"], properties.get("Prefix", ""), properties["Manifest"]
        key = f"{prefix}{MANIFESTS}{folder}/{job_name}.json"
        if uri != f"s3://{bucket}/{key}":
            self._broken(f"the manifest of {job_name} was said to be {uri}")
        elif (bucket, key) not in self._world.buckets.objects:
            self._broken(f"there is no manifest {uri}, though it was told")

    def at_the_end(self) -> None:
        """Checks that the pointers name no export older than the newest one that has a manifest."""
        for (bucket, key), stored in self._world.buckets.objects.items():
            prefix, found, rest = key.partition(MANIFESTS)
            if not found:
                continue
            manifest, folder = json.loads(stored.body), rest.partition("/")[0]
            day = manifest.get("scheduledTime", manifest["job"]["creationDateTime"])[:10]
            for pointer in ("latest", f"daily/dt={day}"):
                place = f"s3://{bucket}/{prefix}{POINTERS}{folder}/{pointer}/symlink.txt"
                if self._pointers.get(place, (0.0, "")) < self._order(manifest["job"]["jobName"]):
                    self._broken(f"{place} names an export older than {key}")

    def _put(self, bucket: str, key: str, stored: Stored, taken: bool) -> None:  # noqa: FBT001 - a hook
        place = f"s3://{bucket}/{key}"
        if MANIFESTS in key:
            self._manifest(bucket, key, stored, taken=taken)
        elif POINTERS not in key:
            self._broken(f"the function wrote {place}")
        elif taken:
            lines = stored.body.decode().splitlines()
            names = {line.split("/")[-2] for line in lines}
            if len(names) != 1:
                self._broken(f"{place} names the jobs {names}")
                return
            order = self._order(names.pop())
            if order <= self._pointers.get(place, (0.0, "")):
                self._broken(f"{place} went back to {order}")
            self._pointers[place] = order

    def _manifest(self, bucket: str, key: str, stored: Stored, *, taken: bool) -> None:
        place, name = f"s3://{bucket}/{key}", key.rpartition("/")[2].removesuffix(".json")
        if self._offered.setdefault(place, stored.body) != stored.body:
            self._broken(f"{place} was to be written with other bytes than before")
        if taken and (bucket, key) in self._world.buckets.objects:
            self._broken(f"{place} was written twice")
        job = self._world.job(name)
        if job is None or job["status"] != "ACTIVE":
            self._broken(f"{place} was written of a job that is not ACTIVE")
            return
        manifest = json.loads(stored.body)
        listed = [item["key"] for item in [*manifest["objects"], *manifest["notData"]]]
        prefix = job["jobOutput"]["s3DataDestination"]["path"].partition(f"s3://{bucket}/")[2]
        if sorted(listed) != [one for one in self._world.buckets.keys(bucket) if one.startswith(prefix)]:
            self._broken(f"{place} does not name what is below {prefix}")

    def _order(self, name: str) -> Order:
        job = self._world.job(name)
        return (0.0, name) if job is None else (job["creationDateTime"], name)

    def _broken(self, what: str) -> None:
        self._world.violations.append(what)
