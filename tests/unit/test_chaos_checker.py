"""The checker of the chaos runs finds every kind of violation, and nothing where there is none."""

from typing import Any

import pytest

from tests.chaos import checker
from tests.chaos.history import History
from tests.chaos.story import HAND, JOB, LIMITS, ONE, RATE, TWO, Story, run_id


@pytest.fixture
def story() -> Story:
    """Return a story in which nothing has happened yet."""
    return Story()


def test_clean_history_passes(story: Story) -> None:
    """A history in which every promise is kept has no violation."""
    story.call(10, 10.0, 11.0)
    story.call(12, 12.0, 13.0, pid=TWO)
    story.call(10, 10.0, 12.5, job=RATE)
    story.call(14, 14.0, 15.0, job=RATE)
    found = story.verdict()

    assert {} == found.violations
    assert (7, 7, 0, 0, 0) == (found.enqueued, found.runs, found.reruns, found.lost, found.overlaps)


def test_run_of_a_killed_worker_may_run_again(story: Story) -> None:
    """A run that is cut off by a kill and done by another worker is a re-run and no violation."""
    story.call(10, 10.0, None, pid=ONE)
    story.kill(ONE, 10.5)
    story.call(10, 13.5, 14.0, pid=TWO, attempt=2)
    found = story.verdict()

    assert {"kill-worker": 1} == found.faults
    assert 1 == found.reruns
    assert {"worker": 3.0} == found.recovery
    assert {} == found.violations


def test_lost_run_is_found(story: Story) -> None:
    """A run that was cut off and never done is lost; so is one accepted that never began."""
    story.call(10, 10.0, None, pid=ONE)
    story.kill(ONE, 10.5)
    story.note("accepted", 11.0, job_id=run_id(11, HAND))
    found = story.verdict()

    assert [run_id(11, HAND), run_id(10)] == found.violations["lost"]
    assert 2 == found.lost


def test_dead_letter_is_not_lost(story: Story) -> None:
    """A run whose attempts are spent is in the final state as a dead letter, and not lost."""
    story.call(10, 10.0, 10.5, outcome="failed")
    story.dead.append(run_id(10))

    assert {} == story.verdict().violations


@pytest.mark.parametrize(("accepted_at", "lost"), [(11.0, 0), (8.0, 1), (13.0, 1)])
def test_only_what_a_fault_took_may_be_gone(story: Story, accepted_at: float, lost: int) -> None:
    """A run whose acceptance fell with the store's data is counted apart; others are lost."""
    story.note("accepted", accepted_at, job_id=run_id(11, HAND))
    story.note("wiped", 12.0, since=10.0)
    found = story.verdict()

    assert lost == found.lost
    assert 1 - lost == found.wiped


def test_run_under_way_is_not_wiped(story: Story) -> None:
    """A run that a worker had in hand when the data went must come to its end."""
    story.call(11, 11.0, 13.0, job=HAND, outcome="failed")
    story.note("wiped", 12.0, since=10.0)
    story.note("wiped", 20.0, since=float("-inf"))

    assert [run_id(11, HAND)] == story.verdict().violations["lost"]


@pytest.mark.parametrize(("started", "ended", "violations"), [(19, 21, 0), (9, 21, 1), (24, 25, 1)])
def test_start_in_an_outage(story: Story, started: float, ended: float, violations: int) -> None:
    """Who starts while the store is away ends; nobody else ends by itself."""
    story.note("fault", 20, kind="restart")
    story.note("mended", 22)
    story.note("started", started, pid=99, role="worker", name="late")
    story.note("casualty", ended, pid=99, role="worker", name="late")
    story.note("killed", ended, pid=99, role="worker", name="late")

    assert violations == len(story.verdict().violations.get("casualty", []))


@pytest.mark.parametrize(("stopped_at", "violations"), [(13.0, []), (15.0, ["doubled"])])
def test_report_after_an_outage(story: Story, stopped_at: float, violations: list[str]) -> None:
    """A worker that is stopped before it found the store again could not report its run's end."""
    story.call(10, 10.0, 11.0, pid=ONE)
    story.note("fault", 10.8, kind="restart")
    story.note("mended", 11.2)
    story.stop(ONE, stopped_at, 30.0)
    story.call(10, 14.0, 14.5, pid=TWO, attempt=2)

    assert violations == [name for name in story.verdict().violations if name == "doubled"]


