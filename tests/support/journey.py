"""Jobs on their way without a store: engine, a virtual clock, and runs that end after given times.

What is told is kept per job, and held against the calendar: each occurrence in exactly one place.
"""

import heapq
from collections.abc import Callable, Sequence
from itertools import count

from rota.common.job import Job, job_id
from rota.common.ledger import Note
from rota.scheduler.engine import Engine
from rota.scheduler.line import Stretch, Turn
from rota.scheduler.schedule import due_of
from rota.scheduler.standing import Standing
from rota.scheduler.withheld import Withhold
from tests.support.builders import Clock

Lasts = Callable[[Job, int], int]  # how long the run takes that was due then, ms


class Ended:
    """What became of one run."""

    def __init__(self, turn: Turn, at_ms: int) -> None:
        self.turn = turn
        self.at_ms = at_ms  # when it was accepted


class Journey:
    """An engine whose store answers at once, and whose time passes as fast as can be."""

    def __init__(self, now_ms: int, lasts: Lasts, withhold: Withhold | None = None) -> None:
        self.clock = Clock(now_ms)
        self.lasts = lasts
        self.runs: dict[str, list[Ended]] = {}  # by TENANT/JOB
        self.notes: dict[str, list[Note]] = {}
        self.cancelled: list[str] = []
        self.in_flight: dict[str, str] = {}  # job_id -> TENANT/JOB
        self.late: list[int] = []  # how many late runs were in flight, at each acceptance of one
        self._late: set[str] = set()
        self.began_ms = now_ms
        self.ended: dict[str, int] = {}  # when the last run of TENANT/JOB ended
        # When, in which order, what, and whether it happens without a scheduler, too.
        self._events: list[tuple[int, int, Callable[[], None], bool]] = []
        self._count = count()
        self._withhold = withhold
        self.engine = self._engine()

    def _engine(self) -> Engine:
        return Engine(tell=self, clock=self.clock, withhold_of=lambda _: self._withhold)

    # -- what the engine tells

    def fire(self, job: Job, turn: Turn) -> None:
        """Accept a run; it ends when it ends."""
        now_ms, run_id = self.clock.now_ms(), job_id(job.ref, turn.due_ms)
        self.runs.setdefault(job.ref, []).append(Ended(turn, now_ms))
        self.in_flight[run_id] = job.ref
        if turn.late:
            self._late.add(run_id)
            self.late.append(len(self._late))
        engine = self.engine
        self._at(now_ms, lambda: engine.accepted(job.ref, turn.due_ms))
        self._at(now_ms + self.lasts(job, turn.due_ms), lambda: self._end(run_id), alone=True)

    def note(self, job: Job, notes: Sequence[Note]) -> None:
        """Record notes."""
        self.notes.setdefault(job.ref, []).extend(notes)
        engine = self.engine
        for note in notes:
            self._at(self.clock.now_ms(), lambda note=note: engine.noted(note))  # type: ignore[misc]

    def cancel(self, job: Job, run_id: str) -> None:
        """Cancel a run, which ends at once."""
        self.cancelled.append(run_id)
        self._at(self.clock.now_ms(), lambda: self._end(run_id), alone=True)

    def decided(self, job: Job, what: Stretch, *, waiting: bool) -> None:
        """Log nothing."""

    def _end(self, run_id: str) -> None:
        ref = self.in_flight.pop(run_id, None)
        self._late.discard(run_id)
        if ref is not None:
            self.ended[ref] = self.clock.now_ms()
            self.engine.finished(ref, run_id, self.clock.now_ms())

    # -- time

    def _at(self, ms: int, what: Callable[[], None], *, alone: bool = False) -> None:
        heapq.heappush(self._events, (ms, next(self._count), what, alone))

    def until(self, end_ms: int) -> None:
        """Let time pass."""
        while True:
            first_ms = self.engine._agenda.first_ms
            due_ms = end_ms + 1 if first_ms is None else first_ms
            event_ms = self._events[0][0] if self._events else end_ms + 1
            next_ms = max(min(due_ms, event_ms), self.clock.now_ms())
            if next_ms > end_ms:
                break
            self.clock.step(next_ms - self.clock.now_ms())
            if event_ms <= due_ms:
                heapq.heappop(self._events)[2]()
            else:
                self.engine.turn()
        self.clock.step(end_ms - self.clock.now_ms())

    def dead_until(self, end_ms: int) -> None:
        """Let runs end while no scheduler is there."""
        jobs = [course.job for course in self.engine._courses.values()]
        self.engine.stop()
        self._events = sorted(event for event in self._events if event[3])  # a heap again
        self.engine = self._engine()
        self.until(end_ms)
        for job in jobs:
            self.engine.add(job, self.standing(job))

    def standing(self, job: Job) -> Standing:
        """Return where a job is by what the store was told, as its slot would say."""
        runs, notes = self.runs.get(job.ref, []), self.notes.get(job.ref, [])
        cursors = [run.turn.due_ms for run in runs[-1:]] + [note.to_ms for note in notes[-1:]]
        until_ms = max(cursors, default=self.began_ms)
        if not runs:
            return Standing(until_ms=until_ms)
        last = runs[-1]
        run_id = job_id(job.ref, last.turn.due_ms)
        return Standing(
            until_ms=until_ms,
            run=run_id if run_id in self.in_flight else "",
            busy_ms=last.turn.busy_ms,
            ended_ms=self.ended.get(job.ref, 0),
            last=run_id,
            late=last.turn.late,
        )


def holes(each: Job, journey: Journey, after_ms: int, until_ms: int, last_ms: int) -> list[str]:
    """Return what is wrong with what was told of all that was due after `after_ms`.

    What is due after `last_ms` may not be told yet.
    """
    found: dict[int, list[str]] = {}
    due = due_of(each)
    for run in journey.runs.get(each.ref, []):
        found.setdefault(run.turn.due_ms, []).append("run")
    for note in journey.notes.get(each.ref, []):
        moment: int | None = note.from_ms
        times = 0
        while moment is not None and moment <= note.to_ms:
            found.setdefault(moment, []).append(note.outcome)
            moment, times = due.next_after(moment), times + 1
        assert times == note.times
    wrong: list[str] = []
    moment = due.next_after(after_ms)
    while moment is not None and moment <= until_ms:
        outcomes = found.pop(moment, [])
        if len(outcomes) > 1 or (not outcomes and moment <= last_ms):
            wrong.append(f"{each.ref} {moment}: {outcomes}")
        moment = due.next_after(moment)
    return wrong + [f"{each.ref} {ms} was not due: {outcomes}" for ms, outcomes in found.items()]
