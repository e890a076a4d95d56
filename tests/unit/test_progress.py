"""How often a handler's progress is written, whatever it calls."""

import pytest

from rota.common.progress import Mark
from rota.worker.progress import Progress
from tests.support.builders import Clock


class Handler:
    """A handler that tells how far it is; what is written of that is in `marks`."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.progress = Progress(self.clock, attempt=2)
        self.marks: list[Mark] = []

    def tell(self, done: int, total: int = 0, phase: str = "", seconds: float = 0.0) -> None:
        """Tell it after some time."""
        self.clock.advance(seconds)
        if mark := self.progress.due(done, total, phase):
            self.marks.append(mark)

    @property
    def written(self) -> list[int]:
        """Return how much was done according to each write."""
        return [mark.done for mark in self.marks]


@pytest.mark.parametrize(("first", "last"), [(0, 50_000), (1, 50_000), (0, 49_999)])
@pytest.mark.parametrize("seconds", [0.0, 0.000_1, 0.01, 2.0])
def test_writes_of_many_items(first: int, last: int, seconds: float) -> None:
    """50,000 items make at most 21 writes, however long they take; the end is one of them."""
    handler = Handler()
    for done in range(first, last + 1):
        handler.tell(done, 50_000, seconds=seconds)
    if rest := handler.progress.rest():
        handler.marks.append(rest)

    assert len(handler.marks) <= 21
    assert last == handler.written[-1]


def test_steps() -> None:
    """What takes its time is written each 5 %."""
    handler = Handler()
    for done in range(201):
        handler.tell(done, 200, seconds=1.5)

    assert list(range(0, 201, 10)) == handler.written


def test_at_most_once_a_second() -> None:
    """Within a second there is one write, however much is done, and one for the end."""
    handler = Handler()
    for done in range(1, 20):
        handler.tell(done, 20, seconds=0.01)
    handler.tell(20, 20)
    handler.tell(20, 20)

    assert [1, 20] == handler.written
    assert handler.progress.rest() is None


def test_unknown_total() -> None:
    """Without a total the steps grow with what is done."""
    handler = Handler()
    for done in range(1, 1_001):
        handler.tell(done, seconds=1.0)

    assert handler.written[:3] == [1, 2, 3]
    assert len(handler.marks) < 130


def test_rest() -> None:
    """What was told last and not written is written when the attempt ends, once."""
    handler = Handler()
    assert handler.progress.rest() is None
    handler.tell(1, 100)
    handler.tell(3, 100)
    rest = handler.progress.rest()

    assert rest is not None
    assert (3, 100, 2) == (rest.done, rest.total, rest.attempt)
    assert handler.progress.rest() is None


def test_phases() -> None:
    """A new phase is written as soon as it may be, and has a rate of its own."""
    handler = Handler()
    handler.tell(0, 10, "read")
    handler.tell(10, 10, "read", seconds=1.0)
    handler.tell(0, 10, "post", seconds=4.0)
    handler.tell(1, 10, "post", seconds=2.0)

    assert [("read", 0), ("read", 10), ("post", 0), ("post", 1)] == [
        (mark.phase, mark.done) for mark in handler.marks
    ]
    assert [0.0, 10.0, 0.0, 0.5] == [mark.rate for mark in handler.marks]


def test_many_short_phases() -> None:
    """Phases that end at once make no more than two writes a second."""
    handler = Handler()
    for number in range(1_000):
        handler.tell(1, 1, f"order {number}", seconds=0.01)

    assert 15 <= len(handler.marks) <= 21


def test_rate_of_a_later_attempt() -> None:
    """The rate counts what this attempt did, not what was done before it."""
    handler = Handler()
    handler.tell(40_000, 50_000)
    handler.tell(42_500, 50_000, seconds=10.0)

    assert 250 == handler.marks[-1].rate


def test_going_back() -> None:
    """A handler that begins again is followed."""
    handler = Handler()
    handler.tell(0, 100)
    handler.tell(90, 100, seconds=1.0)
    handler.tell(5, 100, seconds=1.0)
    handler.tell(10, 100, seconds=1.0)

    assert [0, 90, 5, 10] == handler.written
    assert 5 == handler.marks[-1].rate


@pytest.mark.parametrize(("done", "total"), [(-1, 10), (1, -10)])
def test_nonsense(done: int, total: int) -> None:
    """What can't be is an error of the handler."""
    with pytest.raises(ValueError, match="0 or more"):
        Handler().tell(done, total)
