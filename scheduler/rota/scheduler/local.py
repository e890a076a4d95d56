"""Times on the local clock as moments: what is due when the clock jumps, or repeats itself.

Without a rule of one's own it is as Debian's cron has it. What is due at times of day
(`30 2 * * *`) follows `ONCE`: a time that the clock skips is due when the clock has jumped, a time
that it repeats is due the first time round. What is due every so often (its minute or hour field
starts with `*`) follows `AS_SHOWN`: skipped times don't come, repeated times come twice, so that
`*/15 * * * *` is due every real quarter of an hour.

Wall times are milliseconds since 1970-01-01 00:00 on the local clock.
"""

from typing import Final, NamedTuple, Protocol

from rota.common.job import Fold, Gap
from rota.scheduler.zone import Span, Zone

_DAY_MS = 86_400_000  # more than any clock is apart from UTC
_FIRST_MS = -2_208_988_800_000  # 1900
_LAST_MS = 221_845_392_000_000  # 9000; no date after 9999 can be reckoned


class Rule(NamedTuple):
    """What becomes of wall times that the clock skips, and of those that it shows twice."""

    gap: Gap
    fold: Fold


ONCE: Final = Rule("run_after", "first")
AS_SHOWN: Final = Rule("skip", "both")


class Series(Protocol):
    """Wall times, with no zone in sight yet."""

    def after(self, wall: int) -> int | None:
        """Return the first of them strictly after `wall`, or None if there is none."""
        ...

    def until(self, wall: int) -> int | None:
        """Return the last of them at or before `wall`, or None if there is none."""
        ...


class Local:
    """A series of wall times, as the clocks of a zone show them."""

    __slots__ = ("_rule", "_series", "_zone")

    def __init__(self, series: Series, zone: Zone, rule: Rule) -> None:
        self._series = series
        self._zone = zone
        self._rule = rule

    def next_after(self, ms: int) -> int | None:
        """Return the first due time strictly after `ms`, or None if there is none."""
        if not _FIRST_MS <= ms < _LAST_MS:
            return None
        moment = ms
        while True:
            span = self._zone.at(moment)
            low, high = self._counting(span)
            shown = low - 1 if ms < span.start else max(low - 1, ms + span.offset)
            wall = self._series.after(shown)
            if wall is not None and wall < high:
                return max(wall - span.offset, span.start)  # skipped: when the clock has jumped
            if shown > span.end - _DAY_MS:  # what was shown may be shown again
                moment = span.end
            elif wall is None:
                return None
            else:
                moment = max(span.end, wall - 2 * _DAY_MS)

    def last_until(self, ms: int) -> int | None:
        """Return the last due time at or before `ms`, or None if there is none."""
        if not _FIRST_MS <= ms < _LAST_MS:
            return None
        moment = ms
        while True:
            span = self._zone.at(moment)
            low, high = self._counting(span)
            shown = min(high - 1, ms + span.offset)
            wall = self._series.until(shown)
            if wall is not None and wall >= low:
                return max(wall - span.offset, span.start)
            if shown < span.start + _DAY_MS:  # it may have been shown before
                moment = span.start - 1
            elif wall is None:
                return None
            else:
                moment = min(span.start - 1, wall + 2 * _DAY_MS)

    def _counting(self, span: Span) -> tuple[int, int]:
        """Return from which wall time on, and up to which, times count within a span.

        Those that the clock has just skipped count, if they are to run after; of those that two
        spans show, only the first or the second span's may count.
        """
        gap, fold = self._rule
        catches_up = gap == "run_after" and span.before < span.offset
        has_been = fold == "first" and span.before > span.offset
        will_be = fold == "second" and span.after < span.offset
        return (
            span.start + (span.before if catches_up or has_been else span.offset),
            span.end + (span.after if will_be else span.offset),
        )
