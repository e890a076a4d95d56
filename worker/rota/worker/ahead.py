"""Runs that are claimed before there is a place for them: how many, and for how long."""

from collections.abc import Callable

from rota.common.clock import Clock
from rota.worker.held import HeldRun

MOST = 250  # runs; a claim of more would keep the store too long
PATIENCE = 0.1  # seconds that a run waits for a place; then it goes back
_MOMENT = 0.01  # seconds: what it waits, more or less, if runs go on ending as fast as before
_LOOK = 0.005  # seconds, at least, that this is measured over


class Ahead:
    """As many as end in the next moment: none, unless a hundred end in a second on all places.

    So they are there when others end, and no round trip is waited for. When those before them take
    longer than was thought they go back, uncounted, for a worker that has a place.
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
        return self._places

    def late(self) -> list[HeldRun]:
        """Return the runs that have waited too long, and those behind them: they never begin."""
        return self._withdraw(self._clock.monotonic() - PATIENCE) if self._withdraw else []
