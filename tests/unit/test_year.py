"""A year of a configuration of 500 jobs, on a clock that passes as fast as can be."""

from itertools import cycle, product
from typing import Any, get_args

from rota.common.clock import SystemClock
from rota.common.job import Blackout, Job, Misfire, Overlap
from tests.support.definitions import job
from tests.support.journey import Journey, holes
from tests.support.moment import DAY, HOUR, MINUTE, ms

BEGIN = ms("2026-01-01T00:00")
END = BEGIN + 365 * DAY
SCHEDULES: list[tuple[int, dict[str, Any]]] = [  # how many jobs of each
    (100, {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "jitter_ms": HOUR}),
    (100, {"cron": "0 5 * * sun", "timezone": "Europe/London", "jitter_ms": HOUR}),
    (120, {"between": "22:00..04:00", "timezone": "America/New_York"}),
    (60, {"cron": "0 6 * * mon-fri", "timezone": "Asia/Tokyo"}),
    (60, {"every": "12h"}),
    (38, {"cron": "15 */12 * * *", "blackouts": (Blackout(between="sat,sun 00:00..24:00"),)}),
    (20, {"after": "12h"}),
    (2, {"every": "1h", "max_lateness_ms": 3 * HOUR}),
]


def jobs() -> list[Job]:
    """Return 500 jobs of all kinds, with each pair of policies."""
    pairs = cycle(product(get_args(Overlap), get_args(Misfire)))
    whens = [when for many, when in SCHEDULES for _ in range(many)]
    return [
        job(f"t{n:03}/j", **when, overlap=overlap, misfire=misfire, max_catch_up=3)
        for n, (when, (overlap, misfire)) in enumerate(zip(whens, pairs, strict=False))
    ]


def lasts(each: Job, due_ms: int) -> int:
    """Return how long a run takes: a minute, and every eleventh of some jobs for a day and more."""
    long = (due_ms // MINUTE + len(each.ref)) % 11 == 0 and each.name[-1] in "jx"
    return 30 * HOUR if long and hash_of(each) % 4 == 0 else MINUTE


def hash_of(each: Job) -> int:
    """Return a number that is the same in every run."""
    return int(each.tenant[1:])


def test_a_year() -> None:
    """Each occurrence of a year has exactly one outcome, over outages and changes of clocks."""
    begun = SystemClock().monotonic()
    configured = jobs()
    journey = Journey(BEGIN, lasts)
    for each in configured:
        journey.engine.add(each, journey.standing(each)._replace(next_ms=BEGIN))
    for month in range(1, 12):
        journey.until(BEGIN + month * 30 * DAY)
        journey.dead_until(BEGIN + month * 30 * DAY + month * 3 * HOUR)
    journey.until(END)
    took = SystemClock().monotonic() - begun
    calendars = [each for each in configured if each.schedule.kind != "after"]
    wrong = [hole for each in calendars for hole in holes(each, journey, BEGIN, END, END - 5 * DAY)]
    runs = sum(len(found) for found in journey.runs.values())
    notes = sum(note.times for found in journey.notes.values() for note in found)
    outcomes = {str(note.outcome) for found in journey.notes.values() for note in found}
    print(f"\n{runs:,} runs and {notes:,} other outcomes of {len(configured)} jobs in {took:.1f} s")

    assert [] == wrong
    assert {"skipped", "missed", "late", "blackout"} == outcomes
    assert all(journey.runs[each.ref] for each in configured)
    assert runs > 120_000
