"""Where a job is after a start: accounted for up to a time, with a run in flight or without."""

import pytest

from rota.common.catalog import Slot
from rota.common.job import Job
from rota.scheduler.applied import UNKNOWN, Since
from rota.scheduler.schedule import phase
from rota.scheduler.standing import accounted_ms, standing
from tests.support.definitions import job
from tests.support.moment import DAY, HOUR, MINUTE, ms

NOW = ms("2026-11-23T12:00:30")
RUN = "acme/import:20261123T113000Z"
NEVER = Slot(None, None, None, None, None)

CRON = job(cron="0 3 * * *")
AFTER = job(after="5m")


def slot(*, run: str | None = None, due: int | None = None, ended: int | None = None) -> Slot:
    """Return what the store remembers of a job."""
    return Slot(run, due, ended, "succeeded" if ended else None, RUN if ended else None)


def first(each: Job, memory: Slot, since: Since = UNKNOWN, now: int = NOW) -> int | None:
    """Return when a fixed delay is due first."""
    return standing(each, memory, now, since).next_ms


def test_fixed_delay_never_ran() -> None:
    """A fixed delay that never ran starts within one period, each job at a place of its own."""
    firsts = {first(job(f"t{n}/sync", after="5m"), NEVER) for n in range(50)}

    assert NOW + phase("acme/import", 5 * MINUTE) == first(AFTER, NEVER)
    assert all(due is not None and NOW <= due < NOW + 5 * MINUTE for due in firsts)
    assert 50 == len(firsts)


def test_fixed_delay_in_flight() -> None:
    """A fixed delay whose run is in flight is due when that has ended, not at a known time."""
    assert first(AFTER, slot(run=RUN, due=NOW - DAY, ended=NOW - DAY)) is None


@pytest.mark.parametrize("ago", [MINUTE, 5 * MINUTE, 30 * DAY])
def test_fixed_delay_ended(ago: int) -> None:
    """A fixed delay counts on from the end of its last run, and is overdue if that is long ago."""
    assert NOW - ago + 5 * MINUTE == first(AFTER, slot(due=NOW - DAY, ended=NOW - ago))


def test_store_clock_ahead() -> None:
    """An end in the future, by a store whose clock is ahead, delays the job by a period at most."""
    assert NOW + 5 * MINUTE == first(AFTER, slot(ended=NOW + DAY))


def test_fixed_delay_that_is_known() -> None:
    """A fixed delay that never ran has its place counted from when it was known."""
    known = NOW - DAY

    assert known + phase("acme/import", 5 * MINUTE) == first(AFTER, NEVER, Since(0, known))


@pytest.mark.parametrize("ago", [5 * MINUTE, 30 * DAY])
def test_shorter_delay(ago: int) -> None:
    """A delay that is shortened so far that it is over is due in its place after the change."""
    changed = NOW - 1_000
    memory = slot(due=NOW - DAY, ended=NOW - ago - 1_000)

    assert changed + phase("acme/import", 5 * MINUTE) == first(
        AFTER, memory, Since(changed, changed)
    )
    assert NOW + MINUTE == first(AFTER, slot(ended=NOW - 4 * MINUTE), Since(NOW, NOW))


@pytest.mark.parametrize(
    ("memory", "since", "expected"),
    [
        (slot(due=NOW - DAY), Since(NOW - HOUR, NOW - HOUR), NOW - HOUR),
        (slot(due=NOW - MINUTE), Since(NOW - HOUR, NOW - HOUR), NOW - MINUTE),
        (slot(due=NOW - DAY), Since(0, NOW - HOUR), NOW - DAY),
        (NEVER, Since(0, NOW - HOUR), NOW - HOUR),
        (NEVER, Since(), NOW),
        (slot(ended=NOW - MINUTE), Since(), NOW),  # it was only triggered
        # By clocks that are ahead of ours: a cursor is as the store has it, a change is now.
        (slot(due=NOW + MINUTE), Since(), NOW + MINUTE),
        (slot(due=NOW - DAY), Since(NOW + MINUTE, NOW + MINUTE), NOW),
        (NEVER, Since(NOW + MINUTE, NOW + MINUTE), NOW),
    ],
)
def test_accounted(memory: Slot, since: Since, expected: int) -> None:
    """A job is accounted for until its cursor, or its change; one without until it was known."""
    assert expected == accounted_ms(memory, since, NOW)
    assert expected == standing(CRON, memory, NOW, since).until_ms


def test_last_run() -> None:
    """The last run is known with when the job became busy, and when that ended."""
    flying = Slot(RUN, NOW - HOUR, NOW - DAY, "succeeded", "before", NOW - HOUR + 5)
    over = Slot(None, NOW - HOUR, NOW - MINUTE, "succeeded", RUN, NOW - HOUR + 5)
    found = standing(CRON, flying, NOW), standing(CRON, over, NOW)

    assert (RUN, NOW - HOUR + 5) == (found[0].run, found[0].busy_ms)
    assert ("", NOW - HOUR + 5, NOW - MINUTE, RUN) == (
        *(found[1].run, found[1].busy_ms), found[1].ended_ms, found[1].last,
    )  # fmt: skip


@pytest.mark.parametrize(("after", "late"), [(MINUTE, False), (MINUTE + 1, True)])
def test_late_run(after: int, late: bool) -> None:
    """A run in flight that was accepted late makes up for what was missed."""
    flying = Slot(RUN, NOW - HOUR, None, None, None, NOW - HOUR + after)

    assert late == standing(CRON, flying, NOW).late
