"""A turn completes and claims in one script, as if one came after the other."""

from heapq import heapify, heapreplace

from rota.common import keys
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders, recount
from tests.support.builders import GROUP, WORKER


async def turn(
    store: Store, seeded: builders.Seeded, n: int = 1, worker: str = WORKER
) -> list[str]:
    """Complete the run and claim `n`; return the word for it, and what is given."""
    words, claims = await store.exchange(worker, [builders.ended(seeded.run)], [], {GROUP: n})
    given = [run.job_id for run in claims[GROUP].runs]
    return [words[seeded.run.job_id], *given]


async def test_next_run(store: Store) -> None:
    """What a completion makes room for is given by the same turn; all counts stay right."""
    seeded = await builders.seed(store, State.RUNNING, keep_ms=0)
    follower = builders.occurrence(job="export")
    await builders.enqueue(store, follower)
    found = await turn(store, seeded)

    assert ["completed", follower.job_id] == found
    assert await builders.state_of(store, seeded.run.job_id) is None
    assert State.RUNNING == await builders.state_of(store, follower.job_id)
    assert {} == await recount.differences(store)


async def test_unknown_worker(store: Store) -> None:
    """A worker that the store has forgotten still ends its runs; it is given none."""
    seeded = await builders.seed(store, State.RUNNING, keep_ms=0)
    await builders.enqueue(store, builders.occurrence(job="export"))
    await store.link.command("DEL", keys.handlers(GROUP, WORKER))
    words, claims = await store.exchange(WORKER, [builders.ended(seeded.run)], [], {GROUP: 1})

    assert {seeded.run.job_id: "completed"} == words
    assert (False, []) == (claims[GROUP].registered, claims[GROUP].runs)
    assert {} == await recount.differences(store)


async def test_open_gate(store: Store) -> None:
    """While the gate is open runs end, and none begins."""
    seeded = await builders.seed(store, State.RUNNING, keep_ms=0)
    await builders.enqueue(store, builders.occurrence(job="export"))
    await builders.change_server(store)
    words, claims = await store.exchange(WORKER, [builders.ended(seeded.run)], [], {GROUP: 1})

    assert {seeded.run.job_id: "completed"} == words
    assert claims[GROUP].wait_s > 0
    assert (True, []) == (claims[GROUP].registered, claims[GROUP].runs)
    assert {} == await recount.differences(store)


async def test_no_claim(store: Store) -> None:
    """Who wants nothing now ends its runs all the same."""
    seeded = await builders.seed(store, State.RUNNING, keep_ms=0)
    await builders.enqueue(store, builders.occurrence(job="export"))
    found = await turn(store, seeded, n=0)

    assert ["completed"] == found
    assert {} == await recount.differences(store)


async def test_stale_run(store: Store) -> None:
    """A run that was taken back is stale, and the claim is answered all the same."""
    seeded = await builders.seed(store, State.RUNNING, keep_ms=0)
    follower = builders.occurrence(job="export")
    await builders.enqueue(store, follower)
    older = seeded._replace(run=seeded.run._replace(fence=seeded.run.fence - 1))
    found = await turn(store, older)

    assert ["stale", follower.job_id] == found
    assert {} == await recount.differences(store)


async def test_claim_of_many(store: Store) -> None:
    """Of many runs that one claim gives, each is of the tenant with the least service till then."""
    await builders.register(store)
    shares = {f"t{k}": 1 + k % 3 for k in range(9)}
    await store.link.pipeline(
        [("HSET", keys.tenant(GROUP, name), "weight", w) for name, w in shares.items()]
    )
    runs = [builders.occurrence(f"t{n % 9}", f"job-{n}") for n in range(90)]
    await builders.enqueue(store, *runs)
    flat = await store.link.command("ZRANGE", keys.active(GROUP), 0, -1, "WITHSCORES")
    ring = [(int(score), name) for name, score in zip(flat[::2], flat[1::2], strict=True)]
    heapify(ring)
    expected = []
    for _ in range(30):
        vt, name = ring[0]
        expected.append(name.decode())
        heapreplace(ring, (vt + round(100_000 / shares[name.decode()]), name))  # 100 ms, estimated
    given = [run.job_id.partition("/")[0] for run in (await builders.claim(store, n=30)).runs]

    assert expected == given
