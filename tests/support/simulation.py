"""A fleet of seats on a group's moved clock: real scripts, runs that take as long as they are told.

Time passes in small steps of the group's own clock; nothing waits. Tenants keep a backlog: what
has started is replaced, so that only the store decides who is served.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable

from rota.common.run import Claimed
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import HANDLER, WORKER

BACKLOG = 40  # queued runs that a busy tenant keeps, at least
Took = Callable[[str], int]  # tenant -> ms of its next run


def tenant_of(run: Claimed) -> str:
    """Return the tenant of a run."""
    return run.job_id.partition("/")[0]


def jain(shares: list[float]) -> float:
    """Return Jain's index of fairness: 1 if all are equal, 1/n if one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


class Simulation:
    """Seats that serve tenants, and what each tenant got."""

    def __init__(self, store: Store, seats: int, took: Took, *, renew_ms: int = 5_000) -> None:
        self.store = store
        self.now = 0  # ms since the beginning
        self.service: Counter[str] = Counter()  # ms that each tenant's seats were held
        self.waits: defaultdict[str, list[int]] = defaultdict(list)  # ms from enqueue to start
        self.handlers: dict[str, str] = {}  # tenant -> the handler of its runs
        self._seats = seats
        self._took = took
        self._renew_ms = renew_ms
        self._renewed = 0
        self._busy: list[tuple[int, int, str, Claimed]] = []  # end, number, tenant, run
        self._queued: Counter[str] = Counter()
        self._since: dict[str, int] = {}  # job_id -> when it was enqueued
        self._number = 0

    async def enqueue(self, tenant: str, count: int) -> None:
        """Queue `count` runs more."""
        runs = []
        for _ in range(count):
            self._number += 1
            handler = self.handlers.get(tenant, HANDLER)
            runs.append(builders.occurrence(tenant, f"job{self._number}", handler=handler))
            self._since[runs[-1].job_id] = self.now
        self._queued[tenant] += count
        await builders.enqueue(self.store, *runs)

    async def work(self, until: int, *busy: str, step: int = 50) -> None:
        """Let time pass to `until` while the tenants `busy` always have a backlog."""
        while self.now < until:
            for tenant in busy:
                if self._queued[tenant] < BACKLOG:
                    await self.enqueue(tenant, BACKLOG)
            await self._claim()
            ends = self._busy[0][0] if self._busy else until
            await self._pass(max(step, min(ends, until) - self.now))
            await self._end()

    async def _claim(self) -> None:
        await builders.register(self.store, WORKER, HANDLER, *set(self.handlers.values()))
        free = self._seats - len(self._busy)
        for run in (await builders.claim(self.store, free)).runs if free else []:
            tenant = tenant_of(run)
            self._queued[tenant] -= 1
            self.waits[tenant].append(self.now - self._since.pop(run.job_id))
            self._number += 1
            end = self.now + self._took(tenant)
            heapq.heappush(self._busy, (end, self._number, tenant, run))

    async def _pass(self, ms: int) -> None:
        ms = min(ms, self._renewed + self._renew_ms - self.now)
        await builders.shift(self.store, ms)
        self.now += ms
        for _, _, tenant, _ in self._busy:
            self.service[tenant] += ms
        if self.now >= self._renewed + self._renew_ms:
            self._renewed = self.now
            if self._busy:
                lost, unknown = await self.store.renew([run for *_, run in self._busy])
                assert [] == lost + unknown

    async def _end(self) -> None:
        while self._busy and self._busy[0][0] <= self.now:
            *_, run = heapq.heappop(self._busy)
            assert "completed" == await builders.complete(self.store, run)
