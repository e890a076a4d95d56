"""No occurrence is left out of account, whoever was held up, and none is told twice."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rota.common.job import Blackout, job_id
from rota.common.ledger import Missed, Outcome
from rota.scheduler.accounts import Accounts
from rota.scheduler.schedule import due_of
from tests.support.definitions import job
from tests.support.moment import HOUR, MINUTE, ms

NOW = ms("2026-11-23T12:00")
EACH = job(every="10m", phase_ms=0)
DUE = due_of(EACH)


def begun(until_ms: int, now_ms: int = NOW) -> Accounts:
    """Return accounts with one job that was taken up at `now_ms`."""
    accounts = Accounts()
    accounts.begin(EACH, until_ms, now_ms)
    return accounts


def test_down_and_stalled() -> None:
    """What fell due before we led is told as that, and what did later is told as our own delay."""
    accounts = begun(NOW - HOUR)
    way = job_id(EACH.ref, NOW + HOUR)
    notes = accounts.close(EACH, NOW + HOUR, way)

    assert [
        (Missed.DOWN, NOW - 50 * MINUTE, NOW, 6, way),
        (Missed.STALLED, NOW + 10 * MINUTE, NOW + 50 * MINUTE, 5, way),
    ] == [(n.detail, n.from_ms, n.to_ms, n.times, n.way) for n in notes]
    assert {Outcome.MISSED} == {note.outcome for note in notes}


def test_nothing_between() -> None:
    """Where one occurrence follows the other there is nothing to note."""
    accounts = begun(NOW)
    for number in range(1, 4):
        due_ms = NOW + number * 10 * MINUTE

        assert [] == accounts.close(EACH, due_ms)
        accounts.settle(EACH, due_ms)


def test_blackout() -> None:
    """What lay in a blackout is told as that, with the blackout's text, and nothing made up."""
    quiet = job(every="10m", phase_ms=0, blackouts=(Blackout(between="11:20..11:40"),))
    accounts = Accounts()
    accounts.begin(quiet, NOW - HOUR, NOW)
    notes = accounts.close(quiet, NOW + 1, "way")

    assert [
        ("missed", "down", 1, "way"),
        ("blackout", "11:20..11:40", 2, ""),
        ("missed", "down", 3, "way"),
    ] == [(note.outcome, note.detail, note.times, note.way) for note in notes]


def test_unknown_job_and_fixed_delay() -> None:
    """Of a job that we do not lead nothing is told, nor of one that has no calendar."""
    delay = job(after="10m")
    accounts = begun(NOW - HOUR)
    accounts.begin(delay, NOW - HOUR, NOW)
    forgotten = begun(NOW - HOUR)
    forgotten.forget(EACH.ref)

    assert [] == accounts.close(delay, NOW)
    assert [] == forgotten.close(EACH, NOW)
    assert [] == Accounts().close(EACH, NOW)


def test_late_word() -> None:
    """An occurrence before what is accounted for is known as such, and opens nothing again."""
    accounts = begun(NOW)
    accounts.settle(EACH, NOW + HOUR)
    accounts.settle(EACH, NOW + 10 * MINUTE)

    assert accounts.is_past(EACH, NOW + 50 * MINUTE)
    assert not accounts.is_past(EACH, NOW + HOUR)
    assert [] == accounts.close(EACH, NOW + HOUR)


def test_changed() -> None:
    """A job that is changed while it is led opens nothing again, and we led it all the time."""
    accounts = begun(NOW)
    accounts.settle(EACH, NOW + HOUR)
    accounts.begin(EACH, NOW + 30 * MINUTE, NOW + 2 * HOUR)
    (note,) = accounts.close(EACH, NOW + 2 * HOUR)

    assert NOW + HOUR + 10 * MINUTE == note.from_ms
    assert Missed.STALLED == note.detail


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.integers(0, 3 * HOUR))
@settings(max_examples=200, deadline=None)
def test_every_occurrence_once(skips: list[int], away_ms: int) -> None:
    """Whatever is passed over: the notes and what is told beside them are all that fell due."""
    accounts = begun(NOW - away_ms)
    told: list[int] = []
    due_ms = NOW
    for skipped in skips:
        due_ms = DUE.next_after(due_ms + skipped * 10 * MINUTE) or 0
        for note in accounts.close(EACH, due_ms):
            told += range(note.from_ms, note.to_ms + 1, 10 * MINUTE)
        accounts.settle(EACH, due_ms)
        told.append(due_ms)
    first = DUE.next_after(NOW - away_ms) or 0

    assert list(range(first, due_ms + 1, 10 * MINUTE)) == told
