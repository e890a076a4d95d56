"""Fencing: who no longer holds a run writes nothing; who resends a report does no harm."""

from collections.abc import Awaitable, Callable

import pytest

from rota.common import keys
from rota.common.noting import Note, Noting
from rota.common.run import Claimed
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import GROUP, HOUR_MS, WORKER

Taken = Callable[[Store, Claimed], Awaitable[None]]


async def rescued(store: Store, run: Claimed) -> None:
    """Let the lease end; the run is queued again."""
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)


async def claimed_by_another(store: Store, run: Claimed) -> None:
    """Let the lease end; another worker holds the run."""
    await rescued(store, run)
    await builders.register(store, "w2")
    await builders.claim(store, worker="w2")


async def completed_by_another(store: Store, run: Claimed) -> None:
    """Let the lease end; another worker has completed the run."""
    await rescued(store, run)
    await builders.complete(store, (await builders.claim(store)).runs[0])


async def given_back(store: Store, run: Claimed) -> None:
    """Give the run back."""
    await store.release([run])


LOSSES = [rescued, claimed_by_another, completed_by_another, given_back]
BY_LOSS = pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)


async def reports(store: Store, run: Claimed) -> list[str]:
    """Return the words for a success, a death, a retry, a renewal, and for units of work.

    Gives the run back, too.
    """
    words = [
        await builders.complete(store, run),
        await builders.complete(store, run, "dead"),
        await builders.retry(store, run),
        await builders.renew(store, run),
        (await Noting(store).send(Note(run, progress=b"how far", units=b"committed")))[run].word,
    ]
    await store.release([run])
    return words


@BY_LOSS
async def test_lost_run(store: Store, lose: Taken) -> None:
    """A worker that lost its run is refused everything, and no key changes."""
    seeded = await builders.seed(store, State.RUNNING)
    await lose(store, seeded.run)
    before = await builders.snapshot(store, virtual=False)

    assert ["stale", "stale", "stale", "lost", "stale"] == await reports(store, seeded.run)
    assert before == await builders.snapshot(store, virtual=False)


@pytest.mark.parametrize(("step", "word"), [(-1, "lost"), (1, "unknown")])
async def test_other_fence(store: Store, step: int, word: str) -> None:
    """A fence that is not exactly the present one is refused, and no key changes.

    A higher one is one that the store must have lost: its holder is told to bring it back.
    """
    seeded = await builders.seed(store, State.RUNNING)
    before = await builders.snapshot(store, virtual=False)
    other = seeded.run._replace(fence=seeded.run.fence + step)

    words = ["stale", "stale", "stale", word, "unknown" if word == "unknown" else "stale"]
    assert words == await reports(store, other)
    assert before == await builders.snapshot(store, virtual=False)


async def test_dead_by_rescue(store: Store) -> None:
    """A worker whose run was declared dead is refused: its success was not accepted."""
    seeded = await builders.seed(store, State.RUNNING, attempts=1)
    await rescued(store, seeded.run)
    before = await builders.snapshot(store, virtual=False)

    assert State.DEAD == await builders.state_of(store, seeded.run.job_id)
    assert ["stale", "stale", "stale", "lost", "stale"] == await reports(store, seeded.run)
    assert before == await builders.snapshot(store, virtual=False)


@pytest.mark.parametrize("outcome", ["succeeded", "dead"])
@pytest.mark.parametrize("keep_ms", [0, HOUR_MS])
async def test_completion_sent_twice(store: Store, outcome: str, keep_ms: int) -> None:
    """A completion that is sent again is accepted again and published once."""
    seeded = await builders.seed(store, State.RUNNING, keep_ms=keep_ms)
    first = await builders.complete(store, seeded.run, outcome)
    before = await builders.snapshot(store, virtual=False)
    again = await builders.complete(store, seeded.run, outcome)

    assert ("completed", "completed") == (first, again)
    assert before == await builders.snapshot(store, virtual=False)
    assert 1 == await store.link.command("XLEN", keys.done(GROUP))


async def test_completion_sent_twice_around_the_next_run(store: Store) -> None:
    """A completion that is sent again does not touch the job's next run."""
    seeded = await builders.seed(store, State.SUCCEEDED, keep_ms=0)
    await builders.enqueue(store, builders.occurrence(due_ms=builders.DUE_MS + 1))
    await builders.claim(store)
    before = await builders.snapshot(store, virtual=False)

    assert "completed" == await builders.complete(store, seeded.run)
    assert before == await builders.snapshot(store, virtual=False)


async def test_retry_sent_twice(store: Store) -> None:
    """A failure that is sent again, even when the run is queued again, is published once."""
    seeded = await builders.seed(store, State.RETRYING)
    while_resting = await builders.retry(store, seeded.run)
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    before = await builders.snapshot(store, virtual=False)
    afterwards = await builders.retry(store, seeded.run)

    assert ("retrying", "retrying") == (while_resting, afterwards)
    assert before == await builders.snapshot(store, virtual=False)
    assert 1 == await store.link.command("XLEN", keys.done(GROUP))


async def test_one_batch_with_both(store: Store) -> None:
    """In one batch the reports that are in order count, and the others are refused one by one."""
    await builders.register(store)
    await builders.enqueue(store, *(builders.occurrence(job=f"job{n}") for n in range(4)))
    good, bad, tired, weary = (await builders.claim(store, n=4)).runs
    bad, weary = bad._replace(fence=1), weary._replace(fence=1)
    words, claims = await store.exchange(
        WORKER,
        [builders.ended(good), builders.ended(bad)],
        [builders.resting(tired), builders.resting(weary)],
        {GROUP: 1},
    )

    assert {
        good.job_id: "completed",
        bad.job_id: "stale",
        tired.job_id: "retrying",
        weary.job_id: "stale",
    } == words
    assert [] == claims[GROUP].runs
