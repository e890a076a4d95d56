"""What was not run is noted once, behind all that was accounted for before, and nowhere else."""

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.ledger import Entry, Ledger, Note, Outcome, Stretch
from rota.common.recording import Recording
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import DUE_MS, GROUP

REF = "acme/import"
WAY = f"{REF}:20270115T000000Z"


def note(first: int, last: int, times: int = 1, outcome: str = Outcome.SKIPPED) -> Note:
    """Return a note on occurrences, by ms from `DUE_MS` on."""
    return Note(REF, outcome, "overlap", DUE_MS + first, DUE_MS + last, times, WAY)


async def record(store: Store, *notes: Note, term: int = 0) -> list[str]:
    """Record; return the words."""
    return [word for word, _ in await Recording(store).record(GROUP, *notes, term=term)]


async def ledger(store: Store) -> list[Entry]:
    """Return what is kept of the job."""
    return await Ledger(store.link).of(GROUP, REF, 0)


async def cursor(store: Store) -> int | None:
    """Return up to when all is accounted for, in ms from `DUE_MS` on."""
    (slot,) = await Catalog(store.link).slots(GROUP, [REF])
    return None if slot.due_ms is None else slot.due_ms - DUE_MS


async def test_recorded(store: Store) -> None:
    """A stretch is one entry that tells all of it, and moves the cursor to its end."""
    assert ["recorded"] == await record(store, note(0, 60, 7))
    (entry,) = await ledger(store)

    assert isinstance(entry, Stretch)
    assert ("skipped", "overlap", 7, WAY) == (
        entry.outcome, entry.detail, entry.times, entry.way,
    )  # fmt: skip
    assert (DUE_MS, DUE_MS + 60) == (entry.from_ms, entry.to_ms)
    assert 60 == await cursor(store)


async def test_again(store: Store) -> None:
    """The same note again changes nothing: its reply was lost."""
    await record(store, note(0, 60))
    before = await builders.snapshot(store, virtual=False)

    assert ["past"] == await record(store, note(0, 60))
    assert before == await builders.snapshot(store, virtual=False)


async def test_joined(store: Store) -> None:
    """Notes that follow each other for the same reason are one entry; another reason begins one."""
    words = await record(
        store, note(0, 0), note(1, 1), note(2, 4, 3), note(5, 5, 1, Outcome.MISSED), note(6, 6)
    )
    found = [(e.outcome, e.times) for e in await ledger(store) if isinstance(e, Stretch)]

    assert ["recorded"] * 5 == words
    assert [("skipped", 1), ("missed", 1), ("skipped", 5)] == found


async def test_not_joined_over_a_run(store: Store) -> None:
    """What lies on both sides of a run is two entries, though the run has not ended."""
    await record(store, note(0, 0))
    await builders.enqueue(store, builders.occurrence(due_ms=DUE_MS + 1))
    await record(store, note(2, 2))

    assert [2, 0] == [entry.at_ms - DUE_MS for entry in await ledger(store)]


async def test_uncounted(store: Store) -> None:
    """What nobody has counted makes the sum unknown."""
    await record(store, note(0, 1, 2), note(2, 9, 0), note(10, 10, 1))
    (entry,) = await ledger(store)

    assert isinstance(entry, Stretch)
    assert 0 == entry.times


async def test_partly(store: Store) -> None:
    """Of a note that begins before the cursor nothing is noted; the cursor tells what is new."""
    await record(store, note(0, 5))

    assert [("partly", str(DUE_MS + 5))] == await Recording(store).record(GROUP, note(4, 9))
    assert (1, 5) == (len(await ledger(store)), await cursor(store))


async def test_fenced(store: Store) -> None:
    """Who leads no longer notes nothing."""
    term = (await store.lead(GROUP, "s1", 60_000, wanted=True)).term

    assert ["deposed"] == await record(store, note(0, 0), term=term - 1)
    assert ([], None) == (await ledger(store), await cursor(store))
    assert ["recorded"] == await record(store, note(0, 0), term=term)


async def test_gated(store: Store) -> None:
    """While the gate is open nothing is noted: live workers may bring back what was run."""
    await store.sweep(GROUP)
    await builders.change_server(store)

    assert ["gated"] == await record(store, note(0, 0))
    assert [] == await ledger(store)


async def test_not_enqueued_afterwards(store: Store) -> None:
    """An occurrence whose outcome is noted is not run."""
    await record(store, note(0, 0))

    assert "past" == (await builders.enqueue(store, builders.occurrence()))[0][0]


@pytest.mark.parametrize("state", [None, *State])
async def test_lost(store: Store, state: State | None) -> None:
    """A triggered run is noted as lost only if nothing is known of it, and once."""
    run = (await builders.seed(store, state, due_ms=0)).run
    lost = Note(REF, Outcome.LOST, "", 0, 0, 1, run.job_id)
    words = [(await record(store, lost))[0] for _ in range(2)]
    found = [entry.outcome for entry in await ledger(store) if entry.outcome == "lost"]

    assert (["recorded", "past"] if state is None else ["past"] * 2) == words
    assert (["lost"] if state is None else []) == found


async def test_both_in_one_trip(store: Store) -> None:
    """Runs and notes travel together, and each is answered."""
    runs = {GROUP: [builders.occurrence("beta")]}
    sent = await Recording(store).send(runs, {GROUP: [note(0, 0)]}, {})

    assert "queued" == sent.runs[GROUP][0][0]
    assert [("recorded", "")] == sent.notes[GROUP]
    assert 1 == await store.link.command("LLEN", keys.queue(GROUP, "beta"))
