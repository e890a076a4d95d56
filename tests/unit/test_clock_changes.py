"""Every kind of schedule, with every rule for skipped and repeated times, where clocks change.

What is found is held against a second reckoning, which watches the clock on the wall.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.common.job import Fold, Gap, Job
from rota.scheduler.local import AS_SHOWN, ONCE
from rota.scheduler.schedule import due_of, phase
from tests.support.definitions import job
from tests.support.moment import DAY, HOUR, MINUTE, local, ms, text
from tests.support.wall_clock import FIXED, REAL, WINDOW, Rule, Watch, changes, changing_zones

POLICIES = list(product(get_args(Gap), get_args(Fold)))
BETWEEN = ["01:00..04:00", "mon,sat 23:30..03:30"]
SKIPPED, REPEATED, NONE = "2026-03-29 02:30", "2026-10-25 02:30", ""

zone_names = st.deferred(lambda: st.sampled_from(sorted(changing_zones())))
schedules = st.one_of(
    st.sampled_from([*FIXED, *REAL]).map(lambda text: {"cron": text}),
    st.sampled_from(BETWEEN).map(lambda text: {"between": text}),
    st.just({"every": "17m"}),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 12, 31)).map(  # noqa: DTZ001 - on a wall
        lambda moment: {"at": f"{moment:%Y-%m-%d %H:%M:%S}"}
    ),
)
rules: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "gap": st.sampled_from(get_args(Gap)),
        "fold": st.sampled_from(get_args(Fold)),
        "jitter_ms": st.integers(1, 3 * HOUR),
    },
)


class Case(NamedTuple):
    """A job without a rule of its own, what is due on the wall, and the rule that its kind has."""

    fields: dict[str, str]
    rule: Rule
    usual: tuple[Gap, Fold]


def due(each: Job, start: int, end: int) -> list[int]:
    """Return the due times from `start` on and before `end`."""
    due, found = due_of(each), []
    moment = due.next_after(start - 1)
    while moment is not None and moment < end:
        found.append(moment)
        moment = due.next_after(moment)
    return found


def places(between: str) -> Iterator[tuple[str, int]]:
    """Yield jobs whose place in a window is a whole minute, and that, in minutes from midnight."""
    start, end = (int(time[:2]) * 60 + int(time[3:]) for time in between[-12:].split(".."))
    length = (end - start) % 1440
    for n in range(10_000):
        place = phase(f"t{n}/sync", length * 60)
        if place % 60 == 0:
            yield f"t{n}/sync", start + place // 60


def on_days(minute: int, days: tuple[int, ...]) -> Rule:
    """Return the rule that a window's place is due, on days of the week by ISO's numbers."""
    return lambda wall: (
        (midnight := wall - timedelta(minutes=minute)).time() == datetime.min.time()
        and midnight.isoweekday() in days
    )


def cases(zone: str, change: int, watch: Watch) -> Iterator[Case]:
    """Yield jobs of every kind that reads the clock, also at the very times in question."""
    for crontab, rule in FIXED.items():
        yield Case({"cron": crontab}, rule, ONCE)
    for crontab, rule in REAL.items():
        yield Case({"cron": crontab}, rule, AS_SHOWN)
    for between, days in zip(BETWEEN, [(1, 2, 3, 4, 5, 6, 7), (1, 6)], strict=True):
        for (ref, minute), _ in zip(places(between), range(4), strict=False):
            yield Case({"ref": ref, "between": between}, on_days(minute, days), ONCE)
    twice = [wall for wall, times in watch.shown.items() if len(times) > 1]
    edges = [local(change + n * MINUTE, zone).replace(tzinfo=None) for n in (-1, 0, 1)]
    for each in {*twice[::17], *twice[-1:], *list(watch.skipped)[::17], *edges}:
        yield Case({"at": f"{each:%Y-%m-%d %H:%M}"}, lambda wall, it=each: wall == it, ONCE)  # type: ignore[misc]


def test_every_kind_in_every_zone() -> None:
    """All kinds, rules and zones with changes from 2020 to 2030 agree with watching a clock."""
    wrong, seen = [], 0
    for zone, series in changing_zones().items():
        for change in series:
            watch = Watch(zone, change - WINDOW, change + WINDOW)
            for case in cases(zone, change, watch):
                for gap, fold in POLICIES:
                    each = job(**case.fields, timezone=zone, gap=gap, fold=fold)
                    found = due(each, change - WINDOW, change + WINDOW)
                    seen += len(found)
                    if watch.due(case.rule, gap, fold) != found:
                        wrong.append((case.fields, gap, fold, text(change, zone), zone))

    assert [] == wrong
    assert 30 < len(changing_zones())  # there is a zone database to speak of
    assert 500_000 < seen


def test_unset_rules() -> None:
    """Without a rule of its own, each kind of schedule has the one that it always had."""
    wrong = []
    for zone in ("Europe/Berlin", "Australia/Lord_Howe"):
        for change in changes(zone)[:2]:
            watch = Watch(zone, change - WINDOW, change + WINDOW)
            for case in cases(zone, change, watch):
                found = due(job(**case.fields, timezone=zone), *(change - WINDOW, change + WINDOW))
                wrong += [case.fields] if watch.due(case.rule, *case.usual) != found else []

    assert [] == wrong


@settings(deadline=None, max_examples=10)
@given(zone_names, st.integers(0, 999), st.integers(0, 100), st.sampled_from(POLICIES))
def test_to_the_second(zone: str, n: int, at: int, policy: tuple[Gap, Fold]) -> None:
    """Places in windows and times that name a second agree with watching a clock by the second."""
    series = changing_zones()[zone]
    change = series[at % len(series)]
    start, end = change - 4 * HOUR, change + 4 * HOUR  # clocks change by 3 hours at most
    watch = Watch(zone, start, end, step=1_000)
    wall = local(change - n * 3_000, zone).replace(tzinfo=None)
    single = job(at=f"{wall:%Y-%m-%d %H:%M:%S}", timezone=zone, gap=policy[0], fold=policy[1])
    window = job(f"t{n}/x", between="00:00..24:00", timezone=zone, gap=policy[0], fold=policy[1])
    place = timedelta(seconds=phase(f"t{n}/x", 86_400))

    assert watch.due(lambda it: it == wall, *policy) == due(single, start, end)
    assert watch.due(
        lambda it: timedelta(hours=it.hour, minutes=it.minute, seconds=it.second) == place, *policy
    ) == due(window, start, end)


def test_back_and_forth() -> None:
    """Looking back from any minute around a change finds the latest of the times found forward."""
    wrong = []
    for zone, series in changing_zones().items():
        start, end = series[-1] - WINDOW, series[-1] + WINDOW
        for n, case in enumerate(cases(zone, series[-1], Watch(zone, start, end))):
            gap, fold = POLICIES[n % len(POLICIES)]
            each = job(**case.fields, timezone=zone, gap=gap, fold=fold)
            known = due(each, start, end)
            wrong += [
                (case.fields, gap, fold, text(minute, zone), zone)
                for minute in range(known[0] if known else end, end, 7 * MINUTE + 1)
                if due_of(each).last_until(minute) != known[bisect_right(known, minute) - 1]
            ]

    assert [] == wrong


@settings(deadline=None, max_examples=300)
@given(zone_names, schedules, rules, st.integers(ms("2020-01-01"), ms("2031-01-01")), st.data())
def test_neighbours(
    zone: str, fields: dict[str, str], rule: dict[str, Any], moment: int, data: st.DataObject
) -> None:
    """The due times around any millisecond, one at or before it and one after, are neighbours."""
    series = changing_zones()[zone]
    if data.draw(st.booleans()):
        moment = data.draw(st.sampled_from(series)) + data.draw(st.integers(-DAY, DAY))
    each = job(timezone=zone, **fields, **rule | ({"jitter_ms": 5} if "every" in fields else {}))
    reckoned = due_of(each)
    after, until = reckoned.next_after(moment), reckoned.last_until(moment)

    assert "at" in fields or None not in (after, until)
    if until is not None:
        assert until <= moment
        assert after == reckoned.next_after(until)
        assert until == reckoned.last_until(until)
    if after is not None:
        assert after > moment
        assert until == reckoned.last_until(after - 1)
        assert after == reckoned.last_until(after)


@pytest.mark.parametrize(
    ("at", "gap", "fold", "expected"),
    [
        (SKIPPED, "run_after", "first", ["03:00:00+02:00"]),
        (SKIPPED, "skip", "first", []),
        (REPEATED, "skip", "first", ["02:30:00+02:00"]),
        (REPEATED, "skip", "second", ["02:30:00+01:00"]),
        (REPEATED, "skip", "both", ["02:30:00+02:00", "02:30:00+01:00"]),
        ("2026-12-24 18:00:07", "skip", "second", ["18:00:07+01:00"]),
    ],
)
def test_once(at: str, gap: Gap, fold: Fold, expected: list[str]) -> None:
    """A single time comes once, or as often as the rule for skipped and repeated times says."""
    each = job(at=at, timezone="Europe/Berlin", gap=gap, fold=fold)
    found = due(each, ms("2020-01-01"), ms("2040-01-01"))

    assert expected == [local(it, "Europe/Berlin").isoformat()[11:] for it in found]


def test_far_ahead() -> None:
    """A single time centuries ahead or behind is found without searching through the years."""
    each = job(at="2999-12-31 23:59:59", timezone="America/New_York")
    found = due_of(each).next_after(0)
    assert found is not None

    assert "2999-12-31T23:59:59-05:00" == local(found, "America/New_York").isoformat()
    assert found == due_of(each).last_until(ms("8999-01-01"))
    assert due_of(each).next_after(found) is None
