"""How many runs a worker claims before it has a place for them."""

from rota.worker.ahead import MOST, Ahead
from rota.worker.held import HeldRun
from tests.support.builders import Clock


def nobody(before: float) -> list[HeldRun]:
    """Withdraw nothing."""
    return []


def ends(ahead: Ahead, count: int) -> None:
    """Let so many runs end."""
    for _ in range(count):
        ahead.count()


def test_as_many_as_end_in_a_moment() -> None:
    """A worker claims ahead what ends in 10 ms at the present rate, and no more than 250."""
    clock = Clock()
    ahead = Ahead(clock, nobody)
    ends(ahead, 50)
    clock.advance(0.02)
    some = ahead.places()
    ends(ahead, 100_000)
    clock.advance(0.02)

    assert 25 == some
    assert MOST == ahead.places()


def test_long_runs() -> None:
    """While fewer than a hundred runs end in a second nothing is claimed ahead."""
    clock = Clock()
    ahead = Ahead(clock, nobody)
    ends(ahead, 99)
    clock.advance(1.0)

    assert 0 == ahead.places()


def test_a_moment_is_not_judged_too_early() -> None:
    """What ended in less than 5 ms says nothing yet."""
    clock = Clock()
    ahead = Ahead(clock, nobody)
    ends(ahead, 16)
    clock.advance(0.001)

    assert 0 == ahead.places()


def test_idle() -> None:
    """A worker that was busy, and then had nothing to do, claims nothing ahead."""
    clock = Clock()
    ahead = Ahead(clock, nobody)
    ends(ahead, 1_000)
    clock.advance(0.1)
    busy = ahead.places()
    clock.advance(10.0)

    assert 99 <= busy <= 100
    assert 0 == ahead.places()


def test_nothing_can_wait() -> None:
    """Nothing is claimed ahead where nothing can wait for a place."""
    clock = Clock()
    ahead = Ahead(clock)
    ends(ahead, 1_000)
    clock.advance(0.1)

    assert 0 == ahead.places()
    assert [] == ahead.late()
