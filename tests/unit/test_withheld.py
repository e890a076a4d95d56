"""What is withheld is the same for who asks at the time, and for who accounts for it later."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.common.catalog import Slot
from rota.common.job import Blackout, Job
from rota.common.ledger import Missed, Outcome
from rota.common.message import Completion
from rota.common.pauses import Pause, PauseSet
from rota.scheduler import breakers
from rota.scheduler.breakers import Breakers
from rota.scheduler.calendar import spans
from rota.scheduler.pause_watch import PauseWatch
from rota.scheduler.schedule import due_of
from rota.scheduler.standing import Standing
from rota.scheduler.withheld import NEVER_MS, opening
from rota.scheduler.withholding import Withholding
from tests.support.definitions import job
from tests.support.journey import Journey
from tests.support.logbook import Logbook
from tests.support.moment import HOUR, MINUTE, ms

NOW = ms("2026-11-23T12:00")
REF = "acme/import"
BUSY = (Blackout(between="02:00..03:00"),)


class Nowhere:
    """A store that nobody asks."""


def withholding(*pauses: Pause, name: str = REF, row: breakers.Row | None = None) -> Withholding:
    """Return what knows these pauses, and this row of failures."""
    log = Logbook().log
    watch = PauseWatch(pauses=Nowhere(), changed=list, log=log)  # type: ignore[arg-type]
    watch.known = PauseSet(1, {name: pauses} if pauses else {})
    rests = Breakers(catalog=Nowhere(), changed=list, log=log)  # type: ignore[arg-type]
    if row:
        rests.follow([job(every="1h", pause_after_failures=2)])
        rests.note(REF, Slot(None, None, None, None, None, None, 0, *row))
    return Withholding(watch, rests)


def pause(since_ms: int, until_ms: int = 0) -> Pause:
    """Return a pause."""
    return Pause(by="ann@ops", why="migration", since_ms=since_ms, until_ms=until_ms)


def outcome(what: Withholding, due_ms: int, each: Job | None = None) -> str:
    """Return as what the occurrence is told, empty if it is run."""
    withheld = what(each or job(every="1h", pause_after_failures=2), due_ms)
    return f"{withheld.outcome}" if withheld else ""


@pytest.mark.parametrize("name", [REF, "acme"])
def test_a_pause_counts_from_its_own_time(name: str) -> None:
    """What is due in a pause is paused; what was due before, and not sent, is missed."""
    lasting = withholding(pause(NOW), name=name)
    ended = withholding(pause(NOW, NOW + HOUR), name=name)
    moments = (NOW - 1, NOW, NOW + HOUR - 1, NOW + HOUR)

    assert ["missed", "paused", "paused", "paused"] == [outcome(lasting, at) for at in moments]
    assert ["", "paused", "paused", ""] == [outcome(ended, at) for at in moments]
    assert "" == outcome(lasting, NOW, job("acme-2/import", every="1h"))


def test_what_a_pause_tells() -> None:
    """One reads what was paused, by whom and why."""
    withheld = withholding(pause(NOW), name="acme")(job(every="1h"), NOW)

    assert withheld is not None
    assert (Outcome.PAUSED, "acme by ann@ops: migration", NOW, NEVER_MS) == withheld


def test_a_breaker_rests() -> None:
    """A job whose runs died rests for a while after the last; then one is tried."""
    each = job(every="1h", pause_after_failures=2, probe_after_ms=HOUR)
    found = withholding(row=breakers.Row(2, NOW))
    moments = (NOW - HOUR, NOW, NOW + HOUR - 1, NOW + HOUR)

    assert ["breaker", "breaker", "breaker", ""] == [outcome(found, at, each) for at in moments]
    assert "" == outcome(withholding(row=breakers.Row(1, NOW)), NOW, each)
    assert "" == outcome(found, NOW, job(every="1h"))  # it has none


def test_the_operator_comes_first() -> None:
    """Of several reasons a pause is told, then a blackout, then a breaker."""
    each = job(every="1h", blackouts=BUSY, pause_after_failures=2)
    night = ms("2026-11-23T02:30")
    row = breakers.Row(2, night)

    assert "paused" == outcome(withholding(pause(night), row=row), night, each)
    assert "blackout" == outcome(withholding(row=row), night, each)
    assert "blackout" == outcome(withholding(pause(night + 1)), night, each)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (withholding(), NOW),
        (withholding(pause(NOW - HOUR, NOW + 5)), NOW + 5),
        (withholding(pause(NOW)), None),
        (withholding(row=breakers.Row(2, NOW)), NOW + 10 * MINUTE),
    ],
)
def test_opening(found: Withholding, expected: int | None) -> None:
    """When a fixed delay may run is known, but for a pause that lasts."""
    each = job(after="1h", pause_after_failures=2)

    assert expected == opening(lambda at: found(each, at), NOW)


def test_nothing_is_made_up_for_while_it_is_paused() -> None:
    """A job that is paused makes up for nothing; one that was resumed does, for what was before."""
    since = NOW - 2 * HOUR - 1

    assert [] == made_up(withholding(pause(since)))
    assert [NOW - 3 * HOUR] == made_up(withholding(pause(since, NOW + 1)))
    assert [NOW] == made_up(withholding())


def made_up(found: Withholding) -> list[int]:
    """Return what is run, of a job that is due each hour and was away for five."""
    each = job(every="1h", phase_ms=0)
    journey = Journey(NOW, lambda *_: MINUTE, found)
    journey.engine.add(each, Standing(until_ms=NOW - 5 * HOUR))
    journey.until(NOW + MINUTE)
    return [run.turn.due_ms for run in journey.runs.get(each.ref, [])]


JOBS = [
    job(every="7m"), job(every="7m", blackouts=BUSY),
    job(cron="*/20 * * * *", timezone="Europe/Berlin", blackouts=BUSY),
]  # fmt: skip
TIMES = st.integers(NOW - 12 * HOUR, NOW)


@given(
    st.sampled_from(JOBS),
    st.lists(TIMES, max_size=6).map(sorted),
    TIMES,
)
@settings(max_examples=100, deadline=None)
def test_in_hindsight(each: Job, changes: list[int], after_ms: int) -> None:
    """Who accounts for a stretch tells what was true of each occurrence, and of none twice."""
    pairs = zip(changes[::2], [*changes[1::2], 0], strict=False)
    found = withholding(*(pause(since, until) for since, until in pairs))
    told: dict[int, str] = {}
    for span in spans(each, after_ms, NOW, found.of(each)):
        moment = due_of(each).next_after(span.from_ms - 1)
        while moment is not None and moment <= span.to_ms:
            assert moment not in told
            told[moment] = span.outcome
            moment = due_of(each).next_after(moment)

    expected: dict[int, str] = {}
    moment = due_of(each).next_after(after_ms)
    while moment is not None and moment <= NOW:
        expected[moment] = outcome(found, moment, each)
        moment = due_of(each).next_after(moment)
    assert expected == told


def test_many_in_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many to be looked at one by one those in one long pause are told as paused."""
    monkeypatch.setattr("rota.scheduler.calendar._MOST", 100)
    each = job(every="1m")
    found = spans(each, NOW - 90 * HOUR, NOW - 1, withholding(pause(NOW - 100 * HOUR)))

    assert {"paused"} == {span.outcome for span in found}
    assert 90 * 60 - 1 <= sum(span.times for span in found) <= 90 * 60


def test_why_it_was_missed() -> None:
    """What a pause keeps from being made up for is told with that."""
    each = job(every="1h", phase_ms=1)
    found = spans(each, NOW - 3 * HOUR, NOW - 1, withholding(pause(NOW - HOUR)))

    assert [("missed", Missed.PAUSE), ("paused", f"{REF} by ann@ops: migration")] == [
        (span.outcome, span.detail) for span in found
    ]


def test_heard_once() -> None:
    """A death that the slot has told already, and is heard of later, counts once."""
    rests = Breakers(catalog=Nowhere(), changed=list, log=Logbook().log)  # type: ignore[arg-type]
    each = job(every="1h", pause_after_failures=2)
    rests.follow([each])
    rests.note(REF, Slot(None, None, None, None, None, None, 0, 1, NOW))
    died = Completion(
        job_id=f"{REF}:1", tenant="acme", job="import", outcome="dead", attempt=1, worker="w1"
    )
    rests.heard(died, NOW)

    assert 0 == rests.open
    rests.heard(died, NOW + 1)
    assert 1 == rests.open
