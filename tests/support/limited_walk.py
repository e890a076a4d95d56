"""A random walk under limits that change: none is exceeded, and nothing that may start waits."""

from collections import Counter

from rota.common import keys
from rota.common.job import Priority
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.run import Claimed, Occurrence
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import GROUP, HANDLER
from tests.support.walk import HANDLERS, TENANTS, Walk

SERVED = {"w1": {HANDLER}, "w2": {HANDLER, "mail.send"}}
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")


def handler_of(job_id: str) -> str:
    """Return the handler of a run."""
    return HANDLERS[job_id.partition("/")[2].partition(":")[0]]


def tenant_of(job_id: str) -> str:
    """Return the tenant of a run."""
    return job_id.partition("/")[0]


class LimitedWalk(Walk):
    """A walk in which limits come, change and go."""

    def __init__(self, store: Store, seed: int) -> None:
        super().__init__(store, seed)
        self.limits = GroupLimits()
        self.tats: dict[str, float] = {}  # tenant -> when all its permits have grown again
        self.steps += [self.change_limits, self.let_moments_pass]

    def occurrence(self, tenant: str, job: str, due_ms: int) -> Occurrence:
        """Return a run of any priority."""
        priority = self.random.choice(PRIORITIES)
        return super().occurrence(tenant, job, due_ms)._replace(priority=priority)

    def _some(self, *values: int) -> int:
        return self.random.choice([0, *values])

    async def change_limits(self) -> None:
        """Set all limits anew."""
        tenants = {
            name: TenantLimits(
                weight=self.random.choice([0.5, 1.0, 2.0, 4.0]),
                max_concurrency=self._some(1, 2),
                interval_ms=self._some(700, 2_500),
                burst=self.random.randint(1, 3),
            )
            for name in TENANTS
        }
        handlers = {
            handler: most for handler in (HANDLER, "mail.send") if (most := self._some(1, 2))
        }
        before, self.limits = (
            self.limits,
            GroupLimits(max_concurrency=self._some(3), tenants=tenants, handlers=handlers),
        )
        at = await self.now()
        await Limiter(self.store).limit(GROUP, self.limits)
        for name, new in tenants.items():
            old, tat = before.tenants.get(name, TenantLimits()), self.tats.get(name, 0.0)
            if old.interval_ms and new.interval_ms and tat > at:
                self.tats[name] = at + (tat - at) * new.interval_ms / old.interval_ms

    async def now(self) -> float:
        """Return the group's time in ms."""
        skew = await self.store.link.command("HGET", keys.root(GROUP), "skew")
        seconds, micros = await self.store.link.command("TIME")
        return int(seconds) * 1000 + int(micros) // 1000 + int(skew or 0)

    async def let_moments_pass(self) -> None:
        """Let so little time pass that rates are felt."""
        await builders.shift(self.store, self.random.randint(0, 800))
        await self.store.link.command("PING")

    def running(self) -> Counter[str]:
        """Return how many runs of each tenant and handler run, and of all under ''."""
        running = [job_id for job_id, state in self.states.items() if state is State.RUNNING]
        return Counter(
            name for j in running for name in ("", f"t {tenant_of(j)}", f"h {handler_of(j)}")
        )

    async def claim_for(self, worker: str, n: int) -> None:
        """Claim, and hold what was given against all limits."""
        before, started = await self.now(), len(self.held)
        await super().claim_for(worker, n)
        runs = self.held[started:]
        for run in runs:
            self._within(run)
            await self._within_rate(run)
        if len(runs) < n and not self.more:
            self._nothing_could_start(worker, before)

    def _within(self, run: Claimed) -> None:
        running, name, handler = self.running(), tenant_of(run.job_id), handler_of(run.job_id)
        tenant = self.limits.tenants.get(name, TenantLimits())
        for most, what in [
            (self.limits.max_concurrency, ""),
            (tenant.max_concurrency, f"t {name}"),
            (self.limits.handlers.get(handler, 0), f"h {handler}"),
        ]:
            assert not most or running[what] <= most, (what, most)

    async def _within_rate(self, run: Claimed) -> None:
        name = tenant_of(run.job_id)
        tenant = self.limits.tenants.get(name, TenantLimits())
        if tenant.interval_ms:
            row = await self.store.link.command("HGET", keys.run(GROUP, run.job_id), "at")
            at, tat = int(row), self.tats.get(name, 0.0)
            # What the model does not know to the millisecond is when limits were changed.
            assert tat - (tenant.burst - 1) * tenant.interval_ms <= at + 10
            self.tats[name] = max(tat, at) + tenant.interval_ms

    def _nothing_could_start(self, worker: str, at: float) -> None:
        running = self.running()
        for job_id, state in self.states.items():
            name, handler = tenant_of(job_id), handler_of(job_id)
            tenant = self.limits.tenants.get(name, TenantLimits())
            full = [
                most and running[what] >= most
                for most, what in [
                    (self.limits.max_concurrency, ""),
                    (tenant.max_concurrency, f"t {name}"),
                    (self.limits.handlers.get(handler, 0), f"h {handler}"),
                ]
            ]
            free_at = self.tats.get(name, 0.0) - (tenant.burst - 1) * tenant.interval_ms
            rated = tenant.interval_ms and free_at > at - 10
            waiting = state in {State.QUEUED, State.HELD} and handler in SERVED[worker]
            assert not waiting or any(full) or rated, (job_id, state)
