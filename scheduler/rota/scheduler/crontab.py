"""Crontab expressions on the local clock: which wall times match, with no zone in sight yet.

cronsim reads the fields and judges the days (`L`, `#`, day of month or of week). The walk over the
times is ours: cronsim's own skips times where a clock changes by half an hour, and parses anew for
every job, where ours is shared by all jobs with the same expression.

Wall times are milliseconds since 1970-01-01 00:00 on the local clock; matches are whole minutes.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import lru_cache

import cronsim

LONGEST = 200
_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_1970 = date(1970, 1, 1)
_ANY = datetime(2000, 1, 1)  # noqa: DTZ001 - a wall time, and only there to be parsed with
_SEARCHED = timedelta(days=50 * 366)  # 29 February on a given weekday: up to 40 years apart
# From 2000 on every kind of year (leap or not, by first weekday) comes within 28 years, so that
# what matches no day of them never matches.
_ALL_YEARS_MS = (date(2000, 1, 1) - _1970) // timedelta(milliseconds=1)
_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = {  # in crontab order
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, L for the last day, LW for the last weekday",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 (0 and 7 are Sunday) or SUN-SAT, 5L for the last Friday, 1#2 for the"
    " second Monday",
}


class Crontab:
    """One parsed expression; immutable, so that jobs share it."""

    __slots__ = ("_dates", "_times", "fixed")

    def __init__(self, fields: list[str]) -> None:
        minute, hour, day, month, weekday = fields
        clock = cronsim.CronSim(f"{minute} {hour} * * *", _ANY)
        self._times = array("H", sorted(60 * h + m for h in clock.hours for m in clock.minutes))
        self._dates = _dates(day, month, weekday)
        # Times of day rather than "every so often": the distinction that Debian's cron makes.
        self.fixed = not minute.startswith("*") and not hour.startswith("*")

    def after(self, wall: int) -> int | None:
        """Return the first match strictly after `wall`, or None if there is none in 50 years."""
        days, minute = divmod(wall // _MINUTE_MS + 1, 1440)
        today = _1970 + timedelta(days=days)
        index = bisect_left(self._times, minute)
        if index < len(self._times) and self._on(today):
            return _wall(today, self._times[index])
        found = self._first(_days_from(today + timedelta(days=1), self._dates.months))
        return None if found is None else _wall(found, self._times[0])

    def until(self, wall: int) -> int | None:
        """Return the last match at or before `wall`, or None if there is none in 50 years."""
        days, minute = divmod(wall // _MINUTE_MS, 1440)
        today = _1970 + timedelta(days=days)
        index = bisect_right(self._times, minute)
        if index and self._on(today):
            return _wall(today, self._times[index - 1])
        found = self._first(_days_back(today - timedelta(days=1), self._dates.months))
        return None if found is None else _wall(found, self._times[-1])

    def _on(self, day: date) -> bool:
        return day.month in self._dates.months and self._dates.match_day(day)

    def _first(self, days: Iterable[date]) -> date | None:
        return next((day for day in days if self._dates.match_day(day)), None)


def read(expression: str) -> Crontab:
    """Return the parsed expression, shared between all who ask for the same one.

    Raises `ValueError` with a sentence that names the field, its value and what is allowed.
    """
    if len(expression) > LONGEST:
        raise ValueError(f"a cron expression has at most {LONGEST} characters")
    return _read(" ".join(expression.split()))


def weekdays(text: str) -> frozenset[int]:
    """Return the days of the week that `text` names as a crontab does; 0 is Sunday, 6 Saturday.

    Raises `ValueError` with a sentence that says what to write instead.
    """
    try:
        days = _dates("*", "*", text).weekdays
    except cronsim.CronSimError:
        days = set()
    if not days or any(isinstance(day, tuple) for day in days):
        raise ValueError(
            f"{text!r} names no days of the week; write for example mon-fri or sat,sun (ranges run"
            " from sun to sat)"
        )
    return frozenset(day % 7 for day in days if isinstance(day, int))


@lru_cache(maxsize=4096)
def _read(expression: str) -> Crontab:
    fields = _fields(expression)
    for position, name in enumerate(_FIELDS):
        _check_field(position, name, fields[position])
    try:
        crontab = Crontab(fields)
        possible = crontab.after(_ALL_YEARS_MS) is not None
    except cronsim.CronSimError:
        possible = False
    if not possible:
        raise ValueError(f"cron {expression!r} never fires: no date matches its days and months")
    return crontab


def _fields(expression: str) -> list[str]:
    if expression.startswith("@"):
        full = _SHORTHANDS.get(expression.lower())
        if full is None:
            known = ", ".join(_SHORTHANDS)
            raise ValueError(f"unknown cron shorthand {expression!r}; known are {known}")
        return full.split()
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        hint = "; for periods of seconds use `every`" if len(fields) > len(_FIELDS) else ""
        raise ValueError(
            f"cron {expression!r} has {len(fields)} fields; five are needed:"
            f" {' '.join(_FIELDS)}{hint}"
        )
    return fields


def _check_field(position: int, name: str, value: str) -> None:
    alone = ["*"] * 5
    alone[position] = value
    try:
        cronsim.CronSim(" ".join(alone), _ANY)
    except cronsim.CronSimError:
        raise ValueError(
            f"{name} field {value!r}: allowed are {_FIELDS[name]};"
            " lists 1,3, ranges 1-5 from low to high, and steps */2"
        ) from None


@lru_cache(maxsize=4096)
def _dates(day: str, month: str, weekday: str) -> cronsim.CronSim:
    return cronsim.CronSim(f"0 0 {day} {month} {weekday}", _ANY)


def _wall(day: date, minute: int) -> int:
    return (day - _1970).days * _DAY_MS + minute * _MINUTE_MS


def _days_from(day: date, months: set[int]) -> Iterable[date]:
    end = day + _SEARCHED
    while day < end:
        if day.month in months:
            yield day
            day += timedelta(days=1)
        else:
            day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _days_back(day: date, months: set[int]) -> Iterable[date]:
    end = day - _SEARCHED
    while day > end:
        if day.month in months:
            yield day
            day -= timedelta(days=1)
        else:
            day = day.replace(day=1) - timedelta(days=1)
