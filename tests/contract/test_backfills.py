"""A backfill's runs are accepted once each, in order, and stand for no occurrence."""

import pytest

from rota.common.backfills import Backfill, Backfills
from rota.common.catalog import Catalog
from rota.common.clock import SystemClock
from rota.common.job import backfill_id
from rota.common.ledger import Attempts, Ledger
from rota.common.run import Occurrence
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import BESIDE, DUE_MS, GROUP, HOUR_MS

REF = "acme/import"
FIRST = DUE_MS - 5 * HOUR_MS


async def begin(store: Store, ref: str = REF) -> Backfill:
    """Begin a backfill of three hours."""
    made, is_new = await Backfills(store.link).begin(
        GROUP, ref, from_ms=FIRST, to_ms=FIRST + 2 * HOUR_MS, total=3, by="ann@ops"
    )
    assert is_new
    return made


def run_of(fill: Backfill, hour: int, job: str = "import") -> Occurrence:
    """Return the run of an occurrence."""
    due_ms = FIRST + hour * HOUR_MS
    name = backfill_id(f"acme/{job}", fill.number, due_ms)
    return builders.occurrence(job=job, due_ms=due_ms, job_id=name, overlap="")


async def place(store: Store, ref: str = REF) -> tuple[int, int, str]:
    """Return how far the backfill of a job is."""
    fill = (await Backfills(store.link).of(GROUP))[ref]
    return fill.done_ms, fill.sent, fill.last


async def carry_out(store: Store) -> None:
    """Let a worker do what is queued."""
    await builders.register(store)
    for run in (await builders.claim(store, 9)).runs:
        assert "completed" == await builders.complete(store, run)


async def words(store: Store, *runs: Occurrence) -> list[str]:
    """Enqueue; return the words."""
    return [word for word, _ in await builders.enqueue(store, *runs)]


async def test_one_at_a_time(store: Store) -> None:
    """A job has one backfill at a time; a later one has another number."""
    first = await begin(store)
    again, is_new = await Backfills(store.link).begin(
        GROUP, REF, from_ms=1, to_ms=2, total=1, by="bob@ops"
    )
    ended = await Backfills(store.link).end(GROUP, REF, first.number)
    gone = await Backfills(store.link).end(GROUP, REF, first.number)
    second = await begin(store)

    assert (first, False) == (again, is_new)
    assert (True, False) == (ended, gone)
    assert first.number < second.number
    assert {REF: second} == await Backfills(store.link).of(GROUP)


async def test_each_run_once(store: Store) -> None:
    """Sent again a run changes nothing: while it is in flight, when it is over, and much later."""
    fill = await begin(store)
    first, second = run_of(fill, 0), run_of(fill, 1)

    assert ["queued"] == await words(store, first)
    assert ["past"] == await words(store, first)
    assert ["busy"] == await words(store, second)

    await carry_out(store)

    assert ["past"] == await words(store, first)
    assert ["queued"] == await words(store, second)
    assert (FIRST + HOUR_MS, 2, second.job_id) == await place(store)

    await carry_out(store)

    assert ["past", "past"] == await words(store, first, second)


async def test_no_occurrence(store: Store) -> None:
    """It moves no cursor; the ledger tells of it beside the occurrence, by the time of that."""
    fill = await begin(store)
    await builders.seed(store, State.SUCCEEDED, due_ms=FIRST, keep_ms=0)
    await builders.seed(store, State.SUCCEEDED, due_ms=DUE_MS, keep_ms=0)
    await words(store, run_of(fill, 0))
    claimed = (await builders.claim(store)).runs[0]
    flying = await Ledger(store.link).current(GROUP, claimed.job_id)
    await builders.complete(store, claimed)
    (slot,) = await Catalog(store.link).slots(GROUP, [REF])
    entries = await Ledger(store.link).of(GROUP, REF, 0)
    runs = [entry for entry in entries if isinstance(entry, Attempts)]

    assert (0, DUE_MS) == (claimed.due_ms, slot.due_ms)
    assert flying is not None
    assert (True, FIRST) == (flying.is_backfill, flying.due_ms)
    assert [(DUE_MS, False), (FIRST, True), (FIRST, False)] == [
        (run.due_ms, run.is_backfill) for run in runs
    ]
    assert flying.queued_ms == runs[1].queued_ms
    assert abs(SystemClock().now_ms() - flying.queued_ms) < HOUR_MS


async def test_stopped(store: Store) -> None:
    """When a backfill was ended none of its runs is accepted any more."""
    fill = await begin(store)
    await Backfills(store.link).end(GROUP, REF, fill.number)
    await begin(store)

    assert ["past"] == await words(store, run_of(fill, 0))


async def test_job_whose_runs_may_overlap(store: Store) -> None:
    """Not even such a job has two runs of its backfill in flight at a time."""
    ref = f"acme/{BESIDE}"
    fill = await begin(store, ref)
    await words(store, run_of(fill, 0, BESIDE))
    live = await words(store, builders.occurrence(job=BESIDE))
    await builders.register(store)
    runs = (await builders.claim(store, 2)).runs
    await builders.complete(store, next(run for run in runs if run.due_ms))

    assert ["queued"] == live
    assert ["busy"] == await words(store, run_of(fill, 1, BESIDE))


@pytest.mark.parametrize("ended", [True, False])
async def test_lost_writes(store: Store, ended: bool) -> None:
    """A run that the store forgot, and its worker brought back, is not run again."""
    fill = await begin(store)
    first, root = run_of(fill, 0), store.link
    before = {name: await root.command("DUMP", name) for name in await root.command("KEYS", "*")}
    await words(store, first)
    await builders.register(store)
    run = (await builders.claim(store)).runs[0]
    await root.command("FLUSHDB")
    for name, value in before.items():
        await root.command("RESTORE", name, 0, value)
    await builders.change_server(store)
    brought = await builders.complete(store, run) if ended else await builders.adopt(store, run)
    await builders.close_gate(store)
    if ended:  # and something else has run since then
        await builders.seed(store, State.SUCCEEDED, keep_ms=0)

    assert brought in ("completed", ["adopted"])
    assert ["past" if ended else "duplicate"] == await words(store, first)
    assert (FIRST, 1, first.job_id) == await place(store)
