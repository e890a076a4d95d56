"""The due times of a crontab expression in a time zone; at clock changes as Debian's cron has it.

A job at fixed times (`30 2 * * *`) is due once for each of them: a time that the clock skips is due
when the clock has jumped, a time that it repeats is due the first time round. A job that is due
every so often (its minute or hour field starts with `*`) follows the clock as it is: skipped times
don't come, repeated times come twice, so that `*/15 * * * *` is due every real quarter of an hour.
"""

from rota.scheduler import crontab, zone

_FIRST_MS = -2_208_988_800_000  # 1900
_LAST_MS = 221_845_392_000_000  # 9000; no date after 9999 can be reckoned


class Cron:
    """A crontab expression, read in a time zone."""

    __slots__ = ("_crontab", "_zone")

    def __init__(self, expression: str, timezone: str) -> None:
        """Raise `ValueError` for a bad expression or an unknown zone."""
        self._crontab = crontab.read(expression)
        self._zone = zone.load(timezone)

    def next_after(self, ms: int) -> int | None:
        """Return the first due time strictly after `ms`, or None if there is none in 50 years."""
        if not _FIRST_MS <= ms < _LAST_MS:
            return None
        return self._fixed_after(ms) if self._crontab.fixed else self._real_after(ms)

    def last_until(self, ms: int) -> int | None:
        """Return the last due time at or before `ms`, or None if there is none in 50 years."""
        if not _FIRST_MS <= ms < _LAST_MS:
            return None
        return self._fixed_until(ms) if self._crontab.fixed else self._real_until(ms)

    def _fixed_after(self, ms: int) -> int | None:
        spans = self._zone.forward(ms)
        span = next(spans)
        wall = self._crontab.after(_reached(span, ms))
        if wall is None:
            return None
        while wall >= span.end + span.offset:
            span = next(spans)
        return max(wall - span.offset, span.start)  # skipped: when the clock has jumped

    def _fixed_until(self, ms: int) -> int | None:
        spans = self._zone.backward(ms)
        span = next(spans)
        wall = self._crontab.until(_reached(span, ms))
        if wall is None:
            return None
        while wall < span.start + span.before:  # the clock showed it before this span already
            span = next(spans)
        return max(wall - span.offset, span.start)

    def _real_after(self, ms: int) -> int | None:
        asked = wall = 0  # no match lies between the two
        for span in self._zone.forward(ms):
            start = max(ms, span.start - 1) + span.offset
            if not asked <= start < wall:
                found = self._crontab.after(start)
                if found is None:
                    return None
                asked, wall = start, found
            if wall - span.offset < span.end:
                return wall - span.offset
        return None

    def _real_until(self, ms: int) -> int | None:
        asked = wall = 0  # no match lies between the two
        for span in self._zone.backward(ms):
            end = min(ms, span.end - 1) + span.offset
            if not wall <= end < asked:
                found = self._crontab.until(end)
                if found is None:
                    return None
                asked, wall = end + 1, found
            if wall - span.offset >= span.start:
                return wall - span.offset
        return None


def _reached(span: zone.Span, ms: int) -> int:
    """Return the latest wall time that the clock has shown by `ms`: after a repeat, that before."""
    return max(ms + span.offset, span.start + span.before - 1)
