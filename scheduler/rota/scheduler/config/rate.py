"""Rates as people write them, `100/m`: so many starts in a second, minute, hour or day."""

import re
from typing import Final

PERIODS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
MOST: Final = 1_000  # starts a second; one each millisecond
PATTERN: Final = r"^[1-9][0-9]{0,8}/(s|m|h|d)$"
_WHOLE = re.compile(PATTERN)


def parse(text: str) -> tuple[int, int]:
    """Return how many may start in how many milliseconds.

    Raises `ValueError` with a sentence that says what to write instead.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no rate; write for example 5/s, 100/m, 1000/h or 1/d")
    count, _, unit = text.partition("/")
    period_ms = PERIODS_MS[unit]
    if int(count) * 1000 > MOST * period_ms:
        raise ValueError(f"{text!r} is out of range; a rate is at most {MOST}/s")
    return int(count), period_ms


def text(interval_ms: float) -> str:
    """Return the rate that lets one start each `interval_ms` as one writes it."""
    for unit, period_ms in PERIODS_MS.items():
        count = round(period_ms / interval_ms)
        if count and period_ms / count == interval_ms:
            return f"{count}/{unit}"
    return f"1/{interval_ms}ms"  # nobody can write that


def default_burst(count: int, period_ms: int) -> int:
    """Return how many may start at once where nobody says: a second's starts, at least one."""
    return max(1, -(-count * 1000 // period_ms))
