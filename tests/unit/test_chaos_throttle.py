"""The checker of the chaos runs finds every limit that was exceeded and every lost permit."""

import pytest

from tests.chaos.story import JOB, ONE, RATE, TWO, Story
from tests.chaos.throttle import Usage


@pytest.fixture
def story() -> Story:
    """Return a story in which nothing has happened yet, of two jobs that share limits."""
    return Story()


def cap(story: Story, most: int, *, full: bool = False) -> None:
    """Let so many runs of both jobs be allowed at a time."""
    story.note("limit", 0, what="acme", jobs=[JOB, RATE], most=most, full=full)


def rate(story: Story, interval: float, burst: int) -> None:
    """Let one run of both jobs start each `interval` s, and so many at once."""
    story.note("limit", 0, what="acme", jobs=[JOB, RATE], interval=interval, burst=burst)


def usage(story: Story) -> Usage:
    """Return what the checker says of the use of limits."""
    found = story.verdict().usage
    assert found is not None
    return found


def test_as_many_as_allowed(story: Story) -> None:
    """As many at a time as allowed are no violation, nor is one that starts as another ends."""
    cap(story, 1)
    story.call(10, 10.0, 12.0)
    story.call(12, 12.0, 13.0, pid=TWO, job=RATE)

    assert {} == story.verdict().violations


def test_one_too_many(story: Story) -> None:
    """One more than allowed is told, with how many there were and for how long."""
    cap(story, 1)
    story.call(10, 10.0, 12.0)
    story.call(12, 11.9, 13.0, pid=TWO, job=RATE)

    assert ["acme: 2 at a time for 100 ms from 11.900, not 1"] == (
        story.verdict().violations["exceeded"]
    )


def test_what_was_cut_off_counts_until_its_worker_died(story: Story) -> None:
    """A run of a killed worker holds its place until the worker is dead, and no longer."""
    cap(story, 1)
    story.call(10, 10.0, None)
    story.kill(ONE, 11.0, successor=ONE)
    story.call(12, 11.5, 13.0, pid=TWO, job=RATE)
    story.call(10, 14.0, 14.5, pid=TWO, attempt=2)

    assert "exceeded" not in story.verdict().violations


@pytest.mark.parametrize("begun", [10.0, 11.01])
@pytest.mark.parametrize(("goes_on", "violations"), [(0.1, 0), (1.0, 1)])
def test_stopped_worker(story: Story, goes_on: float, violations: int, begun: float) -> None:
    """What a stopped worker's run does for a tick after it went on is told apart; more is not.

    It may have begun while the signal was on its way.
    """
    cap(story, 1)
    story.call(10, begun, 20.0 + goes_on, outcome="cancelled")
    story.stop(ONE, 11.0, 20.0)
    story.call(12, 18.0, 22.0, pid=TWO, job=RATE)
    story.call(10, 23.0, 24.0, pid=TWO, attempt=2)
    found = story.verdict()

    assert violations == len(found.violations.get("exceeded", []))
    assert found.usage is not None
    assert 1 - violations == len(found.usage.late)


@pytest.mark.parametrize(("third", "violations"), [(13.0, 0), (11.5, 1)])
def test_rate(story: Story, third: float, violations: int) -> None:
    """More starts than the burst and what the rate gives since are told."""
    rate(story, 2.0, 2)
    story.call(10, 10.0, 10.1)
    story.call(11, 11.0, 11.1)
    story.call(12, third, third + 0.1)
    story.call(14, 14.0, 14.1)

    assert violations == len(story.verdict().violations.get("exceeded", []))


def test_each_attempt_is_a_start(story: Story) -> None:
    """An attempt that is not the first spends a permit, too."""
    rate(story, 3.0, 2)
    story.call(10, 10.0, 10.1, outcome="failed")
    story.call(10, 10.5, 10.6, attempt=2, outcome="failed")
    story.call(10, 11.0, 11.1, attempt=3)

    assert 1 == len(story.verdict().violations["exceeded"])


def test_lost_permits(story: Story) -> None:
    """A limit that is never used to the full again after the faults has lost permits."""
    cap(story, 3, full=True)

    assert ["acme: never again 3 at a time"] == story.verdict().violations["not used again"]


def test_full_again(story: Story) -> None:
    """When a limit was first used to the full again after the faults is told."""
    cap(story, 2, full=True)
    story.call(52, 52.5, 54.0, pid=TWO)
    found = usage(story)

    assert 3.0 == pytest.approx(found.full)
    assert (1, 4) == (found.limits, found.starts)


def test_rate_that_is_not_reached(story: Story) -> None:
    """A tenant that is given less than its rate after the faults has lost permits."""
    rate(story, 0.5, 5)

    assert ["acme: only 3 starts, not 6.0"] == story.verdict().violations["not used again"]


def test_permit_in_the_store(story: Story) -> None:
    """A permit that the store counts as in use, when nothing runs, is lost."""
    found = story.verdict(permits={"rota:{gold}:t:acme": 1})

    assert ["permit not given back: 1 of rota:{gold}:t:acme"] == found.violations["left behind"]
