"""A second reckoning of due times: watching the clock on the wall, and noting what it showed when.

It knows nothing of offsets: which times are skipped and which come twice is what was seen.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from rota.common.job import Fold, Gap
from tests.support.moment import DAY, HOUR, MINUTE, ms, text

Rule = Callable[[datetime], bool]  # whether a time on the wall is due

WINDOW = 4 * HOUR  # on both sides of a clock change; the largest change is one of three hours

# Crontabs, with a plain reading of each. Those that name times of day are due once each by default.
FIXED: dict[str, Rule] = {
    "30 2 * * *": lambda t: (t.hour, t.minute) == (2, 30),
    "0,20,40 0-3 * * *": lambda t: t.hour <= 3 and t.minute in (0, 20, 40),
    "15 23,0,1 * * SUN,4": lambda t: (
        t.hour in (23, 0, 1) and t.minute == 15 and t.isoweekday() in (4, 7)
    ),
}
REAL: dict[str, Rule] = {
    "*/15 * * * *": lambda t: t.minute % 15 == 0,
    "*/10 2 * * *": lambda t: t.hour == 2 and t.minute % 10 == 0,
    "45 */2 * * *": lambda t: t.minute == 45 and t.hour % 2 == 0,
    "* 0,3 * * 0": lambda t: t.hour in (0, 3) and t.isoweekday() == 7,
}


class Watch:
    """What the clock on a wall in `zone` showed from `start` on and before `end`, step by step."""

    def __init__(self, zone: str, start: int, end: int, step: int = MINUTE) -> None:
        info = ZoneInfo(zone)
        self._due: dict[Rule, tuple[list[list[int]], list[int]]] = {}
        self.shown: dict[datetime, list[int]] = {}  # a time on the wall, and when it was shown
        self.skipped: dict[datetime, int] = {}  # one that was jumped over, and when that was
        last = datetime.fromtimestamp((start - step) // 1000, info).replace(tzinfo=None)
        for moment in range(start, end, step):
            wall = datetime.fromtimestamp(moment // 1000, info).replace(tzinfo=None)
            if wall - last > timedelta(milliseconds=step):
                for time in _between(last, wall, timedelta(milliseconds=step)):
                    self.skipped[time] = moment
            self.shown.setdefault(wall, []).append(moment)
            last = wall

    def due(self, rule: Rule, gap: Gap, fold: Fold) -> list[int]:
        """Return when something was due."""
        if rule not in self._due:
            self._due[rule] = (
                [times for wall, times in self.shown.items() if rule(wall)],
                [at for wall, at in self.skipped.items() if rule(wall)],
            )
        shown, skipped = self._due[rule]
        chosen = {"first": slice(0, 1), "second": slice(-1, None), "both": slice(None)}[fold]
        found = {at for times in shown for at in times[chosen]}
        return sorted(found.union(skipped) if gap == "run_after" else found)


def _between(last: datetime, wall: datetime, step: timedelta) -> Iterator[datetime]:
    while (last := last + step) < wall:
        yield last


def changes(zone: str) -> list[int]:
    """Return the clock changes of a zone from 2020 to 2030, to the minute."""
    info = ZoneInfo(zone)

    @cache
    def offset(at: int) -> timedelta | None:
        return datetime.fromtimestamp(at // 1000, UTC).astimezone(info).utcoffset()

    found = []
    for day in range(ms("2020-01-01"), ms("2031-01-01"), DAY):
        if offset(day) != offset(day + DAY):
            hour = next(h for h in range(day, day + DAY, HOUR) if offset(h) != offset(h + HOUR))
            found.append(
                next(m for m in range(hour, hour + HOUR + 1, MINUTE) if offset(m) != offset(hour))
            )
    return found


@cache
def changing_zones() -> dict[str, list[int]]:
    """Return the changes of one zone for each different series of changes, by name."""
    names: dict[tuple[tuple[int, ...], tuple[str, ...]], str] = {}
    for zone in sorted(available_timezones()):
        if zone.startswith(("posix", "right", "localtime")):
            continue
        if series := changes(zone):
            offsets = tuple(text(each, zone)[16:] for each in series)
            names.setdefault((tuple(series), offsets), zone)
    return {zone: list(series) for (series, _), zone in names.items()}
