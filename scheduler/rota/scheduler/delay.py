"""The course of a job with a fixed delay: it is due when its last run has ended for a while."""

from rota.common.job import Job
from rota.common.ledger import Note, Outcome
from rota.scheduler.blackout import blackout_at, opening
from rota.scheduler.course import Course
from rota.scheduler.line import Kind, Stretch, Turn
from rota.scheduler.schedule import due_of


class Delay(Course):
    """A job that has no calendar: nothing is left out, so nothing but its runs is told."""

    __slots__ = ()

    def _have(self, job: Job, next_ms: int | None) -> None:
        self.job, self.due = job, due_of(job)
        self.next_ms = next_ms

    def look(self, now_ms: int) -> None:
        """Put it in line if it has fallen due, unless that is withheld or its run is not over."""
        if self.next_ms is None or self.next_ms > now_ms:
            return
        due_ms, self.next_ms = self.next_ms, None
        times = (due_ms, due_ms, 1)
        window = blackout_at(self.job, due_ms)
        why = self.withhold(self.job, due_ms) if self.withhold else None
        if window is not None:
            self.next_ms = opening(self.job, due_ms)
            self._decided(Stretch(Kind.NOTED, *times, Outcome.BLACKOUT, window.blackout.text))
        elif why is not None:
            self.next_ms = now_ms + self.job.schedule.period_ms
            self._decided(Stretch(Kind.NOTED, *times, why.outcome, why.detail))
        elif self.run:
            self._overlaps(due_ms)
        else:
            self.line.append(Turn(due_ms))

    def _decided(self, what: Stretch) -> None:
        self.teller.decided(self.job, what, waiting=isinstance(self.asked, Turn))

    def _overlaps(self, due_ms: int) -> None:
        self._decided(Stretch(Kind.OVERLAPS, due_ms, due_ms, 1, way=self.run))
        if self.job.overlap == "cancel":
            self.teller.cancel(self.job, self.run)

    def refused(self, run_id: str) -> None:
        """Note that another run of the job was in flight: the delay counts from its end on."""
        turn, self.asked = self.asked, ()
        assert isinstance(turn, Turn)
        self.run = run_id
        self._overlaps(turn.due_ms)

    def noted(self, note: Note, cursor_ms: int | None) -> None:
        """Note that a note from when the job had a calendar is recorded, as far as it can be."""
        super().noted(note, None)

    def finished(self, run_id: str, now_ms: int) -> None:
        """Let the delay begin with the end of a run, also of one that somebody triggered."""
        if self.run in ("", run_id):
            self.run = ""
            self.line = [item for item in self.line if isinstance(item, Stretch)]
            self.next_ms = now_ms + self.job.schedule.period_ms

    def close(self, changed_ms: int) -> None:
        """Drop what waits: it is due again by the new schedule."""
        self.line = [item for item in self.line if isinstance(item, Stretch)]

    def change(self, job: Job) -> None:
        """Go on with `job`, which is due as before."""
        self.job = job
