"""What happens very often is logged now and then, and what is left out is counted."""

from rota.scheduler.sparing import Sparing
from tests.support.builders import Clock


def test_only_some_lines_a_second() -> None:
    """Of many lines a second some are written, in the next second as many again."""
    clock = Clock()
    sparing = Sparing(clock, most=3)
    first = [sparing.allows() for _ in range(5)]
    clock.advance(1)

    assert ([True] * 3 + [False] * 2, True) == (first, sparing.allows())


def test_what_is_left_out() -> None:
    """How many were left out is told once, when their second is over."""
    clock = Clock()
    sparing = Sparing(clock, most=3)
    for _ in range(5):
        sparing.allows()
    during = sparing.take()
    clock.advance(1)

    assert [0, 2, 0] == [during, sparing.take(), sparing.take()]
