"""What the store knows of each tenant's service, of its queues, and of how long its runs waited."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rota.common import keys
from rota.common.backlog import Backlog, Backlogs
from rota.common.intervention import Intervention
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.run import Claimed
from rota.common.store import LEASE_MS, Store
from rota.common.usage import Usage, Usages
from rota.common.waits import Waits
from tests.support import builders, fans, recount
from tests.support.builders import DUE_MS, GROUP, HANDLER

SLACK_MS = 400  # what the steps of a test may take, all together


async def usage(store: Store, tenant: str = "acme") -> Usage:
    """Return what a tenant got so far."""
    (used,) = await Usages(store.link).of(GROUP, [tenant])
    return used


async def started(store: Store, tenant: str = "acme", job: str = "import") -> Claimed:
    """Return a run that has just begun."""
    await builders.register(store)
    await builders.enqueue(store, builders.occurrence(tenant, job, keep_ms=60_000))
    return (await builders.claim(store)).runs[0]


def about(ms: int) -> object:
    """Return what is equal to `ms` and to a little more."""
    return pytest.approx(ms + SLACK_MS / 2, abs=SLACK_MS / 2)


async def test_service_at_any_moment(store: Store) -> None:
    """Service is what runs have taken up to now, whatever was estimated, renewed or charged."""
    nothing = await usage(store)
    run = await started(store)
    begun = await usage(store)
    await builders.shift(store, 9_000)
    before = await usage(store)
    await builders.renew(store, run)
    renewed = await usage(store)
    await builders.shift(store, 4_000)
    await builders.complete(store, run)
    ended = await usage(store)
    await builders.shift(store, 60_000)

    assert (0, 0) == (nothing.service_ms, nothing.running)
    assert (about(0), 1) == (begun.service_ms, begun.running)
    assert [about(9_000)] * 2 == [before.service_ms, renewed.service_ms]
    assert (about(13_000), 0) == (ended.service_ms, ended.running)
    assert ended.service_ms == (await usage(store)).service_ms


async def test_service_of_many_runs(store: Store) -> None:
    """Attempts that run beside each other, fail, are given back, lost or cancelled count alike."""
    runs = [await started(store, job=f"job-{n}") for n in range(5)]
    await builders.shift(store, 2_000)
    await builders.retry(store, runs[0])
    await store.release([runs[1]])
    await Intervention(store).cancel([(GROUP, runs[2].job_id)])
    await builders.retry(store, runs[2])
    await builders.complete(store, runs[3], "dead")
    await builders.shift(store, LEASE_MS)
    await store.sweep(GROUP)

    assert about(5 * 2_000 + LEASE_MS) == (await usage(store)).service_ms


async def test_limits_in_force(store: Store) -> None:
    """What a tenant may use is what was set; a tenant that nobody set anything of has no limit."""
    limits = TenantLimits(weight=2.5, max_concurrency=3, interval_ms=600.0, burst=2, max_backlog=9)
    await Limiter(store).limit(GROUP, GroupLimits(tenants={"acme": limits}))

    assert limits == (await usage(store)).limits
    assert TenantLimits() == (await usage(store, "bolt")).limits


async def test_waits(store: Store) -> None:
    """It is told how long each run was queued before its first attempt, and that once."""
    await builders.register(store)
    mark = await Waits(store.link).mark(GROUP)
    for number, ms in enumerate([0, 3_000, 50_000]):
        due_ms = DUE_MS + number
        await builders.enqueue(store, builders.occurrence(due_ms=due_ms))
        await builders.shift(store, ms)
        run = (await builders.claim(store)).runs[0]
        await builders.shift(store, 7_000)
        await builders.retry(store, run)
        await builders.shift(store, 20_000)
        await store.sweep(GROUP)
        await builders.complete(store, (await builders.claim(store)).runs[0])
    last = await Waits(store.link).mark(GROUP)
    await builders.enqueue(store, builders.occurrence("bolt", due_ms=0))
    await builders.complete(store, (await builders.claim(store)).runs[0])

    assert {"acme": [about(0), about(3_000), about(50_000)], "bolt": [about(0)]} == await Waits(
        store.link
    ).since(GROUP, mark)
    assert {"bolt": [about(0)]} == await Waits(store.link).since(GROUP, last)


async def test_waits_of_a_run_that_was_adopted(store: Store) -> None:
    """Of a run that the store had lost nobody knows how long it waited: none is told."""
    run = await started(store)
    await store.link.command("FLUSHALL")
    await store.sweep(GROUP)
    await builders.adopt(store, run)
    await builders.complete(store, run)

    assert {} == await Waits(store.link).since(GROUP)


async def test_many_waits(store: Store) -> None:
    """All completions are read, however many there are."""
    await builders.register(store)
    for start in range(0, 2_100, 300):
        due = range(start, start + 300)
        runs = [builders.occurrence(job=f"j{n % 300}", due_ms=DUE_MS + n) for n in due]
        await builders.enqueue(store, *runs)
        given = (await builders.claim(store, 300)).runs
        await store.exchange(builders.WORKER, [builders.ended(run) for run in given], [], {})

    assert [2_100] == [len(each) for each in (await Waits(store.link).since(GROUP)).values()]


async def test_backlog(store: Store) -> None:
    """Of each tenant it is known what is queued, for how long, and what a limit keeps there."""
    await builders.register(store, builders.WORKER, HANDLER, "mail.send")
    limits = GroupLimits(tenants={"bolt": TenantLimits(max_concurrency=1)}, handlers={HANDLER: 1})
    await Limiter(store).limit(GROUP, limits)
    await builders.enqueue(store, builders.occurrence("zeta"))
    await builders.claim(store)  # now the handler is at its limit
    mail: dict[str, Any] = {"handler": "mail.send"}
    await builders.enqueue(store, builders.occurrence("acme", "a"))
    await builders.shift(store, 5_000)
    await builders.enqueue(
        store,
        *(builders.occurrence("acme", job, priority="high", **mail) for job in "bc"),
        *(builders.occurrence("bolt", job, **mail) for job in "de"),
    )
    await builders.claim(store, 9)
    await builders.enqueue(store, builders.occurrence("acme", "f", **mail))
    found = await Backlogs(store.link).of(GROUP, await Usages(store.link).now_ms(GROUP))

    assert {"acme", "bolt"} == found.keys()
    assert Backlog(2, 1, found["acme"].oldest_ms) == found["acme"]
    assert about(5_000) == found["acme"].oldest_ms
    assert (1, True, 0) == (found["bolt"].queued, found["bolt"].limited, found["bolt"].ready)
    assert 1 == found["acme"].ready


async def test_since_is_that_of_the_scripts(store: Store) -> None:
    """A tenant with many runs under way is reckoned to the millisecond, years after."""
    await builders.shift(store, 10 * 365 * 86_400_000)
    for number in range(50):
        await started(store, job=f"job-{number}")
    used, owed = await store.link.command("HMGET", keys.tenant(GROUP, "acme"), "used", "owed")

    assert about(0) == (await usage(store)).service_ms / 50
    assert float(used).is_integer()
    assert float(owed).is_integer()


async def complete(store: Store, run: Claimed, waited_ms: int) -> None:
    """End a run that waited in its worker."""
    await builders.complete(store, run, waited_ms=waited_ms)


async def turn(store: Store, run: Claimed, waited_ms: int) -> None:
    """End it, and claim another one."""
    report = builders.ended(run)._replace(waited_ms=waited_ms)
    await store.exchange(builders.WORKER, [report], [], {GROUP: 1})


async def advance(store: Store, run: Claimed, waited_ms: int) -> None:
    """End its attempt; it may have more to do."""
    await fans.advance(store, run, waited_ms=waited_ms)


async def retry(store: Store, run: Claimed, waited_ms: int) -> None:
    """Let it rest, as it failed."""
    await builders.retry(store, run, waited_ms=waited_ms)


@pytest.mark.parametrize("end", [complete, turn, advance, retry])
async def test_wait_in_the_worker(
    store: Store, end: Callable[[Store, Claimed, int], Awaitable[None]]
) -> None:
    """A run is paid for without what it waited in its worker, even if it was renewed there."""
    run = await started(store)
    est_ms = (await usage(store)).est_ms
    await builders.shift(store, 9_000)
    await builders.renew(store, run)
    await end(store, run, 7_000)
    found = await usage(store)

    assert (about(2_000), 0) == (found.service_ms, found.running)
    assert found.est_ms == pytest.approx(est_ms + 0.2 * (found.service_ms - est_ms), abs=0.2)
    assert {} == await recount.differences(store)


async def test_wait_longer_than_it_was_held(store: Store) -> None:
    """Nobody is paid for a run, whatever its worker says of how long it waited."""
    first = await started(store, job="first")
    await builders.shift(store, 3_000)
    await builders.complete(store, first)
    before = (await usage(store)).service_ms
    second = await started(store, job="second")
    await builders.complete(store, second, waited_ms=60_000)

    assert before == (await usage(store)).service_ms
    assert {} == await recount.differences(store)
