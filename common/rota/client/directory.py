"""Finds the group of a tenant, and who serves a handler."""

import asyncio

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.clock import Clock
from rota.common.errors import NotFound
from rota.common.link import Link

_GLANCE = 5.0  # seconds for which it holds who serves a handler: many calls may end at a time
_FRESH = 60.0  # seconds for which an answer holds: tenants seldom move


class Directory:
    """Knows for a minute what it has found."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._catalog = Catalog(link)
        self._clock = clock
        self._known: dict[str, tuple[str, float]] = {}
        self._serving: dict[tuple[str, str], tuple[asyncio.Task[bool], float]] = {}

    async def group_of(self, tenant: str) -> str:
        """Return the group in which `tenant` has jobs, limits or runs.

        Raises `NotFound` when there is none, or when there are several and none has its jobs.
        """
        group, at = self._known.get(tenant, ("", 0.0))
        now = self._clock.monotonic()
        if not group or at < now - _FRESH:
            group = await self._find(tenant)
            self._known[tenant] = group, now
        return group

    async def is_known(self, group: str) -> bool:
        """Tell whether the configuration has `group`, or a worker has come to it.

        Where there is no configuration, any group may be about to come into being.
        """
        groups = await self._catalog.groups()
        if not groups or group in groups:
            return True
        found = [("EXISTS", key) for key in (keys.root(group), keys.workers(group))]
        return any(await self._link.pipeline(found))

    async def is_served(self, group: str, handler: str) -> bool:
        """Tell whether a live worker serves `handler`, a few seconds ago at most."""
        now = self._clock.monotonic()
        task, at = self._serving.get((group, handler), (None, 0.0))
        if task is None or at < now - _GLANCE:
            task = asyncio.create_task(self._look(group, handler))
            self._serving[group, handler] = task, now
        return await asyncio.shield(task)

    async def _look(self, group: str, handler: str) -> bool:
        workers = await self._link.command("ZRANGE", keys.workers(group), 0, -1)
        sets = [keys.handlers(group, worker.decode()) for worker in workers]
        return any(await self._link.pipeline([("SISMEMBER", key, handler) for key in sets]))

    async def _find(self, tenant: str) -> str:
        groups = await self._catalog.groups()
        found = await self._link.pipeline([("EXISTS", keys.tenant(g, tenant)) for g in groups])
        possible = [group for group, there in zip(groups, found, strict=True) if there]
        if len(possible) != 1:  # it is new, or it has moved
            possible = [g for g in possible or groups if await self._has_jobs(g, tenant)]
        if len(possible) == 1:
            return possible[0]
        why = "is known in several groups" if possible else "is known in no group"
        raise NotFound(f"tenant {tenant} {why}: say which, `group=...`")

    async def _has_jobs(self, group: str, tenant: str) -> bool:
        refs = await self._link.command("HKEYS", keys.jobs(group))
        prefix = f"{tenant}/".encode()
        return any(ref.startswith(prefix) for ref in refs)
