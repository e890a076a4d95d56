"""The only place that reads the time; everything else is handed a `Clock`."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall and monotonic time."""

    def now_ms(self) -> int:
        """Return the wall time in milliseconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for measuring spans."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Return the wall time in milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for measuring spans."""
        return time.monotonic()  # noqa: TID251 - this is the one place


def utc(ms: int) -> datetime:
    """Return the aware datetime of `ms` milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def epoch_ms(moment: datetime) -> int:
    """Return the milliseconds since 1970 of an aware datetime."""
    return round(moment.timestamp() * 1000)


def iso(ms: int) -> str:
    """Return `ms` as `2026-11-23T02:00:00Z`, with milliseconds only where there are any."""
    moment = utc(ms).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds") + "Z"


def iso_known(ms: int) -> str | None:
    """Return `ms` as `iso` does; None for 0: it did not happen, or nobody knows when."""
    return iso(ms) if ms else None


def iso_seconds(ms: int) -> str:
    """Return `ms` as `2026-11-23T02:00:00Z`, without the milliseconds that there are."""
    return iso(ms // 1000 * 1000)


def of_store(told: Sequence[int | bytes]) -> int:
    """Return what a store answered to TIME, seconds and microseconds, in ms since 1970."""
    seconds, micros = map(int, told)
    return seconds * 1000 + micros // 1000