def test_doubled_run_is_found(story: Story) -> None:
    """A run that is done twice, by workers that nobody disturbed, is a violation."""
    story.call(10, 10.0, 11.0, pid=ONE)
    story.call(10, 14.0, 15.0, pid=TWO, attempt=2)
    found = story.verdict()

    assert ["doubled"] == list(found.violations)
    assert run_id(10) in found.violations["doubled"][0]


@pytest.mark.parametrize("killed_at", [10.5, 11.5])
def test_done_by_a_worker_that_could_not_tell_is_not_doubled(
    story: Story, killed_at: float
) -> None:
    """A worker that is killed right after the handler's end may not have reported it."""
    end = 11.0 if killed_at > 11.0 else None
    story.call(10, 10.0, end, pid=ONE)
    story.kill(ONE, killed_at)
    story.call(10, 14.0, 15.0, pid=TWO, attempt=2)

    assert {} == story.verdict().violations


def test_late_kill_is_no_excuse(story: Story) -> None:
    """A worker that lived long enough to report the end has no excuse."""
    story.call(10, 10.0, 11.0, pid=ONE)
    story.kill(ONE, 13.0)
    story.call(10, 14.0, 15.0, pid=TWO, attempt=2)

    assert ["doubled"] == list(story.verdict().violations)


def test_overlap_is_found_with_its_length(story: Story) -> None:
    """Two runs of one job at the same time are found, and for how long."""
    story.call(10, 10.0, 12.0, pid=ONE, job=RATE)
    story.call(12, 11.25, 13.0, pid=TWO, job=RATE)
    found = story.verdict()

    assert ["overlap"] == list(found.violations)
    assert 1 == found.overlaps
    assert 750 == pytest.approx(found.longest_overlap_ms)


def test_overlap_of_two_attempts_is_found(story: Story) -> None:
    """Two attempts of one run at the same time are an overlap, too."""
    story.call(10, 10.0, 13.0, pid=ONE, outcome="cancelled")
    story.call(10, 11.0, 12.0, pid=TWO, attempt=2)

    assert 1 == story.verdict().overlaps


def test_overlap_of_a_cancel_tick_is_told_only(story: Story) -> None:
    """An overlap no longer than a worker needs to cancel is told, but no violation."""
    story.call(10, 10.0, 12.0, pid=ONE, job=RATE)
    story.call(12, 11.99, 13.0, pid=TWO, job=RATE)
    found = story.verdict()

    assert {} == found.violations
    assert 10 == pytest.approx(found.longest_overlap_ms)


def test_killed_process_does_not_overlap(story: Story) -> None:
    """What a process ran ends when it is killed, not before and not later."""
    story.call(10, 10.0, None, pid=ONE)
    story.kill(ONE, 12.0)
    story.call(10, 11.0, 13.0, pid=TWO, attempt=2)
    found = story.verdict()

    assert 1_000 == pytest.approx(found.longest_overlap_ms)


def test_stopped_process_does_not_overlap(story: Story) -> None:
    """A process executes nothing while it is stopped: only what follows can overlap."""
    story.call(10, 10.0, 20.05, pid=ONE, outcome="cancelled")
    story.stop(ONE, 11.0, 20.0)
    story.call(10, 15.0, 25.0, pid=TWO, attempt=2)
    found = story.verdict()

    assert {} == found.violations
    assert 50 == pytest.approx(found.longest_overlap_ms)


def test_child_of_a_stopped_worker_overlaps(story: Story) -> None:
    """A handler in a child process goes on while its worker is stopped."""
    story.call(10, 10.0, 18.0, pid=99, parent=ONE)
    story.stop(ONE, 11.0, 20.0)
    story.call(10, 15.0, 16.0, pid=TWO, attempt=2)

    assert 1_000 == pytest.approx(story.verdict().longest_overlap_ms)


def test_stale_completion_is_found(story: Story) -> None:
    """A run that ends by the completion of an old fence, under way a newer one, is found."""
    story.call(10, 10.0, 20.1, pid=ONE)
    story.stop(ONE, 11.0, 20.0)
    story.call(10, 15.0, 20.2, pid=TWO, attempt=2, outcome="cancelled")

    assert ["stale completion"] == list(story.verdict().violations)


@pytest.mark.parametrize("fence", [1, 0])
def test_fence_that_does_not_rise_is_found(story: Story, fence: int) -> None:
    """The same fence again, or a lower one, is found; also from one run of a job to the next."""
    story.call(10, 10.0, 11.0, fence=1)
    story.call(13, 13.0, 14.0, fence=fence)
    found = story.verdict()

    assert ["fence"] == list(found.violations)
    assert 1 == found.fence_violations


