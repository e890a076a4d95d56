"""What is to be told is kept until it was told, and told in bounded batches."""

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


def test_batches_are_bounded() -> None:
    """A batch has at most as many items as asked for, and the next one goes on behind it."""
    outbox = Outbox()
    notes = [note("first", number) for number in range(1, 6)]
    outbox.put(FIRST, *notes)

    assert [notes[:3], notes[3:]] == [sent(outbox, 3), sent(outbox, 3)]
    assert (0, {}) == (len(outbox), outbox.batches(1))


def test_take() -> None:
    """What is to be told of one job can be taken out, in order; the others' stays."""
    outbox = Outbox()
    outbox.put(FIRST, note("first", 1), note("first", 2))
    outbox.put(SECOND, run("second", 1))

    assert [note("first", 1), note("first", 2)] == outbox.take(FIRST)
    assert [run("second", 1)] == sent(outbox)


def test_the_run_that_waits() -> None:
    """A run that waits to be sent is known until it was sent, or dropped."""
    outbox = Outbox()
    outbox.put(FIRST, run("first", 1))
    waits = outbox.has(job_id("acme/first", 1))
    outbox.remove(GROUP, outbox.batches(1)[GROUP])
    outbox.put(SECOND, run("second", 1))

    assert waits
    assert not outbox.has(job_id("acme/first", 1))
    assert [run("second", 1)] == [item.what for item in outbox.drop(GROUP)]
    assert not outbox.has(job_id("acme/second", 1))
    assert set() == outbox.groups


def test_what_is_told_out_of_order() -> None:
    """What was told is taken out wherever it is, and all else stays in order."""
    outbox = Outbox()
    outbox.put(FIRST, *(note("first", number) for number in range(1, 6)))
    batch = outbox.batches(5)[GROUP]
    outbox.remove(GROUP, [batch[0], batch[2], batch[3]])

    assert [note("first", 2), note("first", 5)] == sent(outbox)
