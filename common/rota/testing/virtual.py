"""The time of a test: it stands still until somebody moves it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rota.common import clock, duration, keys
from rota.common.errors import UsageError
from rota.common.link import Link


class VirtualClock:
    """A `rota.common.clock.Clock`, wall and monotonic time in one."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return the time in milliseconds since 1970, UTC."""
        return self._now_ms

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return self._now_ms / 1000

    async def move(self, now_ms: int, link: Link, groups: Sequence[str]) -> None:
        """Let it be `now_ms`, here and by the store's clock for these groups."""
        self._now_ms = now_ms
        # See `lib.lua`: with a `=` the group's clock stands still.
        await link.many([("HSET", keys.root(group), "skew", f"={now_ms}") for group in groups])


def moment_ms(moment: str | datetime) -> int:
    """Return a moment as milliseconds since 1970; one without an offset is UTC.

    Raises `UsageError` for text that is no ISO time.
    """
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise UsageError(
                f"{moment!r}: write a time as 2026-01-31 or 2026-01-31 08:30"
            ) from None
    return clock.epoch_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def span_ms(span: str | timedelta) -> int:
    """Return a duration such as `1h30m`, or a timedelta, in ms; raises `UsageError`."""
    if isinstance(span, timedelta):
        return round(span.total_seconds() * 1000)
    try:
        return duration.parse(span)
    except ValueError as error:
        raise UsageError(str(error)) from None
