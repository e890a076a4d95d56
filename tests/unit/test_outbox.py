"""What is told of one job keeps its order, and nothing is told twice."""

from rota.common.job import job_id
from rota.common.ledger import Note
from rota.common.run import Occurrence
from rota.scheduler.outbox import Outbox
from tests.support import builders
from tests.support.builders import GROUP
from tests.support.definitions import job

FIRST, SECOND = job("acme/first", every="1h"), job("acme/second", every="1h")


def run(name: str, due_ms: int) -> Occurrence:
    """Return a run of `acme/NAME`."""
    return builders.occurrence("acme", name, due_ms)


def note(name: str, due_ms: int) -> Note:
    """Return a note on an occurrence of `acme/NAME`."""
    return Note(f"acme/{name}", "missed", "down", due_ms, due_ms, 1)


def sent(outbox: Outbox, most: int = 500) -> list[Occurrence | Note]:
    """Return what the next batch tells, and take it out."""
    batch = outbox.batches(most).get(GROUP, [])
    outbox.remove(GROUP, batch)
    return [item.what for item in batch]


def test_one_kind_of_each_job() -> None:
    """A batch may be told in any order: it has not both runs and notes of one job."""
    outbox = Outbox()
    first: list[Occurrence | Note] = [
        *(note("first", 1), note("first", 2), run("first", 3), note("first", 4))
    ]
    second: list[Occurrence | Note] = [run("second", 1), note("second", 2)]
    outbox.put(FIRST, *first)
    outbox.put(SECOND, *second)

    assert [*first[:2], second[0]] == sent(outbox)
    assert [first[2], second[1]] == sent(outbox)
    assert [first[3]] == sent(outbox)
    assert (0, {}) == (len(outbox), outbox.batches(1))


def test_batches_are_bounded() -> None:
    """A batch has at most as many items as asked for, and the next one goes on behind it."""
    outbox = Outbox()
    notes = [note("first", number) for number in range(1, 6)]
    outbox.put(FIRST, *notes)

    assert [notes[:3], notes[3:]] == [sent(outbox, 3), sent(outbox, 3)]


def test_first() -> None:
    """What was due before what waits is told before it, and behind what others wait with."""
    outbox = Outbox()
    outbox.put(SECOND, note("second", 1))
    outbox.put(FIRST, note("first", 5))
    outbox.put(FIRST, note("first", 3), note("first", 4), first=True)

    assert [("acme/second", 1), *[("acme/first", n) for n in (3, 4, 5)]] == [
        (each.ref, each.from_ms) for each in sent(outbox) if isinstance(each, Note)
    ]


def test_the_run_that_waits() -> None:
    """The run of a job that waits to be sent is known until it was sent, or dropped."""
    outbox = Outbox()
    outbox.put(FIRST, run("first", 1))
    before = outbox.run("acme/first")
    outbox.remove(GROUP, outbox.batches(1)[GROUP])
    outbox.put(SECOND, run("second", 1))

    assert (job_id("acme/first", 1), None) == (before, outbox.run("acme/first"))
    assert [run("second", 1)] == [item.what for item in outbox.drop(GROUP)]
    assert (None, set()) == (outbox.run("acme/second"), outbox.groups)
