"""How many runs a worker claims before it has a place for them."""

import pytest

from rota.common.run import Claimed
from rota.worker.ahead import MOST, Ahead
from rota.worker.held import HeldRun
from tests.support import workers
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


@pytest.mark.parametrize(
    ("attempt", "attempts", "allowed"), [(1, 3, True), (2, 3, False), (1, 1, False)]
)
def test_who_may_wait(attempt: int, attempts: int, allowed: bool) -> None:
    """A run waits if it has its first attempt and others; else nothing is claimed for a second."""
    clock, before = Clock(), list[float]()

    def withdraw(since: float) -> list[HeldRun]:
        before.append(since)
        return []

    ahead = Ahead(clock, withdraw)
    ends(ahead, 1_000)
    clock.advance(0.1)
    run = Claimed("gold", "acme/import:1", 7, attempt, 0, workers.request(attempts=attempts))
    allows = ahead.allows([run])
    ahead.late()
    places = ahead.places()
    clock.advance(1.0)
    ends(ahead, 10_000)

    assert allowed == allows
    assert allowed == (places > 0) == (before[0] < clock.monotonic())
    assert ahead.places() > 0


def test_what_cannot_be_read_may_wait() -> None:
    """A request that can't be read is told by whoever begins it."""
    ahead = Ahead(Clock(), nobody)

    assert ahead.allows([Claimed("gold", "acme/import:1", 7, 1, 0, b"nonsense")])
