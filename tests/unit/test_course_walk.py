"""A random walk of one job's course: answers come late, runs are triggered, leaders change."""

from collections.abc import Sequence
from random import Random
from typing import Any, get_args

import pytest

from rota.common import job_ids
from rota.common.job import Blackout, Job, Misfire, Overlap, job_id
from rota.common.ledger import Note
from rota.scheduler.course import Course
from rota.scheduler.line import Stretch, Turn
from rota.scheduler.schedule import due_of
from rota.scheduler.standing import Standing
from tests.support.definitions import job
from tests.support.moment import HOUR, MINUTE, ms

BEGIN = ms("2026-11-23T09:00")
DARK = (Blackout(between="11:00..11:35"), Blackout(between="14:20..15:05"))


class Walk:
    """A course, and a store that does with what it is told what the scripts do."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = BEGIN
        self.job = self._job()
        self.due = due_of(self.job)
        self.cursor = BEGIN
        self.run, self.last = "", ""
        self.others: list[str] = []  # in flight beside the last one
        self.busy = self.ended = 0
        self.told: dict[int, list[str]] = {}
        self.sent: list[Turn | Note] = []
        self.triggered = 0
        self.cancelled = ""
        self.course = self._taken_up()
        self.beside = self.job.overlap  # that it had when the copy was taken
        self.remember()

    def _job(self) -> Job:
        rules: dict[str, Any] = {
            "overlap": self.random.choice(get_args(Overlap)),
            "misfire": self.random.choice(get_args(Misfire)),
            "max_lateness_ms": self.random.choice([0, 0, 40 * MINUTE]),
            "max_catch_up": self.random.choice([1, 3, 100]),
        }
        return job(every="5m", phase_ms=0, blackouts=self.random.choice([DARK, ()]), **rules)

    def _taken_up(self) -> Course:
        at = Standing(self.cursor, self.run, self.busy, self.ended, self.last)
        return Course(self.job, at, self.now, self, lambda _: None)

    # -- what the course tells

    def fire(self, job: Job, turn: Turn) -> None:
        """Send a run, when it comes to that."""
        assert not self.sent
        self.sent.append(turn)

    def note(self, job: Job, notes: Sequence[Note]) -> None:
        """Send notes, when it comes to that."""
        assert not self.sent
        self.sent += notes

    def cancel(self, job: Job, run_id: str) -> None:
        """Cancel a run, when it comes to that."""
        self.cancelled = run_id

    def decided(self, job: Job, what: Stretch, *, waiting: bool) -> None:
        """Log nothing."""

    # -- steps

    def step(self) -> None:
        """Do one thing at random."""
        self.random.choice(
            [self.wait, self.wait, *[self.deliver] * 4, self.end, self.end, self.trigger]
            + [self.take_over] * (self.random.random() < 0.1)
            + [self.change] * (self.random.random() < 0.2)
            + [self.remember] * (self.random.random() < 0.3)
            + [self.lose] * (self.random.random() < 0.2)
        )()
        self.course.proceed(self.now, permit=self.random.random() < 0.5)

    def wait(self) -> None:
        """Let time pass, now and then much of it."""
        self.now += self.random.choice([1_000, 4 * MINUTE, 7 * MINUTE, 26 * MINUTE])

    def deliver(self) -> None:
        """Let the store take the first of what was sent, and answer."""
        if not self.sent:
            return
        what = self.sent.pop(0)
        if isinstance(what, Note):
            self.course.noted(what, self._record(what))
        elif self.run and self.job.overlap != "allow":
            self.course.refused(self.run)
        else:
            run_id = job_id(self.job.ref, what.due_ms)
            fresh = what.due_ms > self.cursor
            if fresh:
                self._tell("run", what.due_ms)
                self.others += [self.run] if self.run else []
                self.run, self.busy, self.cursor = run_id, what.busy_ms, what.due_ms
            self.course.accepted()
            if not fresh:
                self.course.finished(run_id, self.now)

    def _record(self, note: Note) -> int | None:
        if note.from_ms <= self.cursor < note.to_ms:
            return self.cursor
        moment: int | None = note.from_ms
        while note.to_ms > self.cursor and moment is not None and moment <= note.to_ms:
            self._tell(note.outcome, moment)
            moment = self.due.next_after(moment)
        self.cursor = max(self.cursor, note.to_ms)
        return None

    def _tell(self, outcome: str, due_ms: int) -> None:
        assert due_ms not in self.told, (due_ms, outcome, self.told[due_ms])
        assert due_ms > max(self.told, default=0)
        self.told[due_ms] = [outcome]

    def end(self) -> None:
        """Let the run in flight end, and that be heard."""
        if self.others and self.random.random() < 0.7:
            self.course.finished(self.others.pop(0), self.now)
            return
        run_id, self.run = self.run, ""
        if run_id:
            self.last, self.ended = run_id, self.now
            self.course.finished(run_id, self.now)

    def trigger(self) -> None:
        """Let somebody trigger a run, if none is in flight."""
        if not self.run and self.random.random() < 0.2:
            self.triggered += 1
            self.run, self.busy = f"{self.job.ref}:manual-{self.triggered}", self.now

    def take_over(self) -> None:
        """Let another scheduler go on, perhaps after a while in which the run may end."""
        self.sent = []
        self.now += self.random.choice([0, 6_000, HOUR])
        if self.random.random() < 0.5 and self.run:
            self.last, self.ended, self.run = self.run, self.now - 1_000, ""
        self.now += self.random.choice([0, HOUR])
        self.course = self._taken_up()

    def remember(self) -> None:
        """Take a copy of the store to go back to."""
        self.beside = self.job.overlap
        self.copy = (self.cursor, dict(self.told), self.run, self.busy, self.ended, self.last)

    def lose(self) -> None:
        """Let the store lose its last writes, of which the scheduler knows."""
        cursor, told, run, *_ = self.copy
        if self.others or run not in ("", self.run) or "allow" in (self.job.overlap, self.beside):
            return
        flying, taken, self.sent = self.run, self.sent, []
        self.cursor, self.told, self.run, self.busy, self.ended, self.last = self.copy
        self.told = dict(told)
        if flying and flying != run:
            due_ms = job_ids.due_of(flying.partition(":")[2])
            if due_ms > cursor:
                self.course.again(due_ms)
            else:
                self.course.finished(flying, self.now)
        self.course.fell_back(cursor, taken)

    def change(self) -> None:
        """Change the job's policies."""
        self.job = self._job()
        self.course.change(self.job)

    def drain(self) -> None:
        """Let all that waits come to its turn."""
        for _ in range(2_000):
            self.deliver()
            if not self.sent:
                self.end()
            self.course.advance(self.now, permit=True)
            if not (self.sent or self.course.line or self.course.asked or self.run or self.others):
                return
        raise AssertionError(f"something waits for ever: {self.course.line} {self.course.asked}")


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_walk(first: int) -> None:
    """Each occurrence has exactly one outcome, in order, and in the end nothing waits."""
    for seed in range(first, first + 100):
        walk = Walk(seed)
        for _ in range(150):
            walk.step()
        walk.drain()
        expected, moment = list[int](), walk.due.next_after(BEGIN)
        while moment is not None and moment <= walk.now:
            expected.append(moment)
            moment = walk.due.next_after(moment)

        assert expected == list(walk.told), f"seed {seed}: {walk.job}"
