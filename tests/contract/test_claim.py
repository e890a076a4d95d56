"""Claim: only what there is, only to whom it is for, each time under a higher fence."""

from typing import Any

from rota.common import keys
from rota.common.link import Link
from rota.common.registration import Registration
from rota.common.run import Occurrence
from rota.common.state import State
from rota.common.store import LEASE_MS, Store
from tests.support import builders, recount
from tests.support.builders import DUE_MS, GROUP, HOUR_MS, WORKER


def many(count: int, tenant: str = "acme", **over: Any) -> list[Occurrence]:
    """Return runs of as many jobs of one tenant."""
    return [builders.occurrence(tenant, f"job{number:03}", **over) for number in range(count)]


async def tokens(store: Store) -> int:
    """Return how many idle workers are going to be woken."""
    return int(await store.link.command("LLEN", keys.wake(GROUP)))


async def test_unregistered_worker(store: Store) -> None:
    """A worker that the store does not know is told so and gets nothing."""
    await builders.enqueue(store, builders.occurrence())
    claim = await builders.claim(store)

    assert (False, []) == (claim.registered, claim.runs)
    assert State.QUEUED == await builders.state_of(store, builders.occurrence().job_id)


async def test_worker_that_left(store: Store) -> None:
    """A worker that has unregistered gets nothing."""
    await builders.seed(store, State.QUEUED)
    await Registration(store).unregister(builders.worker_info())

    assert not (await builders.claim(store)).registered


async def test_nothing_to_claim(store: Store) -> None:
    """A claim on an empty group is answered at once."""
    await builders.register(store)

    assert (True, False, [], 0.0) == await builders.claim(store, n=5)


async def test_order_within_a_tenant(store: Store) -> None:
    """A tenant's runs start in the order in which they were enqueued."""
    runs = many(5)
    await builders.register(store)
    await builders.enqueue(store, *runs)
    claim = await builders.claim(store, n=5)

    assert [run.job_id for run in runs] == [run.job_id for run in claim.runs]


async def test_no_more_than_asked(store: Store) -> None:
    """A worker gets as many runs as it asked for, and is told whether more are left."""
    await builders.register(store)
    await builders.enqueue(store, *many(5))
    first, second = await builders.claim(store, n=3), await builders.claim(store, n=2)

    assert (3, True) == (len(first.runs), first.more)
    assert (2, False) == (len(second.runs), second.more)


async def test_two_claims_share_nothing(store: Store) -> None:
    """No run is given to two workers."""
    await builders.register(store)
    await builders.register(store, "w2")
    await builders.enqueue(store, *many(6))
    taken = [
        run.job_id
        for worker in (WORKER, "w2", WORKER)
        for run in (await builders.claim(store, n=2, worker=worker)).runs
    ]

    assert 6 == len(set(taken)) == len(taken)


async def test_fence_rises(store: Store) -> None:
    """Each claim has a higher fence than all before it, also after the store lost everything."""
    fences = []
    for number in range(6):
        if number == 3:
            await store.link.command("FLUSHALL")
            await builders.close_gate(store)
        await builders.register(store)
        await builders.enqueue(store, *many(2, tenant=f"t{number}"))
        fences += [run.fence for run in (await builders.claim(store, n=2)).runs]

    assert 12 == len(fences)
    assert sorted(set(fences)) == fences


async def test_fence_is_exact(store: Store) -> None:
    """Fences stay whole numbers that a 64-bit float holds exactly, well beyond this century."""
    await builders.register(store)
    await store.link.command("HSET", keys.root(GROUP), "fence", 2**53 - 10)
    await builders.enqueue(store, *many(3))

    assert [2**53 - 9, 2**53 - 8, 2**53 - 7] == [
        run.fence for run in (await builders.claim(store, n=3)).runs
    ]


async def test_attempts_are_counted(store: Store) -> None:
    """Each claim is one attempt more."""
    seeded = await builders.seed(store, State.RETRYING)
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    (run,) = (await builders.claim(store)).runs

    assert (1, 2) == (seeded.run.attempt, run.attempt)


async def test_held_for_a_worker_that_serves(store: Store) -> None:
    """A run that nobody serves yet waits, loses no attempt, and goes first when a worker comes."""
    strange = builders.occurrence(job="strange", handler="mail.send")
    await builders.register(store)
    await builders.enqueue(store, strange, builders.occurrence())
    claim = await builders.claim(store, n=2)
    held = await builders.state_of(store, strange.job_id)
    await builders.register(store, "w2", "mail.send", builders.HANDLER)
    await builders.enqueue(store, builders.occurrence(job="late"))
    (run,) = (await builders.claim(store, worker="w2")).runs

    assert [builders.occurrence().job_id] == [run.job_id for run in claim.runs]
    assert State.HELD == held
    assert (strange.job_id, 1) == (run.job_id, run.attempt)


