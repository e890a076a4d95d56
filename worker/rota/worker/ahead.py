"""Runs that are claimed before there is a place for them: how many, and for how long."""

import math
from collections.abc import Callable, Iterable

import msgspec

from rota.common import message
from rota.common.clock import Clock
from rota.common.run import Claimed
from rota.worker.held import HeldRun

MOST = 250  # runs; a claim of more would keep the store too long
PATIENCE = 0.1  # seconds that a run waits for a place; then it goes back
_MOMENT = 0.01  # seconds: what it waits, more or less, if runs go on ending as fast as before
_PAUSE = 1.0  # seconds without any, behind a run that must not wait
_LOOK = 0.005  # seconds, at least, that this is measured over


class Ahead:
    """As many as end in the next moment: none, unless a hundred end in a second on all places.

    So they are there when others end, and no round trip is waited for. When those before them take
    longer than was thought they go back, uncounted, for a worker that has a place.

    A worker that dies costs each run that it holds an attempt. So none waits that has lost one
    already, or has only one: while there are such runs, nothing is claimed ahead.
    """

    def __init__(
        self, clock: Clock, withdraw: Callable[[float], list[HeldRun]] | None = None
    ) -> None:
        self._clock = clock
        # Returns what has waited for a place since before a monotonic time; None: nothing can wait.
        self._withdraw = withdraw
        self._since = clock.monotonic()
        self._ends = 0
        self._places = 0
        self._none_until = 0.0  # monotonic seconds

    def count(self) -> None:
        """Note that a run has ended."""
        self._ends += 1

    def places(self) -> int:
        """Return how many runs may be held beyond those that there are places for."""
        now = self._clock.monotonic()
        span = now - self._since
        if span >= _LOOK and self._withdraw:
            self._places = min(MOST, int(self._ends / span * _MOMENT))
            self._since, self._ends = now, 0
        return 0 if now < self._none_until else self._places

    def allows(self, runs: Iterable[Claimed]) -> bool:
        """Return whether runs, of which some have to wait, may; if not, all that wait are late."""
        if all(map(_may_wait, runs)):
            return True
        self._none_until = self._clock.monotonic() + _PAUSE
        return False

    def late(self) -> list[HeldRun]:
        """Return the runs that have waited too long, and those behind them: they never begin."""
        now = self._clock.monotonic()
        if self._withdraw is None:
            return []
        return self._withdraw(math.inf if now < self._none_until else now - PATIENCE)


def _may_wait(run: Claimed) -> bool:
    try:
        return run.attempt == 1 < message.decode_request(run.body).retry.attempts
    except (ValueError, msgspec.DecodeError):
        return True  # whoever begins it tells
