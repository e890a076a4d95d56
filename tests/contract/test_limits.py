"""Limits: no claim ever exceeds one, and none costs anybody a place that others could use."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.intervention import Intervention
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.run import Claimed
from rota.common.store import LEASE_MS, Store
from tests.support import backup, builders, recount
from tests.support.builders import GROUP, HANDLER

OTHER = "mail.send"
SECOND = 1_000


async def limit(store: Store, group: GroupLimits | None = None, **tenants: TenantLimits) -> None:
    """Let these limits hold."""
    await Limiter(store).limit(GROUP, group or GroupLimits(tenants=tenants))


async def queue(store: Store, tenant: str, count: int, handler: str = HANDLER, **over: Any) -> None:
    """Queue `count` runs of a tenant; worker `w1` serves both handlers, `w2` only the other one."""
    await builders.register(store, "w1", HANDLER, OTHER)
    await builders.register(store, "w2", OTHER)
    runs = [
        builders.occurrence(tenant, f"{handler}-{n:04}", handler=handler, **over)
        for n in range(count)
    ]
    await builders.enqueue(store, *runs)


async def claimed(store: Store, n: int = 100, worker: str = "w1") -> list[Claimed]:
    """Return what a worker with `n` free places is given."""
    return (await builders.claim(store, n, worker)).runs


async def complete(store: Store, runs: Sequence[Claimed]) -> None:
    """Complete runs."""
    for run in runs:
        assert "completed" == await builders.complete(store, run)


def tenants(runs: Sequence[Claimed]) -> Counter[str]:
    """Return how many of the runs belong to each tenant."""
    return Counter(run.job_id.partition("/")[0] for run in runs)


async def tokens(store: Store) -> int:
    """Return how many idle workers would be woken."""
    return int(await store.link.command("LLEN", keys.wake(GROUP)))


async def drop_tokens(store: Store) -> None:
    """Let all workers have been woken."""
    await store.link.command("DEL", keys.wake(GROUP))


class TestConcurrencyOfTenant:
    """`max_concurrency` of a tenant."""

    async def test_never_exceeded(self, store: Store) -> None:
        """A tenant runs as many as it may, and others get the rest."""
        await limit(store, acme=TenantLimits(max_concurrency=3))
        await queue(store, "acme", 10)
        await queue(store, "beta", 10)
        runs = await claimed(store)

        assert {"acme": 3, "beta": 10} == tenants(runs)
        assert [] == await claimed(store)
        await complete(store, runs[:2])
        assert {"acme": tenants(runs[:2])["acme"]} == tenants(await claimed(store))

    async def test_not_more_when_nothing_can_start(self, store: Store) -> None:
        """A worker that could only start what is at its limit is told that nothing is left."""
        await limit(store, acme=TenantLimits(max_concurrency=1))
        await queue(store, "acme", 5)
        claim = await builders.claim(store, 10)

        assert (1, False) == (len(claim.runs), claim.more)
        assert await store.link.command("ZCARD", keys.active(GROUP)) == 0

    @pytest.mark.parametrize("end", ["complete", "retry", "release", "rescue"])
    async def test_a_place_comes_back(self, store: Store, end: str) -> None:
        """However a run ends, its tenant may start the next one, and an idle worker is woken."""
        await limit(store, acme=TenantLimits(max_concurrency=1))
        await queue(store, "acme", 3)
        (run,) = await claimed(store)
        await drop_tokens(store)
        if end == "rescue":
            await builders.shift(store, LEASE_MS)
            await store.sweep(GROUP)
        elif end == "release":
            await store.release([run])
        else:
            await (builders.complete if end == "complete" else builders.retry)(store, run)

        assert await tokens(store) > 0
        assert 1 == len(await claimed(store))
        assert {} == await recount.differences(store)

    async def test_raised(self, store: Store) -> None:
        """With a higher limit more start at once, and idle workers are woken for them."""
        await limit(store, acme=TenantLimits(max_concurrency=1))
        await queue(store, "acme", 5)
        await claimed(store)
        await drop_tokens(store)
        await limit(store, acme=TenantLimits(max_concurrency=3))

        assert await tokens(store) > 0
        assert 2 == len(await claimed(store))
        await limit(store, acme=TenantLimits())
        assert 2 == len(await claimed(store))

    async def test_in_a_ring_by_mistake(self, store: Store) -> None:
        """A tenant that is asked though it has all the runs that it may starts none."""
        await limit(store, acme=TenantLimits(max_concurrency=1))
        await queue(store, "acme", 5)
        await claimed(store)
        await store.link.command("ZADD", keys.active(GROUP), 0, "acme")

        assert [] == await claimed(store)

    async def test_lowered(self, store: Store) -> None:
        """With a lower limit nothing that runs is stopped, and nothing starts above it."""
        await queue(store, "acme", 9)
        runs = await claimed(store, 4)
        await limit(store, acme=TenantLimits(max_concurrency=2))
        await complete(store, runs[:2])
        assert [] == await claimed(store)
        await complete(store, runs[2:3])

        assert 1 == len(await claimed(store))

    async def test_held_runs_are_limited(self, store: Store) -> None:
        """What waited for a worker that serves it starts within the limits, too."""
        await limit(store, acme=TenantLimits(max_concurrency=2))
        await queue(store, "acme", 5)
        assert [] == await claimed(store, 9, "w2")
        assert 5 == len(await store.link.command("LRANGE", keys.hold(GROUP, HANDLER), 0, -1))

        assert 2 == len(await claimed(store))
        assert [] == await claimed(store)

    async def test_adopted_runs_count(self, store: Store) -> None:
        """What a store that lost its data gets back is counted, even beyond the limit."""
        await queue(store, "acme", 4)
        runs = await claimed(store, 3)
        await store.link.command("FLUSHALL")
        await store.sweep(GROUP)
        await builders.adopt(store, *runs)
        await limit(store, acme=TenantLimits(max_concurrency=2))
        await builders.close_gate(store)
        await store.renew(runs)
        await queue(store, "acme", 4, OTHER)

        assert [] == await claimed(store)
        await complete(store, runs[:2])
        assert 1 == len(await claimed(store))
        assert {} == await recount.differences(store)


class TestRate:
    """`rate_limit` and `burst`."""

    async def starts(self, store: Store, step_ms: int, until_ms: int) -> list[int]:
        """Claim again and again; return when runs started, on the group's clock."""
        found: list[int] = []
        for _ in range(0, until_ms, step_ms):
            for run in await claimed(store):
                at = await store.link.command("HGET", keys.run(GROUP, run.job_id), "at")
                found.append(int(at))
                await builders.complete(store, run)
            await builders.shift(store, step_ms)
        return found

    @pytest.mark.parametrize(("interval", "burst"), [(200.0, 1), (200.0, 5), (70.5, 2)])
    async def test_never_exceeded(self, store: Store, interval: float, burst: int) -> None:
        """In any time no more start than `burst` and one for each interval, and none are lost."""
        await limit(store, acme=TenantLimits(interval_ms=interval, burst=burst))
        await queue(store, "acme", 300)
        starts = await self.starts(store, 50, 6_000)

        for first, begin in enumerate(starts):
            for last, end in enumerate(starts[first:], first):
                assert last - first + 1 <= burst + (end - begin) / interval + 1e-6
        assert len(starts) >= (starts[-1] - starts[0]) / interval - 1 + burst - 1

    async def test_over_the_rate_holds_up_nobody(self, store: Store) -> None:
        """A tenant over its rate is asked for no more, and the others go on."""
        await limit(store, acme=TenantLimits(interval_ms=60_000))
        await queue(store, "acme", 10)
        await queue(store, "beta", 5)

        assert {"acme": 1, "beta": 5} == tenants(await claimed(store))
        assert b"acme" not in await store.link.command("ZRANGE", keys.active(GROUP), 0, -1)
        assert {"acme": 9} == await Catalog(store.link).queued(GROUP)

    async def test_sweeper_wakes(self, store: Store) -> None:
        """When the rate allows the next start an idle worker is woken, by the sweeper in time."""
        await limit(store, acme=TenantLimits(interval_ms=400))
        await queue(store, "acme", 10)
        await claimed(store)
        await drop_tokens(store)
        _, wait = await store.sweep(GROUP)

        assert 0 == await tokens(store)
        assert 0.3 < wait <= 0.4
        await builders.shift(store, 400)
        _, wait = await store.sweep(GROUP)
        assert 1 == await tokens(store)
        assert wait <= 0.4
        assert 1 == len(await claimed(store))

    async def test_release_spends_the_permit(self, store: Store) -> None:
        """A run that was given back may have begun: its permit is spent."""
        await limit(store, acme=TenantLimits(interval_ms=60_000))
        await queue(store, "acme", 2)
        await store.release(await claimed(store))

        assert [] == await claimed(store)
        await builders.shift(store, 60_000)
        assert 1 == len(await claimed(store))

    async def test_slow_rate_made_fast(self, store: Store) -> None:
        """A rate that is raised lets start at the new one, however long the old one's pause was."""
        await limit(store, acme=TenantLimits(interval_ms=86_400_000))
        await queue(store, "acme", 5)
        await claimed(store)
        await limit(store, acme=TenantLimits(interval_ms=1_000))
        await builders.shift(store, 1_000)

        assert 1 == len(await claimed(store))

    async def test_lost_data(self, store: Store) -> None:
        """A store that lost its data does not take all permits for unspent."""
        await queue(store, "acme", 5)
        await store.link.command("FLUSHALL")
        await store.sweep(GROUP)
        await limit(store, acme=TenantLimits(interval_ms=60_000, burst=3))
        await builders.close_gate(store)
        await queue(store, "acme", 5)

        assert [] == await claimed(store)
        await builders.shift(store, 60_000)
        assert 1 == len(await claimed(store))

    @pytest.mark.parametrize("end", ["adopt", "complete"])
    async def test_forgotten_start(self, store: Store, end: str) -> None:
        """A start that the store has forgotten, and hears of again, has spent its permit."""
        await limit(store, acme=TenantLimits(interval_ms=60_000))
        await queue(store, "acme", 2)
        before = await backup.take(store.link)
        (run,) = await claimed(store)
        await backup.put_back(store.link, before)
        await builders.change_server(store)
        await store.sweep(GROUP)
        if end == "adopt":
            assert ["adopted"] == await builders.adopt(store, run)
        await complete(store, [run])
        await builders.close_gate(store)

        assert [] == await claimed(store)
        await builders.shift(store, 60_000)
        assert 1 == len(await claimed(store))


