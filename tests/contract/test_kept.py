"""What is kept of a run that is over: nothing, a result for who waits, or a dead letter."""

import pytest

from rota.common import keys, message
from rota.common.catalog import Catalog
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import GROUP, HOUR_MS, WORKER

DAY_MS = 24 * HOUR_MS
LETTERS = 10_000


async def ttl(store: Store, job_id: str) -> int:
    """Return the time that the run's record is still kept for, ms."""
    return int(await store.link.command("PTTL", keys.run(GROUP, job_id)))


async def test_success_is_forgotten(store: Store) -> None:
    """A run that succeeded leaves no record if nobody asked for its result."""
    seeded = await builders.seed(store, State.SUCCEEDED, keep_ms=0)

    assert {} == await Catalog(store.link).run(GROUP, seeded.run.job_id)


async def test_result_is_kept(store: Store) -> None:
    """A result is there for as long as the request asked, with the completion."""
    seeded = await builders.seed(store, State.RUNNING, keep_ms=60_000)
    report = builders.ended(seeded.run, result=message.encode({"rows": 3}))
    await store.exchange(WORKER, [report], [], {})
    record = await Catalog(store.link).run(GROUP, seeded.run.job_id)

    assert (b"succeeded", report.result) == (record["state"], record["result"])
    assert "succeeded" == message.decode_completion(record["completion"]).outcome
    assert 50_000 < await ttl(store, seeded.run.job_id) <= 60_000


@pytest.mark.parametrize("keep_ms", [0, HOUR_MS])
async def test_dead_letter(store: Store, keep_ms: int) -> None:
    """A dead run is kept for seven days with its payload and its error."""
    seeded = await builders.seed(store, State.DEAD, keep_ms=keep_ms)
    record = await Catalog(store.link).run(GROUP, seeded.run.job_id)
    letters = await store.link.command("ZRANGE", keys.dead(GROUP), 0, -1)

    assert (b"dead", seeded.occurrence.body) == (record["state"], record["body"])
    assert "dead" == message.decode_completion(record["completion"]).outcome
    assert [seeded.run.job_id.encode()] == letters
    assert 7 * DAY_MS - 60_000 < await ttl(store, seeded.run.job_id) <= 7 * DAY_MS


async def test_oldest_dead_letters_go(store: Store) -> None:
    """There are at most 10,000 dead letters: the oldest make room, records and all."""
    old = [f"acme/old:{number}" for number in range(LETTERS)]
    seconds, _ = await store.link.command("TIME")
    first = int(seconds) * 1000 - 60_000
    pairs = [value for number, name in enumerate(old) for value in (first + number, name)]
    await store.link.command("ZADD", keys.dead(GROUP), *pairs)
    await store.link.pipeline([("SET", keys.run(GROUP, name), "") for name in old[:2]])
    seeded = await builders.seed(store, State.DEAD)
    letters = await store.link.command("ZRANGE", keys.dead(GROUP), 0, -1)

    assert LETTERS == len(letters)
    assert [name.encode() for name in old[1:]] + [seeded.run.job_id.encode()] == letters
    assert 0 == await store.link.command("EXISTS", keys.run(GROUP, old[0]))
    assert 1 == await store.link.command("EXISTS", keys.run(GROUP, old[1]))


async def test_slot_remembers_the_end(store: Store) -> None:
    """The job's slot tells how and when the last run ended, by the store's own clock."""
    seeded = await builders.seed(store, State.SUCCEEDED)
    seconds, _ = await store.link.command("TIME")
    (slot,) = await Catalog(store.link).slots(GROUP, ["acme/import"])

    assert (None, "succeeded", seeded.run.job_id) == (slot.run, slot.outcome, slot.last)
    assert builders.DUE_MS == slot.due_ms
    assert slot.ended_ms is not None
    assert abs(int(seconds) * 1000 - slot.ended_ms) < 5_000


async def test_completions_in_order(store: Store) -> None:
    """Whoever waits reads all completions behind the one he knows, in order, and goes on there."""
    await builders.seed(store, State.SUCCEEDED, job="first")
    known = await store.last_completion(GROUP)
    await builders.seed(store, State.DEAD, job="second")
    await builders.seed(store, State.RETRYING, job="third")
    position, entries = await store.completions(GROUP, known)

    assert [("second", "dead"), ("third", "retrying")] == [(c.job, c.outcome) for c, _ in entries]
    assert position == await store.last_completion(GROUP)
