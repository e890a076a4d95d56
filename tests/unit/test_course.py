"""One job on its way: nothing it was due for is left out or told twice, whatever is answered."""

from collections.abc import Sequence
from typing import Any

import pytest

from rota.common.job import Blackout, Job, job_id
from rota.common.ledger import Note, Outcome
from rota.scheduler.course import Course
from rota.scheduler.engine import Engine
from rota.scheduler.line import Stretch, Turn
from rota.scheduler.standing import Standing
from rota.scheduler.withheld import NEVER_MS, Withheld
from tests.support.builders import Clock
from tests.support.definitions import job
from tests.support.journey import Journey, holes
from tests.support.moment import HOUR, MINUTE, ms

NOW = ms("2026-11-23T12:00")
STEP = 10 * MINUTE


class Quiet:
    """What a course tells, one after the other; it is not answered."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.cancelled: list[str] = []
        self.logged: list[tuple[str, int, int]] = []

    def fire(self, job: Job, turn: Turn) -> None:
        """Take note of the due time."""
        self.told.append(turn.due_ms)

    def note(self, job: Job, notes: Sequence[Note]) -> None:
        """Take note of outcomes and due times."""
        self.told += [(note.outcome, note.from_ms, note.to_ms) for note in notes]

    def cancel(self, job: Job, run_id: str) -> None:
        """Take note."""
        self.cancelled.append(run_id)

    def decided(self, job: Job, what: Stretch, *, waiting: bool) -> None:
        """Take note of what waits, and why what does not is skipped."""
        self.logged.append(("waits" if what.waits else what.detail, what.from_ms, what.to_ms))


class Rig:
    """A course whose last run is in flight since `NOW`, and what it tells."""

    def __init__(self, **fields: Any) -> None:
        self.tell = Quiet()
        rules: dict[str, Any] = {"every": "10m", "phase_ms": 0} | fields
        self.job = job(**rules)
        self.run = job_id(self.job.ref, NOW)
        at = Standing(until_ms=NOW, run=self.run, busy_ms=NOW)
        self.course = Course(self.job, at, NOW, self.tell, lambda _: None)

    def at(self, steps: float) -> list[Any]:
        """Let time pass until so many occurrences fell due; return what is told of them."""
        before = len(self.tell.told)
        now_ms = NOW + round(steps * STEP)
        self.course.proceed(now_ms)
        return self.tell.told[before:]

    def noted(self) -> Note:
        """Return the one note that is not answered."""
        (note,) = self.course.asked if not isinstance(self.course.asked, Turn) else ()
        return note


def due(step: int) -> int:
    """Return when an occurrence is due."""
    return NOW + step * STEP


def test_one_answer_at_a_time() -> None:
    """While something is not answered nothing else is told, and what falls due is one note then."""
    rig = Rig()
    first = rig.at(1)
    meanwhile = [rig.at(step) for step in (2, 3, 4)]
    for note in list(rig.course.asked):
        assert isinstance(note, Note)
        rig.course.noted(note, None)

    assert [("skipped", due(1), due(1))] == first
    assert [[], [], []] == meanwhile
    assert [("skipped", due(2), due(4))] == rig.at(4.1)


def test_another_run_was_in_flight() -> None:
    """An occurrence that the store refuses is judged as one that overlaps the run in the way."""
    rig = Rig(overlap="queue_one")
    rig.at(2)
    rig.course.finished(rig.run, due(2) + 1)
    fired = rig.at(2.1)
    rig.course.refused(f"{rig.job.ref}:manual")

    assert [due(1)] == fired
    assert [] == rig.at(2.2)
    assert f"{rig.job.ref}:manual" == rig.course.run

    rig.course.finished(f"{rig.job.ref}:manual", due(2) + 2)

    assert [due(1)] == rig.at(2.3)

    rig.course.accepted()

    assert [("skipped", due(2), due(2))] == rig.at(2.4)


def test_another_run_while_it_catches_up() -> None:
    """What makes up for others, and is refused, is run when the run in the way has ended."""
    tell = Quiet()
    each = job(every="10m", phase_ms=0, overlap="cancel")
    course = Course(each, Standing(until_ms=due(-4)), NOW, tell, lambda _: None)
    now_ms = NOW + 5 * MINUTE
    course.look(now_ms)
    course.advance(now_ms, permit=True)
    assert not isinstance(course.asked, Turn)
    (note,) = course.asked
    course.noted(note, None)
    course.advance(now_ms)
    course.refused(f"{each.ref}:manual")
    course.advance(now_ms)
    meanwhile = tell.told.copy()
    course.finished(f"{each.ref}:manual", now_ms)
    course.advance(now_ms)
    asked = course.asked

    assert [("missed", due(-3), due(-1)), NOW] == meanwhile
    assert [*meanwhile, NOW] == tell.told
    assert isinstance(asked, Turn)
    assert (due(-3), due(-2), due(-1)) == asked.missed
    assert [] == tell.cancelled
    assert job_id(each.ref, NOW) == course.catching


def test_partly() -> None:
    """Of a note that the store knows better the rest is told, before all else."""
    rig = Rig()
    rig.course.look(due(4))
    rig.at(4)
    note = rig.noted()
    rig.course.noted(note, due(2))

    assert [("skipped", due(3), due(4))] == rig.at(4.5)


def test_cancelled_once_it_overlaps() -> None:
    """With `cancel` the run in the way is cancelled, and the last that waits is run then."""
    rig = Rig(overlap="cancel")
    rig.at(1)
    told = rig.at(2)
    note = rig.noted()
    rig.course.noted(note, None)
    rig.course.finished(rig.run, due(2) + 1)

    assert {rig.run} == set(rig.tell.cancelled)
    assert [("skipped", due(1), due(1))] == told
    assert [due(2)] == rig.at(2.1)


def test_a_note_does_not_overtake_what_waits() -> None:
    """What lies in a blackout behind an occurrence that waits is told when that has run."""
    rig = Rig(overlap="cancel", **_dark(12, 15))
    before = rig.at(1)
    meanwhile = rig.at(3)
    rig.course.finished(rig.run, due(3) + 1)
    fired = rig.at(3.1)
    rig.course.accepted()

    assert [] == before + meanwhile
    assert [due(1)] == fired
    assert [("blackout", due(2), due(3))] == rig.at(3.2)


def _dark(start: int, end: int) -> dict[str, Any]:
    return {"blackouts": (Blackout(between=f"12:{start}..12:{end + 20}"),)}


@pytest.mark.parametrize("misfire", ["once", "all"])
def test_the_store_lost_writes(misfire: str) -> None:
    """What a store has lost is told as lost, and what waits stays where it is."""
    rig = Rig(misfire=misfire)
    rig.at(3)
    note = rig.noted()
    rig.course.noted(note, None)
    rig.at(5)
    taken = [each for each in rig.course.asked if isinstance(each, Note)]
    rig.course.fell_back(due(1), taken)

    assert [("lost", due(2), due(3)), ("skipped", due(4), due(5))] == rig.at(5.1)


def test_the_store_lost_the_run() -> None:
    """A run that the store has lost is sent again, in its place among what it has lost, too."""
    rig = Rig()
    rig.course.again(NOW)
    rig.course.fell_back(due(-3), [])
    first = rig.at(0.1)
    note = rig.noted()
    rig.course.noted(note, None)

    assert [("lost", due(-2), due(-1))] == first
    assert [NOW] == rig.at(0.2)


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [("queue_one", ["run", "skipped"]), ("queue_all", ["run", "run"]), ("skip", ["skipped"] * 2)],
)
def test_changed_policy(overlap: str, expected: list[str]) -> None:
    """What waits is judged by the policies that the job has when it could run."""
    rig = Rig(overlap="queue_all")
    rig.at(2)
    changed = job(every="10m", phase_ms=0, overlap=overlap)
    rig.course.change(changed)
    found: list[str] = []
    rig.at(2.1)
    rig.course.finished(rig.run, due(2) + 1)
    for step in range(2, 9):
        rig.at(2 + step / 100)
        asked = rig.course.asked
        if isinstance(asked, Turn):
            found.append("run")
            rig.course.accepted()
            rig.course.finished(job_id(rig.job.ref, asked.due_ms), due(2) + step)
        for note in [] if isinstance(asked, Turn) else list(asked):
            found += [note.outcome] * note.times
            rig.course.noted(note, None)

    assert expected == found


@pytest.mark.parametrize(
    ("rules", "outcome"), [({}, "skipped"), ({"overlap": "queue_all"}, "skipped")]
)
def test_changed_schedule(rules: dict[str, Any], outcome: str) -> None:
    """What a job was due for before its schedule was changed is told, and nothing that is later."""
    rig = Rig(**rules)
    rig.at(1)
    rig.at(5)
    asked = [] if isinstance(rig.course.asked, Turn) else list(rig.course.asked)
    changed = job(every="1h", phase_ms=0, **rules)
    course = Course(changed, Standing(until_ms=due(3)), NOW, rig.tell, lambda _: None)
    rig.course.close(due(3))
    course.inherit(rig.course)
    for note in asked:
        course.noted(note, None)
    course.advance(due(5))
    told = [(name, first, last) for name, first, last in rig.tell.told]

    assert {outcome} == {name for name, _, _ in told}
    assert (due(1), due(3)) == (told[0][1], told[-1][2])
    assert rig.run == course.run
    assert NOW + HOUR == course.next_ms


def test_withheld_while_it_waits() -> None:
    """What waited is not run if it is withheld by then; what comes later is asked for, too."""
    paused = False

    def withhold(_: Job, __: int) -> Withheld | None:
        return Withheld(Outcome.PAUSED, "by ann", 0, NEVER_MS) if paused else None

    each = job(every="10m", phase_ms=0, overlap="queue_all")
    journey = Journey(NOW, lambda *_: 25 * MINUTE, withhold)
    journey.engine.add(each, Standing(until_ms=NOW))
    journey.until(due(4) - 1)
    paused = True
    journey.until(due(9))
    paused = False
    journey.until(due(20))
    notes = journey.notes[each.ref]

    assert [("paused", "by ann")] * len(notes) == [(note.outcome, note.detail) for note in notes]
    assert [] == holes(each, journey, NOW, due(20), due(12))
    assert {due(3), due(9)} <= {moment for n in notes for moment in (n.from_ms, n.to_ms)}


def test_budget() -> None:
    """As many runs as the group allows make up for others, jobs take turns; live ones go first."""
    late = [job(f"t{n:02}/x", every="10m", phase_ms=0, misfire="all") for n in range(20)]
    journey = Journey(NOW + 5 * MINUTE, lambda *_: 20_000)
    journey.engine.limit({late[0].group: 3})
    for each in late:
        journey.engine.add(each, Standing(until_ms=NOW - HOUR))
    live = job("zz/live", every="10m", phase_ms=STEP // 2)
    journey.engine.add(live, Standing(until_ms=NOW))
    end_ms = NOW + 3 * HOUR
    journey.until(end_ms)
    first = {each.ref: journey.runs[each.ref][0].at_ms for each in late}

    assert 3 == max(journey.late)
    assert NOW + 5 * MINUTE == journey.runs[live.ref][0].at_ms
    assert max(first.values()) <= NOW + 5 * MINUTE + 7 * 20_000
    assert [] == [
        h for each in late for h in holes(each, journey, NOW - HOUR, end_ms, end_ms - HOUR)
    ]


def test_removed_while_it_catches_up() -> None:
    """A job that is removed gives its permit to the next one."""
    late = [job(f"t{n}/x", every="10m", phase_ms=0) for n in range(2)]
    journey = Journey(NOW + 5 * MINUTE, lambda *_: 24 * HOUR)
    journey.engine.limit({late[0].group: 1})
    for each in late:
        journey.engine.add(each, Standing(until_ms=NOW - HOUR))
    journey.until(NOW + 6 * MINUTE)
    before = sorted(journey.runs)
    journey.engine.remove(late[0].ref)
    journey.until(NOW + 16 * MINUTE)

    assert [late[0].ref] == before
    assert late[1].ref in journey.runs


def test_an_answer_to_what_was_removed() -> None:
    """An answer that comes when its job is gone, or has been changed since, does no harm."""
    tell, clock = Quiet(), Clock(NOW)
    engine = Engine(tell=tell, clock=clock)
    each = job(every="10m", phase_ms=0)
    engine.add(each, Standing(until_ms=NOW - 1))
    engine.turn()
    engine.remove(each.ref)
    engine.accepted(each.ref, NOW)
    engine.add(each, Standing(until_ms=NOW))
    engine.accepted(each.ref, NOW)
    engine.refused(each.ref, NOW, "other")
    engine.over(each.ref, NOW)
    engine.noted(Note(each.ref, "missed", "down", NOW, NOW, 1))

    assert [NOW] == tell.told
    assert NOW + STEP == engine.next_ms(each.ref)


def test_logged_as_what_it_comes_to() -> None:
    """What falls due while as many wait as may is told as skipped, not as waiting, each at once."""
    rig = Rig(overlap="queue_all", max_catch_up=2)
    for step in (1, 4, 5):
        rig.at(step)

    assert [
        ("waits", due(1), due(1)),
        ("waits", due(2), due(2)),
        ("max_catch_up", due(3), due(4)),
        ("max_catch_up", due(5), due(5)),
    ] == rig.tell.logged
