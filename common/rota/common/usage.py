"""What tenants got so far, and what they may use: their hashes in the store, read."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from rota.common import keys
from rota.common.limits import TenantLimits
from rota.common.link import Link

_SINCE_MS: Final = 1_700_000_000_000  # as in `fair.lua`: times within sums count from here
_CHUNK = 500  # tenants in one round trip
_FIELDS = ("running", "used", "owed", "est", "weight", "limits")
_EST_MS = 100.0  # as in `fair.lua`: what a run of a tenant takes of which nobody knows more


class Usage(NamedTuple):
    """One tenant, at one moment."""

    tenant: str
    running: int  # runs
    service_ms: int  # what its runs have taken in all, those that are running up to this moment
    est_ms: float  # what one of its runs takes, of late
    limits: TenantLimits  # as the store has them


class Usages:
    """Reads what tenants got and may use."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def of(
        self, group: str, tenants: Sequence[str], *, at_ms: int | None = None
    ) -> list[Usage]:
        """Return each of `tenants`, at `at_ms` by the store's clock, or as it is read."""
        found: list[Usage] = []
        for start in range(0, len(tenants), _CHUNK):
            part = tenants[start : start + _CHUNK]
            now_ms = await self.now_ms(group) if at_ms is None else at_ms
            rows = await self._link.pipeline(
                [("HMGET", keys.tenant(group, name), *_FIELDS) for name in part]
            )
            found += [_usage(name, row, now_ms) for name, row in zip(part, rows, strict=True)]
        return found

    async def now_ms(self, group: str) -> int:
        """Return the time by the clock that the runs of `group` are measured with."""
        key = keys.root(group)
        skew = await self._link.command("HGET", key, "skew") or b"0"
        if skew.startswith(b"="):  # it stands still
            return int(skew[1:])
        return await self._link.now_ms(key) + int(skew)


def _usage(tenant: str, row: Sequence[bytes | None], now_ms: int) -> Usage:
    running, used, owed, est, weight, limits = row
    runs = int(running or 0)
    service = float(used or 0) - float(owed or 0) + runs * (now_ms - _SINCE_MS)
    return Usage(
        tenant=tenant,
        running=runs,
        service_ms=max(0, round(service)),
        est_ms=float(est or _EST_MS),
        limits=_limits(float(weight or 1), limits),
    )


def _limits(weight: float, text: bytes | None) -> TenantLimits:
    most, interval_ms, burst, backlog = (text or b"0 0 1 0").split()
    return TenantLimits(
        weight=weight,
        max_concurrency=int(most),
        interval_ms=float(interval_ms),
        burst=int(burst),
        max_backlog=int(backlog),
    )
