"""What a job does first after a start: catch up once, go on where it was, or start in its place."""

import pytest

from rota.common.catalog import Slot
from rota.common.job import Blackout, Job
from rota.scheduler.applied import Since
from rota.scheduler.first_due import accounted_ms, first_due
from rota.scheduler.schedule import due_of, phase
from tests.support.definitions import job
from tests.support.moment import DAY, HOUR, MINUTE, ms

NOW = ms("2026-11-23T12:00:30")
RUN = "acme/import:20261123T113000Z"
NEVER = Slot(None, None, None, None, None)

CRON = job(cron="0 3 * * *")
EVERY = job(every="1h")
AFTER = job(after="5m")
PLACE = phase("acme/import", HOUR)  # of EVERY within its hour, ms
LAST = NOW - (NOW - PLACE) % HOUR  # the last due time of EVERY


def slot(*, run: str | None = None, due: int | None = None, ended: int | None = None) -> Slot:
    """Return what the store remembers of a job."""
    return Slot(run, due, ended, "succeeded" if ended else None, RUN if ended else None)


@pytest.mark.parametrize(
    ("each", "memory", "expected"),
    [
        (CRON, NEVER, ms("2026-11-24T03:00")),
        (EVERY, NEVER, LAST + HOUR),
    ],
)
def test_never_ran(each: Job, memory: Slot, expected: int) -> None:
    """A job that never ran has nothing to make up for: it is due at its next time."""
    assert expected == first_due(each, memory, NOW)


def test_fixed_delay_never_ran() -> None:
    """A fixed delay that never ran starts within one period, each job at a place of its own."""
    firsts = {first_due(job(f"t{n}/sync", after="5m"), NEVER, NOW) for n in range(50)}

    assert NOW + phase("acme/import", 5 * MINUTE) == first_due(AFTER, NEVER, NOW)
    assert all(first is not None and NOW <= first < NOW + 5 * MINUTE for first in firsts)
    assert 50 == len(firsts)


@pytest.mark.parametrize(
    ("each", "last", "expected"),
    [
        (CRON, ms("2026-11-23T03:00"), ms("2026-11-24T03:00")),
        (EVERY, LAST, LAST + HOUR),
    ],
)
def test_nothing_missed(each: Job, last: int, expected: int) -> None:
    """A job whose last occurrence was accepted goes on with the next one."""
    assert expected == first_due(each, slot(due=last, ended=NOW - 1), NOW)


@pytest.mark.parametrize(
    ("each", "last", "expected"),
    [
        (CRON, ms("2026-11-22T03:00"), ms("2026-11-23T03:00")),  # one
        (CRON, ms("2026-11-02T03:00"), ms("2026-11-23T03:00")),  # three weeks
        (EVERY, LAST - HOUR, LAST),
        (EVERY, LAST - 30 * DAY, LAST),
    ],
)
def test_missed(each: Job, last: int, expected: int) -> None:
    """What was missed is made up for once, at once: the last occurrence that was missed."""
    assert expected == first_due(each, slot(due=last, ended=last), NOW)


def test_missed_in_its_zone() -> None:
    """What was missed is reckoned in the job's zone, over a clock change."""
    berlin = job(cron="30 2 * * *", timezone="Europe/Berlin")
    now = ms("2026-03-29T08:00")

    assert ms("2026-03-29T01:00") == first_due(berlin, slot(due=ms("2026-03-28T01:30")), now)


@pytest.mark.parametrize(
    ("each", "expected"), [(CRON, ms("2026-11-24T03:00")), (EVERY, LAST + HOUR)]
)
def test_in_flight(each: Job, expected: int) -> None:
    """While a run is in flight nothing is made up for: what was due meanwhile is an overlap."""
    assert expected == first_due(each, slot(run=RUN, due=NOW - 3 * DAY), NOW)


def test_fixed_delay_in_flight() -> None:
    """A fixed delay whose run is in flight is due when that has ended, not at a known time."""
    assert first_due(AFTER, slot(run=RUN, due=NOW - DAY, ended=NOW - DAY), NOW) is None


@pytest.mark.parametrize("ago", [MINUTE, 5 * MINUTE, 30 * DAY])
def test_fixed_delay_ended(ago: int) -> None:
    """A fixed delay counts on from the end of its last run, and is overdue if that is long ago."""
    assert NOW - ago + 5 * MINUTE == first_due(AFTER, slot(due=NOW - DAY, ended=NOW - ago), NOW)


def test_store_clock_ahead() -> None:
    """An end in the future, by a store whose clock is ahead, delays the job by a period at most."""
    assert NOW + 5 * MINUTE == first_due(AFTER, slot(ended=NOW + DAY), NOW)


def test_accepted_in_the_future() -> None:
    """An occurrence accepted ahead of our clock is not made up for again."""
    assert LAST + HOUR == first_due(EVERY, slot(due=LAST + HOUR, ended=NOW), NOW)


def test_only_triggered() -> None:
    """A job that somebody triggered, and that never was due, has nothing to make up for."""
    assert LAST + HOUR == first_due(EVERY, slot(ended=NOW - MINUTE), NOW)


