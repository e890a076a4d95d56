"""Workers share what there is to do, whoever comes and goes; one that is killed loses nothing."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from rota.common.link import Link
from rota.common.message import Completion
from rota.common.store import Store
from tests.support import waits
from tests.support.processes import Plant, Running

pytestmark = pytest.mark.system

APP = "tests.system.app.handlers"
GROUPS = ("gold", "silver")
TENANTS = 8  # in each group
PLACES = 6  # of each worker
ROUND = 120  # runs that are waited for before the next thing happens


def config() -> str:
    """Return jobs that together keep two workers fairly busy: some wait, some use threads."""
    lines = ["groups: {gold: {}, silver: {}}", "tenants:"]
    for group in GROUPS:
        for number in range(TENANTS):
            lines += [
                f"  {group}-{number}:",
                f"    group: {group}",
                "    jobs:",
                "      wait: {handler: work, every: 500ms, args: {seconds: 0.3}}",
                "      block: {handler: work-in-thread, after: 200ms, args: {seconds: 0.1}}",
            ]
    return "\n".join(lines)


class Course:
    """The course of events that all tests of this module look back on."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        sched = plant.start_sched(config())
        self.first, self.second = self.start("first"), self.start("second")
        self.await_runs(self.first, self.second)
        self.of_two = plant.audit().pids()
        self.third = self.start("third")
        self.before_third = len(plant.audit().attempts)
        self.await_runs(self.third)
        waits.until(lambda: len(self.open_in_second()) >= 2)
        self.second.kill()
        self.cut_off = self.open_in_second()
        waits.until(lambda: self.cut_off <= plant.audit().again(), 30.0)
        sched.stop()
        self.enqueued = [line["job_id"] for line in sched.log("run_enqueued")]
        waits.until(lambda: set(self.enqueued) <= {c.job_id for c in self.ended()}, 30.0)
        self.audit = plant.audit()

    def start(self, name: str) -> Running:
        """Start one of several equal workers."""
        return self._plant.start_worker(APP, "--concurrency", str(PLACES), name=name)

    def await_runs(self, *workers: Running) -> None:
        """Wait until these workers have begun so many more runs, together."""

        def count() -> int:
            pids = self._plant.audit().pids()
            return sum(pids.get(worker.pid, 0) for worker in workers)

        wanted = count() + ROUND
        waits.until(lambda: count() >= wanted, 30.0)

    def open_in_second(self) -> set[str]:
        """Return the runs that the second worker began and nobody saw end."""
        attempts = self._plant.audit().attempts
        return {a.job_id for a in attempts if a.pid == self.second.pid and not a.outcome}

    def ended(self) -> list[Completion]:
        """Return the completions in the store that end a run."""
        found = asyncio.run(completions(self._plant.url))
        return [completion for completion in found if completion.outcome != "retrying"]


async def completions(url: str) -> list[Completion]:
    """Return all completions in the store, oldest first in each group."""
    link = Link(url)
    store, found = Store(link), list[Completion]()
    for group in GROUPS:
        after, last = "0-0", await store.last_completion(group)
        while _moment(after) < _moment(last):
            after, some = await store.completions(group, after)
            found += [completion for completion, _ in some]
    await link.close()
    return found


def _moment(stream_id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in stream_id.split("-"))


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    """Start two workers, then a third, kill the second, stop the scheduler; wait for the rest."""
    folder: Path = tmp_path_factory.mktemp("share")
    with Plant(folder, ROTA_LEASE="2s") as plant:
        yield Course(plant)


def test_two_workers_share_the_load(course: Course) -> None:
    """Of two equal workers each does a fair part of the runs: a quarter at least."""
    total = sum(course.of_two.values())

    assert {course.first.pid, course.second.pid} == set(course.of_two)
    assert min(course.of_two.values()) >= total / 4


def test_a_third_takes_part_at_once(course: Course) -> None:
    """A worker that starts later gets runs before the others began many more, and a fair part."""
    pids = [attempt.pid for attempt in course.audit.attempts]
    first_run = pids.index(course.third.pid)
    following = pids[first_run : first_run + ROUND]

    assert first_run - course.before_third < ROUND / 2
    assert following.count(course.third.pid) >= ROUND / 6


def test_nothing_is_lost(course: Course) -> None:
    """Each run is enqueued once and completes once, though a worker was killed under load."""
    enqueued, ended = Counter(course.enqueued), Counter(c.job_id for c in course.ended())

    assert len(course.enqueued) > 3 * ROUND
    assert {1} == set(enqueued.values())
    assert enqueued == ended
    assert {"succeeded"} == {completion.outcome for completion in course.ended()}
    assert set(enqueued) == {job_id for job_id, count in course.audit.done().items() if count}


def test_only_what_the_dead_worker_held_runs_again(course: Course) -> None:
    """Runs that the killed worker held are repeated as second attempts, and no others are."""
    again = course.audit.again()
    runs = course.audit.runs()

    assert course.cut_off
    assert course.cut_off <= again
    assert {course.second.pid} == {runs[job_id][0].pid for job_id in again}
    assert {(1, 2)} == {tuple(a.attempt for a in runs[job_id]) for job_id in again}


def test_no_job_overlaps_itself(course: Course) -> None:
    """No job runs twice at a time, and a later attempt has the higher fence."""
    assert [] == course.audit.overlaps()
    assert [] == course.audit.unfenced()
