"""The course of a job with a fixed delay: it is due when its last run has ended for a while."""

from rota.common.job import Job
from rota.common.ledger import Note
from rota.scheduler.course import Course
from rota.scheduler.line import Kind, Stretch, Turn
from rota.scheduler.schedule import due_of
from rota.scheduler.withheld import Withheld, by_blackout, opening


class Delay(Course):
    """A job that has no calendar: nothing is left out, so nothing but its runs is told."""

    __slots__ = ("kept_back",)

    def _have(self, job: Job, next_ms: int | None) -> None:
        self.job, self.due = job, due_of(job)
        self.kept_back = False  # whether it would be due, and was withheld
        self.next_ms = next_ms

    def look(self, now_ms: int) -> None:
        """Put it in line if it has fallen due, unless that is withheld or its run is not over."""
        if self.next_ms is None or self.next_ms > now_ms:
            return
        due_ms, self.next_ms, self.kept_back = self.next_ms, None, False
        times = (due_ms, due_ms, 1)
        why = self._withheld(due_ms)
        if why is not None:
            self.next_ms, self.kept_back = opening(self._withheld, due_ms), True
            self._decided(Stretch(Kind.NOTED, *times, *why[:2]))
        elif self.run:
            self._overlaps(due_ms)
        else:
            self.line.append(Turn(due_ms))

    def look_again(self, now_ms: int) -> bool:
        """Tell whether it was withheld, and is so no more: then it is due now."""
        if not self.kept_back or self._withheld(now_ms) is not None:
            return False
        self.next_ms, self.kept_back = now_ms, False
        return True

    def _withheld(self, ms: int) -> Withheld | None:
        return (self.withhold_of(self.job) or by_blackout)(self.job, ms)

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
            self.next_ms, self.kept_back = now_ms + self.job.schedule.period_ms, False

    def close(self, changed_ms: int) -> None:
        """Drop what waits: it is due again by the new schedule."""
        self.line = [item for item in self.line if isinstance(item, Stretch)]

    def change(self, job: Job) -> None:
        """Go on with `job`, which is due as before."""
        self.job = job