class TestHandler:
    """`max_concurrency` of a handler, counted in each group."""

    async def test_never_exceeded_and_blocks_nobody(self, store: Store) -> None:
        """A handler at its limit holds up no other run, not even of the same tenant."""
        await limit(store, GroupLimits(handlers={HANDLER: 2}))
        for tenant in ("acme", "beta"):
            await queue(store, tenant, 50)
            await queue(store, tenant, 3, OTHER)
        runs = await claimed(store)

        assert {HANDLER: 2, OTHER: 6} == Counter(
            run.job_id.split("/")[1].partition(":")[0].rpartition("-")[0] for run in runs
        )
        assert not (await builders.claim(store, 5)).more
        await drop_tokens(store)
        await complete(store, [run for run in runs if HANDLER in run.job_id][:1])
        assert 1 == await tokens(store)
        assert 1 == len(await claimed(store))
        assert {} == await recount.differences(store)

    async def test_set_while_runs_wait_and_run(self, store: Store) -> None:
        """A new limit counts what runs, and what waits already is kept to it."""
        await queue(store, "acme", 100)
        await queue(store, "acme", 2, OTHER)
        runs = await claimed(store, 3)
        await limit(store, GroupLimits(handlers={HANDLER: 4}))
        for _ in range(5):
            runs += await claimed(store)

        assert 4 == sum(HANDLER in run.job_id for run in runs)
        assert 2 == sum(OTHER in run.job_id for run in runs)
        assert {"acme": 96} == await Catalog(store.link).queued(GROUP)

    async def test_removed(self, store: Store) -> None:
        """Without the limit all that waited for it starts, and nothing of its ring is left."""
        await limit(store, GroupLimits(handlers={HANDLER: 2}), acme=TenantLimits(max_concurrency=4))
        await queue(store, "acme", 9)
        runs = await claimed(store)
        await limit(store, GroupLimits())
        runs += await claimed(store)

        assert 9 == len(runs)
        await complete(store, runs)
        await claimed(store)
        space = await builders.snapshot(store)
        assert not {keys.caps(GROUP), keys.running(GROUP), keys.active(GROUP, HANDLER)} & set(space)
        assert 0 == len(recount.states(space))

    async def test_served_by_others(self, store: Store) -> None:
        """A worker that does not serve the handler wakes those who do, by name."""
        await limit(store, GroupLimits(handlers={HANDLER: 2}))
        await queue(store, "acme", 1)
        assert [] == await claimed(store, 1, "w2")

        assert 1 == await store.link.command("LLEN", keys.wake_worker(GROUP, "w1"))
        assert 1 == len(await claimed(store))

    @pytest.mark.parametrize("at_once", [1, 10])
    async def test_own_other_runs(self, store: Store, at_once: int) -> None:
        """A tenant's runs of limited handlers and its other runs take turns: none starves."""
        await limit(store, GroupLimits(handlers={HANDLER: 5, OTHER: 5}, max_concurrency=at_once))
        for tenant in ("acme", "beta"):
            await queue(store, tenant, 40, "nap")
            await queue(store, tenant, 40)
            await queue(store, tenant, 40, OTHER)
        await builders.register(store, "w1", HANDLER, OTHER, "nap")
        served: Counter[str] = Counter()
        for _ in range(60 // at_once):
            runs = await claimed(store)
            served += Counter(run.job_id.rpartition("-")[0] for run in runs)
            await builders.shift(store, 500)
            await complete(store, runs)

        jobs = [f"{t}/{h}" for t in ("acme", "beta") for h in ("nap", HANDLER, OTHER)]
        assert 60 == served.total()
        assert all(8 <= served[job] <= 12 for job in jobs)

    async def test_fair_between_tenants(self, store: Store) -> None:
        """Who waits for a limited handler gets it in turn."""
        await limit(store, GroupLimits(handlers={HANDLER: 1}))
        for tenant in ("acme", "beta", "ceta"):
            await queue(store, tenant, 20)
        served: Counter[str] = Counter()
        for _ in range(30):
            (run,) = await claimed(store)
            await builders.shift(store, 500)
            await complete(store, [run])
            served += tenants([run])

        assert all(9 <= n <= 11 for n in served.values())

    async def test_adopted_runs_count(self, store: Store) -> None:
        """What a store that lost its data gets back counts for its handler, too."""
        limits = GroupLimits(handlers={HANDLER: 2})
        await queue(store, "acme", 4)
        runs = await claimed(store, 2)
        await store.link.command("FLUSHALL")
        await store.sweep(GROUP)
        await limit(store, limits)
        await builders.adopt(store, *runs)
        await builders.close_gate(store)
        await store.renew(runs)
        await queue(store, "beta", 4)

        assert [] == await claimed(store)
        assert {} == await recount.differences(store)

    async def test_cancelled_while_it_waits(self, store: Store) -> None:
        """A run that is cancelled while it waits for its handler leaves nothing in the ring."""
        await limit(store, GroupLimits(handlers={HANDLER: 1}))
        await queue(store, "acme", 1, priority="low")
        (run,) = recount.states(await builders.snapshot(store))
        assert {run: "cancelled"} == await Intervention(store).cancel([(GROUP, run)])

        assert [] == recount.queues(await builders.snapshot(store))
        assert {} == await recount.differences(store)


class TestGroup:
    """`max_concurrency` of a group."""

    async def test_never_exceeded(self, store: Store) -> None:
        """No more runs of a group run at a time than it may, whoever they are of."""
        await limit(store, GroupLimits(max_concurrency=4))
        for tenant in ("acme", "beta"):
            await queue(store, tenant, 5)
        first = await builders.claim(store, 3)
        second = await builders.claim(store, 3)

        assert (3, 1, False) == (len(first.runs), len(second.runs), second.more)
        await drop_tokens(store)
        await complete(store, first.runs[:1])
        assert 1 == await tokens(store)
        assert 1 == len(await claimed(store))
        await limit(store, GroupLimits())
        assert 5 == len(await claimed(store))


class TestPriority:
    """Priorities within a tenant."""

    async def order(self, store: Store, **counts: int) -> list[str]:
        """Queue so many runs of each priority and claim all, one after the other."""
        for priority, count in counts.items():
            await builders.register(store)
            runs = [
                builders.occurrence("acme", f"{priority}{n}", priority=priority)
                for n in range(count)
            ]
            await builders.enqueue(store, *runs)
        found = []
        for _ in range(sum(counts.values())):
            (run,) = await claimed(store, 1)
            found.append(run.job_id.partition("/")[2].partition(":")[0].rstrip("0123456789"))
        return found

    async def test_shares(self, store: Store) -> None:
        """While all wait high gets most starts, normal three of ten and low one of ten."""
        order = await self.order(store, low=30, normal=50, high=80)

        for start in range(0, 60, 10):
            assert {"high": 6, "normal": 3, "low": 1} == Counter(order[start : start + 10])

    async def test_high_goes_first(self, store: Store) -> None:
        """A run of high priority does not wait behind those that came before it."""
        assert "high" in (await self.order(store, normal=30, low=30, high=1))[:3]

    @pytest.mark.parametrize("pair", [("high", "low"), ("normal", "low"), ("high", "normal")])
    async def test_two(self, store: Store, pair: tuple[str, str]) -> None:
        """Of two priorities the lower one starves not, and no start is left unused."""
        order = await self.order(store, **dict.fromkeys(pair, 40))
        lower = Counter(order[:40])[pair[1]]

        assert {("high", "low"): 4, ("normal", "low"): 4, ("high", "normal"): 12}[pair] == lower

    async def test_one_tenant(self, store: Store) -> None:
        """A tenant gets no more of the workers for having priorities."""
        await queue(store, "beta", 30)
        for priority in ("high", "normal", "low"):
            runs = [
                builders.occurrence("acme", f"{priority}{n}", priority=priority) for n in range(10)
            ]
            await builders.enqueue(store, *runs)

        assert {"acme": 10, "beta": 10} == tenants(await claimed(store, 20))

    @pytest.mark.parametrize("back", ["retry", "release", "rescue", "replay"])
    async def test_priority_is_kept(self, store: Store, back: str) -> None:
        """A run that comes back to its queue waits under its own priority again."""
        await builders.register(store)
        await builders.enqueue(store, builders.occurrence(priority="low"))
        (run,) = await claimed(store)
        if back == "retry":
            await builders.retry(store, run, rest_ms=0)
        elif back == "release":
            await store.release([run])
        elif back == "rescue":
            await builders.shift(store, LEASE_MS)
        else:
            await builders.complete(store, run, "dead")
            await Intervention(store).replay(GROUP, run.job_id)
        await store.sweep(GROUP)
        low = keys.queue(GROUP, "acme", priority="low")

        assert [run.job_id.encode()] == await store.link.command("LRANGE", low, 0, -1)
        assert {} == await recount.differences(store)


class TestBacklog:
    """`max_backlog` of a tenant."""

    async def test_shed(self, store: Store) -> None:
        """What comes beyond the limit is shed for good: its occurrence is over."""
        await limit(store, acme=TenantLimits(max_backlog=2))
        runs = [builders.occurrence("acme", f"job{n}") for n in range(4)]
        words = [word for word, _ in await builders.enqueue(store, *runs)]

        assert ["queued", "queued", "shed", "shed"] == words
        await builders.register(store)
        await claimed(store)
        assert [("past", runs[2].job_id)] == await builders.enqueue(store, runs[2])
        again = builders.occurrence("acme", "job2", runs[2].due_ms + 1)
        assert "queued" == (await builders.enqueue(store, again))[0][0]

    async def test_all_queues_count(self, store: Store) -> None:
        """Runs of all priorities and handlers are counted, and no other tenant's."""
        await limit(store, GroupLimits(handlers={OTHER: 1}, tenants={
            "acme": TenantLimits(max_backlog=3)
        }))  # fmt: skip
        await queue(store, "acme", 1, OTHER)
        await queue(store, "acme", 1, HANDLER, priority="low")
        await queue(store, "beta", 5)
        rest = [builders.occurrence("acme", f"job{n}") for n in range(2)]

        assert ["queued", "shed"] == [word for word, _ in await builders.enqueue(store, *rest)]

    async def test_triggered(self, store: Store) -> None:
        """A run that somebody triggered is shed, too, and leaves no trace."""
        await limit(store, acme=TenantLimits(max_backlog=1))
        await queue(store, "acme", 1)
        run = builders.occurrence(due_ms=0)

        assert [("shed", run.job_id)] == await builders.enqueue(store, run)
        assert await builders.state_of(store, run.job_id) is None


class TestWeight:
    """Weights of tenants."""

    async def test_starts_follow_weights(self, store: Store) -> None:
        """Of equal runs a tenant of double weight gets double."""
        await limit(store, beta=TenantLimits(weight=2), ceta=TenantLimits(weight=0.5))
        for tenant in ("acme", "beta", "ceta"):
            await queue(store, tenant, 60)

        assert {"acme": 20, "beta": 40, "ceta": 10} == pytest.approx(
            tenants(await claimed(store, 70)), abs=1
        )

    async def test_changed_while_busy(self, store: Store) -> None:
        """A weight that changes while the tenant is busy keeps the sum of weights right."""
        await queue(store, "acme", 5)
        await queue(store, "beta", 5)
        runs = await claimed(store, 4)
        await limit(store, acme=TenantLimits(weight=2.5))

        assert {} == await recount.differences(store)
        await complete(store, runs)
        await complete(store, await claimed(store))
        assert {} == await recount.differences(store)
        root = await store.link.command("HGET", keys.root(GROUP), "weight")
        assert b"0" == root


async def test_no_limits_cost_nothing(store: Store) -> None:
    """While nobody has a limit, claims do not look for any."""
    await limit(store, GroupLimits(weight=2, tenants={"acme": TenantLimits(weight=3)}))
    assert await store.link.command("HGET", keys.root(GROUP), "limited") is None

    await limit(store, acme=TenantLimits(interval_ms=1_000))
    assert b"1" == await store.link.command("HGET", keys.root(GROUP), "limited")