@pytest.mark.parametrize(
    ("at", "memory", "expected"),
    [
        ("2026-11-23 12:00:31", NEVER, ms("2026-11-23T12:00:31")),
        ("2026-11-23 12:00:30", NEVER, None),  # newly read, and too late
        ("2026-11-23 12:00:30", slot(due=ms("2026-11-23T12:00:30"), ended=NOW), None),
        ("2026-11-23 12:00", slot(due=ms("2026-11-20T12:00"), ended=NOW), ms("2026-11-23T12:00")),
    ],
)
def test_once(at: str, memory: Slot, expected: int | None) -> None:
    """A single time that has passed is not made up for, unless the job ran at an earlier one."""
    assert expected == first_due(job(at=at), memory, NOW)


@pytest.mark.parametrize(
    ("blackouts", "expected"),
    [
        ([Blackout(between="09:00..10:00")], ms("2026-11-23T12:00")),
        ([Blackout(between="11:00..13:00")], ms("2026-11-23T10:00")),
        ([Blackout(start="2026-11-20 00:00", end="2026-11-24 00:00")], ms("2026-11-19T23:00")),
        ([Blackout(start="2026-11-02 00:00", end="2026-11-24 00:00")], ms("2026-11-23T13:00")),
    ],
)
def test_missed_in_a_blackout(blackouts: list[Blackout], expected: int) -> None:
    """What fell due in a blackout is not made up for; what was missed before it is."""
    each = job(cron="0 * * * *", blackouts=tuple(blackouts))

    assert expected == first_due(each, slot(due=ms("2026-11-02T00:00"), ended=NOW), NOW)


@pytest.mark.parametrize("each", [CRON, EVERY])
def test_catch_up_is_an_occurrence(each: Job) -> None:
    """What is made up for is a due time of the job: two schedulers enqueue the same."""
    first = first_due(each, slot(due=NOW - 40 * DAY), NOW)

    assert first is not None
    assert first == due_of(each).last_until(first)


YESTERDAY = NOW - DAY


@pytest.mark.parametrize(
    ("each", "since", "expected"),
    [
        # Changed at 11:00: its time at 03:00 was not this schedule's; the next one is tomorrow's.
        (CRON, Since(ms("2026-11-23T11:00"), 1), ms("2026-11-24T03:00")),
        (CRON, Since(ms("2026-11-23T02:00"), 1), ms("2026-11-23T03:00")),
        (EVERY, Since(LAST, 1), LAST + HOUR),
        (EVERY, Since(LAST - 1, 1), LAST),
    ],
)
def test_changed(each: Job, since: Since, expected: int) -> None:
    """What a schedule was due for before it was applied was not missed; what came later was."""
    assert expected == first_due(each, slot(due=NOW - 3 * DAY, ended=NOW - 3 * DAY), NOW, since)


@pytest.mark.parametrize(
    ("each", "known", "expected"),
    [
        (CRON, ms("2026-11-23T02:00"), ms("2026-11-23T03:00")),
        (CRON, ms("2026-11-23T04:00"), ms("2026-11-24T03:00")),
        (job(at="2026-11-23 09:00"), ms("2026-11-23T08:00"), ms("2026-11-23T09:00")),
        (job(at="2026-11-23 09:00"), ms("2026-11-23T10:00"), None),
        (AFTER, YESTERDAY, YESTERDAY + phase("acme/import", 5 * MINUTE)),
    ],
)
def test_never_ran_and_is_known(each: Job, known: int, expected: int | None) -> None:
    """A job that never ran makes up for what it was due for since it is known, not for more."""
    assert expected == first_due(each, NEVER, NOW, Since(0, known))


def test_known_and_ran() -> None:
    """A job of the first configuration that ran before goes on from its last occurrence."""
    last = slot(due=ms("2026-11-21T03:00"), ended=NOW - 2 * DAY)

    assert ms("2026-11-23T03:00") == first_due(CRON, last, NOW, Since(0, NOW - HOUR))


@pytest.mark.parametrize(
    ("memory", "since", "expected"),
    [
        (slot(due=NOW - DAY), Since(NOW - HOUR, NOW - HOUR), NOW - HOUR),
        (slot(due=NOW - MINUTE), Since(NOW - HOUR, NOW - HOUR), NOW - MINUTE),
        (slot(due=NOW - DAY), Since(0, NOW - HOUR), NOW - DAY),
        (NEVER, Since(0, NOW - HOUR), NOW - HOUR),
        (NEVER, Since(), NOW),
        # By clocks that are ahead of ours: a cursor is as the store has it, a change is now.
        (slot(due=NOW + MINUTE), Since(), NOW + MINUTE),
        (slot(due=NOW - DAY), Since(NOW + MINUTE, NOW + MINUTE), NOW),
        (NEVER, Since(NOW + MINUTE, NOW + MINUTE), NOW),
    ],
)
def test_accounted(memory: Slot, since: Since, expected: int) -> None:
    """A job is accounted for until its cursor, or its change; one without until it was known."""
    assert expected == accounted_ms(memory, since, NOW)


@pytest.mark.parametrize("ago", [5 * MINUTE, 30 * DAY])
def test_shorter_delay(ago: int) -> None:
    """A delay that is shortened so far that it is over is due in its place after the change."""
    changed = NOW - 1_000

    assert changed + phase("acme/import", 5 * MINUTE) == first_due(
        AFTER, slot(due=NOW - DAY, ended=NOW - ago - 1_000), NOW, Since(changed, changed)
    )
    assert NOW + MINUTE == first_due(AFTER, slot(ended=NOW - 4 * MINUTE), NOW, Since(NOW, NOW))
