"""The short way of the usual occurrence comes to what the long way comes to."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, get_args

import pytest

from rota.common.job import Blackout, Job, Misfire, Overlap, job_id
from rota.common.ledger import Note
from rota.scheduler.course import Course
from rota.scheduler.delay import Delay
from rota.scheduler.line import Stretch, Turn
from rota.scheduler.standing import Standing
from tests.support.definitions import job
from tests.support.moment import HOUR, MINUTE, ms

SECOND = 1000
NOW = ms("2026-11-23T12:00")


class Teller:
    """All that a course tells but what is only logged."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def fire(self, job: Job, turn: Turn) -> None:
        """Take note of it."""
        self.told.append(turn)

    def note(self, job: Job, notes: Sequence[Note]) -> None:
        """Take note of them."""
        self.told += notes

    def cancel(self, job: Job, run_id: str) -> None:
        """Take note of it."""
        self.told.append(run_id)

    def decided(self, job: Job, what: Stretch, *, waiting: bool) -> None:
        """Log nothing."""


def proceed(course: Course, now_ms: int) -> None:
    """Go the short way where that is open."""
    course.proceed(now_ms)


def go_long(course: Course, now_ms: int) -> None:
    """Go the long way."""
    course.look(now_ms)
    course.advance(now_ms)


def walked(seed: int, go: Callable[[Course, int], None]) -> tuple[list[Any], dict[str, Any]]:
    """Return what a random course tells in the end, and what it is then."""
    random, teller, now_ms = Random(seed), Teller(), NOW
    wanted: dict[str, Any] = {
        "overlap": random.choice(get_args(Overlap)),
        "misfire": random.choice(get_args(Misfire)),
        "max_lateness_ms": random.choice([0, 0, 30 * SECOND]),
        "max_catch_up": random.choice([1, 100]),
        "blackouts": random.choice([(), (), (Blackout(between="12:20..12:40"),)]),
    }
    kinds: list[dict[str, Any]] = [
        {"every": "5m", "phase_ms": 0},
        {"cron": "*/5 * * * *"},
        {"after": "5m"},
    ]
    when = random.choice(kinds)
    each = job(**when, **wanted)
    before = random.choice([NOW, NOW, NOW - 10 * MINUTE])
    ended_ms = before + random.choice([0, 6 * MINUTE])
    last: dict[str, Any] = {
        "busy_ms": before - MINUTE,
        "ended_ms": ended_ms,
        "last": job_id(each.ref, before),
    }
    at = Standing(until_ms=before, next_ms=NOW + MINUTE, **last)
    kind = Delay if "after" in when else Course
    course = kind(each, at, now_ms, teller, lambda _: None)
    for _ in range(12):
        now_ms += random.choice([0, SECOND, MINUTE, 5 * MINUTE, 5 * MINUTE, 12 * MINUTE])
        go(course, now_ms)
        asked, word = course.asked, random.random()
        if isinstance(asked, Turn) and word < 0.8:
            course.accepted()
        elif isinstance(asked, Turn) and word < 0.9:
            course.refused(job_id(each.ref, NOW - HOUR))
        for note in asked if not isinstance(asked, Turn) else ():
            course.noted(note, None)
        if random.random() < 0.8:
            course.finished(course.run, now_ms)
    left = ("asked", "line", "run", "busy_ms", "ended_ms", "last", "next_ms", "told_ms", "seen_ms")
    return teller.told, {name: getattr(course, name) for name in left}


@pytest.mark.parametrize("part", range(5))
def test_the_short_way(part: int) -> None:
    """Whatever a job's rules are, and whatever happened before, both ways tell the same."""
    for seed in range(part * 60, part * 60 + 60):
        assert walked(seed, go_long) == walked(seed, proceed), f"seed {seed}"
