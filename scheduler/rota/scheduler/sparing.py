"""A log that stays readable, and cheap, when the same happens to thousands of jobs a second."""

from rota.common.clock import Clock

_MOST = 100  # lines a second
_SECOND_MS = 1000


class Sparing:
    """Says of each line whether it is to be written; what is left out is counted."""

    def __init__(self, clock: Clock, most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._second = 0
        self._written = 0  # in this second
        self._left_out = 0

    def allows(self) -> bool:
        """Tell whether to write one line more."""
        second = self._clock.now_ms() // _SECOND_MS
        if second != self._second:
            self._second, self._written = second, 0
        if self._written < self._most:
            self._written += 1
            return True
        self._left_out += 1
        return False

    def take(self) -> int:
        """Return how many were left out in seconds that are over, since this was asked last."""
        if not self._left_out or self._clock.now_ms() // _SECOND_MS == self._second:
            return 0
        left_out, self._left_out = self._left_out, 0
        return left_out