async def test_held_runs_are_claimable(store: Store) -> None:
    """Held runs that are left over for their worker count as more to claim."""
    await builders.register(store, "w2", "mail.send")
    await builders.register(store)
    await builders.enqueue(store, *many(3, handler="mail.send"))
    nothing = await builders.claim(store, n=3)
    claims = [await builders.claim(store, worker="w2") for _ in range(3)]

    assert ([], False) == (nothing.runs, nothing.more)
    assert [True, True, False] == [claim.more for claim in claims]
    assert [1, 1, 1] == [len(claim.runs) for claim in claims]


async def test_held_backlog_does_not_block(store: Store) -> None:
    """A backlog that nobody serves does not keep a worker from the runs behind it."""
    await builders.register(store)
    await builders.enqueue(store, *many(80, handler="nobody"), builders.occurrence())
    found = []
    for _ in range(3):
        claim = await builders.claim(store)
        found += claim.runs
        if not claim.more:
            break

    assert [builders.occurrence().job_id] == [run.job_id for run in found]


async def test_stale_pointer(store: Store) -> None:
    """A pointer whose run is gone is skipped; the runs behind it are claimed."""
    gone, there = many(2)
    await builders.register(store)
    await builders.enqueue(store, gone, there)
    await store.link.command("DEL", keys.run(GROUP, gone.job_id))

    assert [there.job_id] == [run.job_id for run in (await builders.claim(store, n=2)).runs]
    assert not (await builders.claim(store)).more


async def test_stale_held_pointer(store: Store) -> None:
    """A held pointer whose run is gone is skipped, and nothing is left of it."""
    seeded = await builders.seed(store, State.HELD)
    await store.link.command("DEL", keys.run(GROUP, seeded.occurrence.job_id))

    assert [] == (await builders.claim(store)).runs
    assert 0 == await store.link.command("EXISTS", keys.held(GROUP))


async def test_duplicate_pointer(store: Store) -> None:
    """A pointer that exists twice leads to one attempt, before and after the run is over."""
    run = builders.occurrence()
    await builders.register(store)
    await builders.enqueue(store, run)
    await store.link.command("RPUSH", keys.queue(GROUP, "acme"), run.job_id, run.job_id)
    first = (await builders.claim(store)).runs
    second = (await builders.claim(store)).runs
    await builders.complete(store, first[0])

    assert ([run.job_id], []) == ([one.job_id for one in first], second)
    assert [] == (await builders.claim(store)).runs


async def test_wake_tokens(store: Store) -> None:
    """As many idle workers are woken as there are runs to claim, and never more than 64."""
    await builders.enqueue(store, *many(3))
    three = await tokens(store)
    await builders.enqueue(store, *many(100, tenant="beta"))

    assert (3, 64) == (three, await tokens(store))


async def test_refused_occurrences_wake_nobody(store: Store) -> None:
    """An occurrence that was not accepted wakes no worker."""
    await builders.enqueue(store, builders.occurrence())
    await builders.enqueue(store, builders.occurrence(), builders.occurrence(due_ms=DUE_MS + 1))

    assert 1 == await tokens(store)


async def test_chain_token(store: Store) -> None:
    """A claim that leaves work behind wakes the next idle worker, however the tokens were lost."""
    await builders.register(store)
    await builders.enqueue(store, *many(3))
    await store.link.command("DEL", keys.wake(GROUP))
    await builders.claim(store, n=2)
    left = await tokens(store)
    await store.link.command("DEL", keys.wake(GROUP))
    await builders.claim(store, n=2)

    assert (1, 0) == (left, await tokens(store))


async def test_listen(store: Store) -> None:
    """A worker that listens gets the token that an enqueue gives."""
    await builders.enqueue(store, builders.occurrence())

    assert await store.listen(GROUP, "w1")
    assert 0 == await tokens(store)


async def test_several_groups_in_one_round_trip(store: Store) -> None:
    """A worker claims from each of its groups as much as it wants there."""
    await builders.register(store, groups=("gold", "iron"))
    await store.enqueue({"gold": many(3), "iron": many(3)})
    _, claims = await store.exchange(WORKER, [], [], {"gold": 1, "iron": 2})

    assert [("gold", 1), ("iron", 2)] == [(g, len(claim.runs)) for g, claim in claims.items()]
    assert {"gold", "iron"} == {run.group for claim in claims.values() for run in claim.runs}