def test_late_start_of_a_stopped_worker_is_no_fence_violation(story: Story) -> None:
    """A worker stopped between claim and start may begin late, if it ends within a tick."""
    story.stop(ONE, 10.0, 20.0)
    story.call(10, 15.0, 16.0, pid=TWO, fence=9)
    story.call(10, 20.01, 20.03, pid=ONE, fence=8, outcome="cancelled")
    story.fence = 9

    assert {} == story.verdict().violations


def test_short_delay_is_found(story: Story) -> None:
    """A fixed delay counts from the end of the last run."""
    story.call(10, 10.0, 11.0)
    story.call(12, 11.9, 12.5)
    found = story.verdict()

    assert ["interval"] == list(found.violations)
    assert "0.900 s" in found.violations["interval"][0]


def test_lost_beat_is_found(story: Story) -> None:
    """The due times of a fixed rate lie on its grid; those that were skipped do not matter."""
    story.call(10, 10.0, 10.5, job=RATE)
    story.call(16, 16.0, 16.5, job=RATE)
    story.call(17, 17.0, 17.5, job=RATE)

    assert ["interval"] == list(story.verdict().violations)


def test_slow_recovery_is_found(story: Story) -> None:
    """A run that waits longer than the limit for its next attempt is found."""
    story.call(10, 10.0, None, pid=ONE)
    story.kill(ONE, 10.5)
    story.call(10, 16.0, 17.0, pid=TWO, attempt=2)

    assert ["slow recovery"] == list(story.verdict().violations)


def test_standstill_after_the_store_is_found(story: Story) -> None:
    """A job that begins too late after the store is back is found, its own rest not counted."""
    story.call(10, 10.0, 11.0)
    story.note("mended", 20.0)
    story.call(22, 21.0, 22.0, job=RATE)
    story.call(27, 27.0, 28.0)
    found = story.verdict()

    assert {"store": 6.0} == found.recovery
    assert ["slow recovery"] == list(found.violations)


def test_wedged_job_is_found(story: Story) -> None:
    """A schedule that does not go on after the faults is found."""
    story.note("job", 0, job="acme/other", group="gold", kind="every", period_ms=1_000)
    story.call(10, 10.0, 11.0, job="acme/other")

    assert ["wedged"] == list(story.verdict().violations)


def test_deaf_worker_is_found(story: Story) -> None:
    """A worker that lives through the faults and takes no part any more is found."""
    story.note("started", 5, pid=13, role="worker", name="three")
    story.call(10, 10.0, 11.0, pid=13)

    assert ["deaf"] == list(story.verdict().violations)


@pytest.mark.parametrize(
    "final",
    [
        {"drained": False, "counts": {"running": 1}},
        {"leaked": ["rota:{gold}:j:acme/sync:1"]},
        {"foreign": ["mine"]},
    ],
)
def test_what_is_left_behind_is_found(story: Story, final: dict[str, Any]) -> None:
    """Runs, records and keys that are still there when all is over are found."""
    assert ["left behind"] == list(story.verdict(**final).violations)


def test_driver_that_did_not_finish_is_no_pass(story: Story) -> None:
    """A log that breaks off proves nothing."""
    found = checker.check(History(story.audit, story.ledger), LIMITS)

    assert "left behind" in found.violations


def test_ledger_is_held_against_the_audit(story: Story) -> None:
    """A run that was done is noted once, as done; what was before the oldest entry is forgotten."""
    for number in (10, 12, 14, 16):
        story.call(number, number, number + 0.5, job=RATE)
    told = [
        [run_id(12, RATE), "succeeded", 0],
        [run_id(12, RATE), "succeeded", 0],
        [run_id(16, RATE), "lost", 0],
    ]
    found = story.verdict(noted={RATE: told}).violations["ledger"]

    assert [
        f"noted 2 times: {run_id(12, RATE)}",
        f"not noted: {run_id(14, RATE)}",
        f"{run_id(16, RATE)} is noted as lost, and was done",
    ] == [each for each in found if run_id(50, RATE) not in each]


def test_ledger_that_is_right(story: Story) -> None:
    """A dead letter that was replayed has two entries, and a run that was not done may be lost."""
    story.call(10, 10.0, 10.5)
    story.call(12, 12.0, 12.5)
    told = [[run_id(12), "succeeded", 0], [run_id(10), "dead", 0], [run_id(10), "succeeded", 1]]
    told += [[run_id(n), "succeeded", 0] for n in (50, 53)] + [[run_id(11, HAND), "lost", 0]]

    assert {} == story.verdict(noted={JOB: told}).violations
