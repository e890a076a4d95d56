"""Makes limits known to the store, whose claims keep to them."""

from collections.abc import Mapping
from typing import Any

from rota.common import keys
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.scripts import LIMITS
from rota.common.store import Store

_CHUNK = 200  # limits that one script sets, to keep every script short


class Limiter:
    """Sets the limits of groups. A store that was told nothing has none."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reopened = store.epochs.reopened  # called with a group whose store may have lost them

    async def limit(self, group: str, limits: GroupLimits) -> None:
        """Let `limits` hold in `group` from now on, for those whose limits were raised, too.

        What runs already goes on. A handler that is not named has no limit any more; a tenant that
        is not named keeps what it had.
        """
        known = await self._store.link.command("HKEYS", keys.caps(group))
        gone = dict.fromkeys((name.decode() for name in known if name), 0)
        rows: list[tuple[Any, ...]] = [
            ("group", "", limits.weight, limits.max_concurrency, 0, 1, 0),
            *(("handler", name, 1, n, 0, 1, 0) for name, n in (gone | limits.handlers).items()),
        ]
        await self._set(group, rows + _tenants(limits.tenants))

    async def _set(self, group: str, rows: list[tuple[Any, ...]]) -> None:
        # One after the other: between two of them others get their turn.
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            await self._store.ask([(LIMITS, group, [value for row in part for value in row])])


def _tenants(tenants: Mapping[str, TenantLimits]) -> list[tuple[Any, ...]]:
    return [
        ("tenant", name, t.weight, t.max_concurrency, t.interval_ms, t.burst, t.max_backlog)
        for name, t in tenants.items()
    ]