async def test_same_request(store: Store) -> None:
    """A claim that is sent again gives the same runs and fences; nothing counts twice."""
    await builders.register(store)
    await builders.enqueue(store, *many(5))
    first = await builders.claim(store, n=3, request=7)
    before = await builders.snapshot(store, virtual=False)
    await builders.shift(store, LEASE_MS - 1_000)
    again = await builders.claim(store, n=3, request=7)
    await builders.shift(store, LEASE_MS - 1_000)
    taken, _ = await store.sweep(GROUP)
    after = await builders.snapshot(store, virtual=False)
    for space in (before, after):
        del space[keys.leases(GROUP)], space[keys.root(GROUP)]

    assert first == again
    assert [] == taken  # the lease counts from the second sending, as its worker takes it
    assert before == after
    assert {} == await recount.differences(store)


async def test_same_request_later(store: Store) -> None:
    """Of a claim that is sent again only what its worker still holds is given."""
    await builders.register(store)
    await builders.enqueue(store, *many(5))
    first = (await builders.claim(store, n=5, request=7)).runs
    await builders.complete(store, first[0])
    await builders.retry(store, first[1])
    await store.release([first[2]])
    again = await builders.claim(store, n=5, request=7)

    assert first[3:] == again.runs
    assert State.QUEUED == await builders.state_of(store, first[2].job_id)
    assert {} == await recount.differences(store)


async def test_same_request_after_the_lease(store: Store) -> None:
    """A run that was taken back is not given again by the request that it was claimed with."""
    await builders.register(store)
    await builders.enqueue(store, builders.occurrence())
    await builders.claim(store, request=7)
    await builders.shift(store, LEASE_MS)
    await store.sweep(GROUP)

    assert [] == (await builders.claim(store, request=7)).runs
    assert State.QUEUED == await builders.state_of(store, builders.occurrence().job_id)


async def test_same_request_after_another_claim(store: Store) -> None:
    """A run that another worker holds by now is not given again."""
    await builders.register(store)
    await builders.register(store, "w2")
    await builders.enqueue(store, builders.occurrence())
    await builders.claim(store, request=7)
    await builders.shift(store, LEASE_MS)
    await store.sweep(GROUP)
    (run,) = (await builders.claim(store, worker="w2")).runs

    assert [] == (await builders.claim(store, request=7)).runs
    assert "renewed" == await builders.renew(store, run)


async def test_same_request_of_another_worker(store: Store) -> None:
    """Each worker counts its own requests."""
    await builders.register(store)
    await builders.register(store, "w2")
    await builders.enqueue(store, *many(2))
    claims = [await builders.claim(store, worker=worker, request=7) for worker in (WORKER, "w2")]

    assert 2 == len({run.job_id for claim in claims for run in claim.runs})


async def test_other_request(store: Store) -> None:
    """Another request gives other runs, and what was claimed before stays claimed."""
    await builders.register(store)
    await builders.enqueue(store, *many(4))
    first = (await builders.claim(store, n=2, request=7)).runs
    second = (await builders.claim(store, n=2, request=70)).runs

    assert 4 == len({run.job_id for run in first + second})
    assert ([], []) == await store.renew(first + second)


async def test_requests_of_a_process(store: Store, url: str) -> None:
    """Claims of two processes with one worker id are two requests, by default."""
    other = Store(Link(url))
    await builders.register(store)
    await builders.enqueue(store, *many(2))
    runs = (await builders.claim(store)).runs + (await builders.claim(other)).runs
    await other.link.close()

    assert 2 == len({run.job_id for run in runs})


async def test_memory_of_a_claim(store: Store) -> None:
    """What a worker was given last is remembered for a lease, and no longer."""
    await builders.seed(store, State.RUNNING)
    key = keys.claim(GROUP, WORKER)

    assert LEASE_MS - 2_000 < await store.link.command("PTTL", key) <= LEASE_MS


async def test_asking_for_nothing(store: Store) -> None:
    """A claim of no runs tells the epoch and changes no key; a worker may be unknown for it."""
    await builders.enqueue(store, builders.occurrence())
    epoch = store.epochs.known(GROUP)
    other = Store(store.link)
    before = await builders.snapshot(store)
    claim = await builders.claim(other, n=0)

    assert (True, False, [], 0.0) == claim
    assert epoch == other.epochs.known(GROUP)
    assert before == await builders.snapshot(store)
