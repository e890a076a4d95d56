"""Walks slowly over all that a group has in the store, and repairs what can't happen."""

from structlog.typing import FilteringBoundLogger

from rota.common import keys
from rota.common.clock import Clock
from rota.common.reconciliation import Reconciliation
from rota.common.service import Loop
from rota.common.store import LEASE_MS, Store

_PERIOD = 60.0  # seconds from one walk's start to the next, if there is not too much to see
_STEP = 1.0  # seconds between two steps of a walk
_MOST = 5_000  # leases and tenants that are counted in one script
_NAMES = {  # what the name of a repair is; a job_id if it is not listed
    "slot_stale": "job",
    "pointer_doubled": "tenant",
    "tenant_inactive": "tenant",
    "tenant_miscounted": "tenant",
    "running_miscounted": "counted",
    "weight_miscounted": "counted",
    "too_many": "size",
}


class Walk:
    """One walk over the keys of a group, then over its leases and rests; at the end a recount."""

    def __init__(self, group: str, store: Store, lease_ms: int = LEASE_MS) -> None:
        self._group = group
        self._store = store
        self._lease_ms = lease_ms  # that a run gets which has none: time for its worker to renew it
        self._reconciliation = Reconciliation(store)
        self._cursor = 0
        self._entries = {"lease": keys.leases(group), "retry": keys.retries(group)}
        self._to_see = ["keys", *self._entries]
        self._busy: set[str] = set()  # tenants that count as busy
        self.over = False

    async def step(self) -> list[tuple[str, str]]:
        """Look at the next few things; return word and name for each repair.

        A step that fails may be taken again.
        """
        if not self._to_see:
            repairs = await self._reconciliation.recount(self._group, sorted(self._busy), _MOST)
            self.over = True
            return repairs
        cursor, items = await self._page(self._to_see[0])
        answers = await self._reconciliation.reconcile(self._group, items, self._lease_ms)
        self._cursor = cursor
        if cursor == 0:
            del self._to_see[0]
        self._busy |= {name for word, name in answers if word == "busy"}
        return [(word, name) for word, name in answers if word != "busy"]

    async def _page(self, kind: str) -> tuple[int, list[tuple[str, str]]]:
        """Return the next cursor, and kind and name of some things."""
        link = self._store.link
        if kind in self._entries:
            cursor, rows = await link.command("ZSCAN", self._entries[kind], self._cursor)
            return cursor, [(kind, name.decode()) for name, _ in rows]
        root = keys.root(self._group)
        cursor, names = await link.scan(f"{root}:*", self._cursor, key=root)
        return cursor, [item for name in names if (item := self._item(name))]

    def _item(self, key: str) -> tuple[str, str] | None:
        prefixes = {
            "run": keys.run(self._group, ""),
            "slot": keys.slot(self._group, ""),
            "queue": keys.queue(self._group, ""),
            "counts": keys.tenant(self._group, ""),
        }
        for kind, prefix in prefixes.items():
            if key.startswith(prefix):
                return kind, key.removeprefix(prefix)
        return None


class Reconciler(Loop):
    """Walks once a minute, or as often as the number of keys allows, one small step a second."""

    def __init__(
        self,
        group: str,
        *,
        store: Store,
        clock: Clock,
        log: FilteringBoundLogger,
        lease_ms: int = LEASE_MS,
    ) -> None:
        super().__init__(log=log)
        self._group = group
        self._store = store
        self._clock = clock
        self._lease_ms = lease_ms
        self._begin()

    async def turn(self) -> float:
        """Take one step."""
        for word, name in await self._walk.step():
            if word == "too_many":
                self.log.info("recount_skipped", group=self._group, size=name, most=_MOST)
            else:
                self.log.warning(
                    "repaired", group=self._group, what=word, **{_NAMES.get(word, "job_id"): name}
                )
        if not self._walk.over:
            return _STEP
        rest = self._began + _PERIOD - self._clock.monotonic()
        self._begin()
        return max(_STEP, rest)

    def _begin(self) -> None:
        self._walk = Walk(self._group, self._store, self._lease_ms)
        self._began = self._clock.monotonic()
