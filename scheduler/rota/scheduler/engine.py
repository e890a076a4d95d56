"""Decides what is due: one course for each job, and a heap of when to look at which.

All that is due at one time is handled in one go, and what makes up for missed occurrences comes
behind it. The engine has no clock but the one that it is given, and waits for nothing itself.
"""

from collections.abc import Callable, Mapping, Sequence

from rota.common.clock import Clock
from rota.common.job import Job, job_id
from rota.common.ledger import Note
from rota.scheduler import pace
from rota.scheduler.agenda import Agenda
from rota.scheduler.alarm import Alarm
from rota.scheduler.budget import Budget
from rota.scheduler.course import Course
from rota.scheduler.delay import Delay
from rota.scheduler.line import Turn
from rota.scheduler.standing import Standing
from rota.scheduler.teller import Teller
from rota.scheduler.withheld import WithholdOf

Take = Callable[[Job], Sequence[Turn | Note]]  # takes back what is told of a job and was not sent


_AT_A_TIME = 250  # jobs that are looked at before others have their turn


class Engine:
    """Tells each occurrence of the jobs that it has: that it is to be run, or why it is not.

    `withhold_of` tells whom to ask whether an occurrence is kept from being run: when it falls due,
    and again when it is to be run after it had to wait. If that is nobody, only blackouts do that.
    """

    def __init__(
        self, *, tell: Teller, clock: Clock, withhold_of: WithholdOf = lambda _: None
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._withhold_of = withhold_of
        self._courses: dict[str, Course] = {}  # by TENANT/JOB
        self._agenda = Agenda()  # when to look, and at which
        self._budget = Budget()
        self._rested_ms = 0  # when the next turn may be
        self._stopped = False
        self._alarm = Alarm(self.turn, clock=clock)

    # -- which jobs

    def add(self, job: Job, at: Standing) -> None:
        """Begin with `job`; all that it was due for since is looked at in the next turn."""
        course = self._begin(job, at)
        if course.catching:
            self._budget.give(job.group, job.ref, course.catching)
        self._look_at(course)
        self._set_alarm()

    def change(self, job: Job) -> None:
        """Go on with `job` as it is now, if it is there: it is due when it was due anyway."""
        course = self._courses.get(job.ref)
        if course is not None:
            course.change(job)
            self._look_at(course)
            self._set_alarm()

    def retime(self, job: Job, at: Standing, changed_ms: int) -> None:
        """Go on with `job`, which is due otherwise since `changed_ms`. Its run goes on.

        What it was due for before is told; what waited to be run then will not be.
        """
        old = self._courses[job.ref]
        old.close(changed_ms)
        course = self._begin(job, at)
        course.inherit(old)
        self._go_on(course)

    def remove(self, ref: str) -> None:
        """Forget TENANT/JOB; harmless if it is unknown. Its run goes on."""
        course = self._courses.pop(ref, None)
        if course is not None:
            self._budget.forget(course.job.group, ref)

    def limit(self, limits: Mapping[str, int]) -> None:
        """Have at most so many runs of a group at a time that make up for what was missed."""
        self._budget.limit(limits)

    def run(self, ref: str) -> str:
        """Return the run of TENANT/JOB that is under way, or to be enqueued; empty if none is."""
        course = self._courses.get(ref)
        return course.run if course else ""

    def next_ms(self, ref: str) -> int | None:
        """Return when TENANT/JOB is due next; None if that waits for its run to end."""
        course = self._courses.get(ref)
        return course.next_ms if course else None

    @property
    def look_ms(self) -> int | None:
        """Return when it is to look at the first of its jobs, or earlier; None if at none."""
        return self._agenda.first_ms

    def is_idle(self, ref: str) -> bool:
        """Tell whether TENANT/JOB has no run under way, and nothing that waits or is to be told."""
        course = self._courses.get(ref)
        return course is not None and not (course.run or course.asked or course.line)

    # -- permits of others

    def borrow(self, group: str, name: str, run_id: str) -> bool:
        """Let `name` have a permit for a run, if one is left when all jobs have theirs."""
        if self._budget.spare(group):
            self._budget.give(group, name, run_id)
        return self._budget.has(group, name)

    def lend(self, group: str, name: str, run_id: str) -> None:
        """Count a run of `name` that is under way anyway."""
        self._budget.give(group, name, run_id)

    def give_back(self, group: str, name: str) -> None:
        """Let a job have the permit of `name`, if it has one."""
        if self._budget.has(group, name):
            self._budget.give_back(group, name)
        if not self._stopped:
            self._catch_up(group, self._clock.now_ms())

    # -- what is due

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._alarm.start()

    def stop(self) -> None:
        """Tell nothing more."""
        self._stopped = True
        self._alarm.stop()

    def turn(self) -> None:
        """Handle what is due by now: first what is on time, then what was missed.

        Of very many the rest has its turn when others have had theirs, for as long.
        """
        now_ms, began = self._clock.now_ms(), self._clock.monotonic()
        groups: set[str] = set()
        looked = 0
        while looked < _AT_A_TIME and not self._stopped and (one := self._agenda.take(now_ms)):
            looked += 1
            due_ms, ref = one
            course = self._courses.get(ref)
            if course is not None and course.listed_ms == due_ms:
                course.listed_ms = None
                self._advance(course, now_ms)
                self._look_at(course)
                groups.add(course.job.group)
        for group in sorted(groups):
            self._catch_up(group, now_ms)
        self._rest(looked, began)
        self._set_alarm()

    def _rest(self, looked: int, began: float) -> None:
        """Let some time pass until the next turn, of which the first one after a pause has none."""
        took_ms = round((self._clock.monotonic() - began) * 1000)
        rest_ms = took_ms if looked == _AT_A_TIME else pace.rest_ms(looked)
        self._rested_ms = self._clock.now_ms() + rest_ms

    def finished(self, ref: str, run_id: str, ended_ms: int) -> None:
        """Note that a run of TENANT/JOB is over; a fixed delay starts to count from now."""
        course = self._courses.get(ref)
        if course is not None:
            course.finished(run_id, ended_ms)
            self._go_on(course)

    def look_again(self) -> None:
        """Let the fixed delays be due now that were withheld, and are so no more."""
        now_ms = self._clock.now_ms()
        for course in list(self._courses.values()):
            if isinstance(course, Delay) and course.look_again(now_ms):
                self._go_on(course)

    # -- what the store answered

    def accepted(self, ref: str, due_ms: int) -> None:
        """Note that the run of TENANT/JOB that was due at `due_ms` is enqueued."""
        course = self._asked(ref, due_ms)
        if course is not None:
            course.accepted()
            self._go_on(course)

    def refused(self, ref: str, due_ms: int, run_id: str) -> None:
        """Note that it is not, as another run of the job is in flight."""
        course = self._asked(ref, due_ms)
        if course is not None:
            course.refused(run_id)
            self._go_on(course)

    def over(self, ref: str, due_ms: int) -> None:
        """Note that it is over for good: it was before, or it is shed."""
        course = self._asked(ref, due_ms)
        if course is not None:
            course.accepted()
            course.finished(job_id(ref, due_ms), self._clock.now_ms())
            self._go_on(course)

    def noted(self, note: Note, cursor_ms: int | None = None) -> None:
        """Note that a note is recorded; or nothing of it, as the job's cursor is in its midst."""
        course = self._courses.get(note.ref)
        if course is not None:
            course.noted(note, cursor_ms)
            self._go_on(course)

    def again(self, job: Job, due_ms: int) -> None:
        """Enqueue a run of `job` once more that the store has lost."""
        course = self._courses.get(job.ref)
        if course is not None:
            course.again(due_ms)
            self._go_on(course)

    def fell_back(self, ref: str, cursor_ms: int, take: Take) -> None:
        """Tell a store again what it has lost: it accounts for TENANT/JOB until `cursor_ms`."""
        course = self._courses.get(ref)
        if course is not None and course.job.schedule.kind != "after":
            course.fell_back(cursor_ms, take(course.job))
            self._go_on(course)

    # -- how

    def _begin(self, job: Job, at: Standing) -> Course:
        kind = Delay if job.schedule.kind == "after" else Course
        course = kind(job, at, self._clock.now_ms(), self._tell, self._withhold_of)
        self._courses[course.ref] = course
        return course

    def _asked(self, ref: str, due_ms: int) -> Course | None:
        """Return the course that waits for an answer to this run; None if it is another one now."""
        course = self._courses.get(ref)
        asked = course.asked if course else None
        return course if isinstance(asked, Turn) and asked.due_ms == due_ms else None

    def _go_on(self, course: Course) -> None:
        if self._stopped:
            return
        now_ms, due_ms = self._clock.now_ms(), course.next_ms
        has_permit = self._budget.has(course.job.group, course.ref)
        if course.line or has_permit or (due_ms is not None and due_ms <= now_ms):
            self._advance(course, now_ms)
        self._look_at(course)
        self._catch_up(course.job.group, now_ms)
        self._set_alarm()

    def _advance(self, course: Course, now_ms: int, *, permit: bool = False) -> None:
        ref, group = course.ref, course.job.group
        if course.proceed(now_ms, permit=permit):
            self._budget.ask(group, ref)
        if course.catching:
            self._budget.give(group, ref, course.catching)
        else:
            self._budget.give_back(group, ref)

    def _catch_up(self, group: str, now_ms: int) -> None:
        while ref := self._budget.next(group):
            course = self._courses.get(ref)
            if course is not None and course.job.group == group:
                self._advance(course, now_ms, permit=True)

    def _look_at(self, course: Course) -> None:
        """Have the course in the heap under the time at which it is due next."""
        if course.next_ms != course.listed_ms:
            course.listed_ms = course.next_ms
            if course.next_ms is not None:
                self._agenda.add(course.next_ms, course.ref)

    def _set_alarm(self) -> None:
        first_ms = self._agenda.first_ms
        self._alarm.set(None if first_ms is None else max(first_ms, self._rested_ms))
