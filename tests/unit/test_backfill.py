"""Which past occurrences a backfill runs, and who goes first."""

import pytest

from rota.common import job_ids
from rota.common.catalog import Slot
from rota.common.errors import NotFound, Refused, RotaError, UsageError
from rota.common.job import Blackout, backfill_id
from rota.scheduler import backfill
from rota.scheduler.budget import Budget
from rota.scheduler.course import Course
from rota.scheduler.line import Turn
from rota.scheduler.standing import Standing, without_backfill
from tests.support.definitions import job
from tests.support.moment import HOUR, MINUTE, ms
from tests.unit.test_course import Quiet

NOW = ms("2026-11-23T12:00")
REF = "acme/import"
BERLIN = job(cron="0 2 * * *", timezone="Europe/Berlin")


def test_ids() -> None:
    """The id of a run tells that it is a backfill's, of which one, and of what; to the ms."""
    made = backfill_id(REF, 7, NOW + 5)

    assert "acme/import:backfill-7-20261123T120000.005Z" == made
    assert NOW + 5 == job_ids.backfilled_ms(made)
    assert job_ids.is_triggered(made)
    assert [0, 0] == [
        job_ids.backfilled_ms(f"{REF}:{name}")
        for name in ("20261123T120000Z", "manual-20261123T120000Z")
    ]


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2026-11-20", "2026-11-21", [20, 21]),
        ("2026-11-20T02:00", "2026-11-21T02:00", [20, 21]),
        ("2026-11-20T02:01", "2026-11-21T01:59", []),
        ("2026-11-20T01:00Z", "2026-11-20T01:00Z", [20]),
        ("2026-11-22", "2027-01-01", [22, 23]),
        ("02:00", "02:00", [23]),
    ],
)
def test_times(start: str, end: str, days: list[int]) -> None:
    """Both ends are included, in the job's zone; a day alone is all of it; nothing is to come."""
    try:
        found = backfill.wanted(BERLIN, start, end, NOW)
    except NotFound:
        found = []

    assert [ms(f"2026-11-{day}T01:00") for day in days] == found


def test_blackout() -> None:
    """What lay in a blackout is left out."""
    dark = Blackout(start="2026-11-21 00:00", end="2026-11-23 00:00")
    each = job(cron="0 2 * * *", blackouts=(dark,))

    assert [ms("2026-11-20T02:00"), ms("2026-11-23T02:00")] == backfill.wanted(
        each, "2026-11-20", "2026-11-23", NOW
    )


def test_once() -> None:
    """A job that was due once has that one time."""
    each = job(at="2026-11-20 18:00")

    assert [ms("2026-11-20T18:00")] == backfill.wanted(each, "2026-11-20", "2026-11-21", NOW)


@pytest.mark.parametrize(
    ("fields", "start", "end", "kind", "text"),
    [
        ({"after": "1h"}, "2026-11-20", "2026-11-21", UsageError, "sched trigger acme/import"),
        ({"every": "1s"}, "2026-11-20", "2026-11-21", Refused, "more than 10,000 times"),
        ({"at": "2026-12-24 18:00"}, "2026-11-20", "2026-11-21", NotFound, "was not due between"),
        ({"every": "1h"}, "soon", "2026-11-21", UsageError, "--from: 'soon' is no time"),
        ({"every": "1h"}, "2026-11-21", "2026-11-20", NotFound, "was not due between"),
    ],
)
def test_mistakes(
    fields: dict[str, str], start: str, end: str, kind: type[RotaError], text: str
) -> None:
    """What can't be run is refused with what to do."""
    with pytest.raises(kind, match=text):
        backfill.wanted(job(**fields), start, end, NOW)


@pytest.mark.parametrize("overlap", ["skip", "queue_one", "queue_all", "cancel"])
def test_live_is_not_skipped(overlap: str) -> None:
    """What is live and finds a backfill's run in the way goes when that has ended, as the next."""
    tell, way = Quiet(), backfill_id(REF, 1, NOW - 9 * HOUR)
    each = job(every="10m", phase_ms=0, overlap=overlap)
    course = Course(each, Standing(until_ms=NOW), NOW, tell, lambda _: None)
    now_ms = NOW + 10 * MINUTE
    course.look(now_ms)
    course.advance(now_ms)
    course.refused(way)
    course.advance(now_ms + MINUTE)
    meanwhile = list(tell.told)
    course.finished(way, now_ms + 2 * MINUTE)
    course.advance(now_ms + 2 * MINUTE)

    assert [now_ms] == meanwhile
    assert [now_ms, now_ms] == tell.told
    assert isinstance(course.asked, Turn)
    assert [] == tell.cancelled


def test_slot_of_a_backfill() -> None:
    """A job that is taken up while its backfill has a run is not busy, as far as that goes."""
    ours, live = backfill_id(REF, 1, NOW - HOUR), f"{REF}:20261123T110000Z"
    during = Slot(ours, NOW, None, None, None, NOW)
    behind = Slot(None, NOW, NOW + 5, "succeeded", ours, NOW)
    other = Slot(live, NOW, NOW + 5, "succeeded", ours, NOW)

    assert during._replace(run=None, at_ms=None) == without_backfill(during)
    assert behind._replace(at_ms=None) == without_backfill(behind)
    assert other == without_backfill(other)


def test_permits() -> None:
    """A permit is left for others if no job waits for one, and not all are given."""
    budget = Budget()
    budget.limit({"gold": 1})
    free = budget.spare("gold")
    budget.ask("gold", REF)
    waited = budget.spare("gold")
    budget.give("gold", budget.next("gold") or "", "run")

    assert (True, False, False) == (free, waited, budget.spare("gold"))
