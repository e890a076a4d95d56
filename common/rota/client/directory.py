"""Finds the group of a tenant."""

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.clock import Clock
from rota.common.errors import NotFound
from rota.common.link import Link

_FRESH = 60.0  # seconds for which an answer holds: tenants seldom move


class Directory:
    """Knows for a minute what it has found."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._catalog = Catalog(link)
        self._clock = clock
        self._known: dict[str, tuple[str, float]] = {}

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
