"""Fixed delays and fixed rates keep their promises when handlers are slow."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import waits
from tests.support.audit import Audit
from tests.support.processes import Plant

pytestmark = pytest.mark.system

CYCLES = 3  # of the fixed delay
CONFIG = """
groups: {gold: {}}
tenants:
  acme:
    group: gold
    jobs:
      delay:        {handler: work, after: 1s, args: {seconds: 2}}
      thread-delay: {handler: work-in-thread, after: 1s, args: {seconds: 2}}
      rate:         {handler: work, every: 1s, args: {seconds: 2.5}}
      quick:        {handler: work, every: 500ms}
"""


class Course:
    """What was seen until each fixed delay had come round often enough."""

    def __init__(self, plant: Plant) -> None:
        sched = plant.start_sched(CONFIG)
        plant.start_worker("tests.system.app.handlers")
        delays = ("acme/delay", "acme/thread-delay")
        waits.until(lambda: all(len(plant.audit().of(job)) > CYCLES for job in delays), 30.0)
        self.audit: Audit = plant.audit()
        self.skipped: list[dict[str, Any]] = [
            line for line in sched.log("occurrence_skipped") if line["job"] == "rate"
        ]


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    """Run a scheduler and a worker for some cycles."""
    with Plant(tmp_path_factory.mktemp("schedules")) as plant:
        yield Course(plant)


@pytest.mark.parametrize("job", ["acme/delay", "acme/thread-delay"])
def test_fixed_delay_counts_from_the_end(course: Course, job: str) -> None:
    """`after: 1s` with a handler of 2 s starts every 3 s: never sooner, and not much later."""
    gaps = course.audit.between_starts(job)

    assert CYCLES <= len(gaps)
    assert min(gaps) >= 3.0
    assert max(gaps) < 9  # 3.0 s on a machine that has nothing else to do


def test_fixed_rate_skips(course: Course) -> None:
    """`every: 1s` with a handler of 2.5 s starts at the third second or later."""
    gaps = course.audit.between_starts("acme/rate")

    assert 2 <= len(gaps)
    assert all(round(gap) >= 3 for gap in gaps)
    assert 3 == min(round(gap) for gap in gaps)


def test_a_skipped_occurrence_is_said(course: Course) -> None:
    """For each occurrence that is skipped the log has its due time and the run that goes on."""
    started = [attempt.job_id for attempt in course.audit.of("acme/rate")]
    blamed = [line["running"] for line in course.skipped]

    assert {("acme", "overlap")} == {(line["tenant"], line["reason"]) for line in course.skipped}
    assert len(blamed) == len({line["due"] for line in course.skipped})
    for job_id in started[:-1]:
        assert 2 <= blamed.count(job_id)


def test_quick_jobs_keep_their_rate(course: Course) -> None:
    """A fixed rate with a quick handler skips nothing beside slow jobs."""
    gaps = course.audit.between_starts("acme/quick")

    assert len(gaps) >= 2 * 3 * CYCLES - 1
    assert 0.5 == pytest.approx(sum(gaps) / len(gaps), rel=0.1)


def test_no_job_overlaps_itself(course: Course) -> None:
    """No job runs twice at a time."""
    assert [] == course.audit.overlaps()
