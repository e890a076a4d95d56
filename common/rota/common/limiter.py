"""Makes limits known to the store, whose claims keep to them."""

from collections.abc import Mapping
from typing import Any

from rota.common import keys
from rota.common.limits import GroupLimits
from rota.common.scripts import LIMITS
from rota.common.store import Store

_CHUNK = 200  # limits that one script sets, to keep every script short


class Limiter:
    """Sets the limits of groups. A store that was told nothing has none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def limit(
        self, group: str, limits: GroupLimits, before: GroupLimits | None = None
    ) -> None:
        """Let `limits` hold in `group` from now on, for those whose limits were raised, too.

        What runs already goes on. A handler that is not named has no limit any more; a tenant that
        is not named keeps what it had. Of what the store knows for certain, `before`, only what
        differs is sent.
        """
        known = await self._handlers(group) if before is None else before.handlers
        gone = dict.fromkeys((name for name in known if name not in limits.handlers), 0)
        held = set() if before is None else set(_rows(before, before.handlers))
        rows = _rows(limits, gone | limits.handlers)
        await self._set(group, [row for row in rows if row not in held])

    async def _handlers(self, group: str) -> list[str]:
        names = await self._store.link.command("HKEYS", keys.caps(group))
        return [name.decode() for name in names if name]

    async def _set(self, group: str, rows: list[tuple[Any, ...]]) -> None:
        # One after the other: between two of them others get their turn.
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            await self._store.ask([(LIMITS, group, [value for row in part for value in row])])


def _rows(limits: GroupLimits, handlers: Mapping[str, int]) -> list[tuple[Any, ...]]:
    return [
        ("group", "", limits.weight, limits.max_concurrency, 0, 1, 0),
        *(("handler", name, 1, most, 0, 1, 0) for name, most in handlers.items()),
        ("ledger", "", 1, limits.ledger.runs, limits.ledger.ms, 1, 0),
        *(
            ("tenant", name, t.weight, t.max_concurrency, t.interval_ms, t.burst, t.max_backlog)
            for name, t in limits.tenants.items()
        ),
    ]
