"""What one job has on its way: up to where its occurrences are told of, and what is not yet.

The store's cursor stays behind what waits. So whoever takes the group over reckons it again, from
the cursor, the last run and the calendar, and nothing that waits is kept anywhere else.
"""

from collections.abc import Iterator, Sequence

from rota.common.job import Job, job_id
from rota.common.job_ids import backfilled_ms
from rota.common.ledger import Note, Outcome
from rota.scheduler import policy, usual
from rota.scheduler.calendar import Span, spans
from rota.scheduler.finding import Ground
from rota.scheduler.line import Kind, Line, Stretch, Turn, cut, merged
from rota.scheduler.policy import ON_TIME_MS
from rota.scheduler.schedule import due_of
from rota.scheduler.standing import Standing
from rota.scheduler.teller import Teller
from rota.scheduler.withheld import WithholdOf, by_blackout

_RULES = ("overlap", "misfire", "max_lateness_ms", "max_catch_up")


class Course:
    """A job with a calendar. At any time it waits for at most one answer: to a run, or to notes."""

    __slots__ = (
        *("asked", "busy_ms", "catching", "due", "ended_ms", "job", "last", "line", "listed_ms"),
        *("next_ms", "ref", "run", "seen_ms", "since_ms", "teller", "told_ms", "withhold_of"),
    )

    def __init__(
        self, job: Job, at: Standing, now_ms: int, teller: Teller, withhold_of: WithholdOf
    ) -> None:
        self.ref = job.ref
        self.teller = teller
        self.withhold_of = withhold_of
        self.since_ms = now_ms  # from when on we lead it
        self.asked: Turn | Sequence[Note] = ()  # what was told, and is not answered
        self.catching = at.run if at.late else ""  # the run that makes up for what was missed
        self.listed_ms: int | None = None  # when the engine is to look at it
        self.line: Line = []
        self.run, self.busy_ms = at.run, at.busy_ms
        self.ended_ms, self.last = at.ended_ms, at.last
        self.told_ms = self.seen_ms = at.until_ms
        self._have(job, at.next_ms)

    def _have(self, job: Job, next_ms: int | None) -> None:
        self.job, self.due = job, due_of(job)
        self.next_ms = self.due.next_after(self.seen_ms)

    # -- what is due

    def proceed(self, now_ms: int, *, permit: bool = False) -> bool:
        """Look, and tell what can be told by now; return as `advance` does."""
        if self._fire_on_time(now_ms):
            return False
        self.look(now_ms)
        return self.advance(now_ms, permit=permit)

    def _fire_on_time(self, now_ms: int) -> bool:
        """Fire what is due, if that is the usual occurrence; tell whether it was."""
        first = self.next_ms
        if first is None or first > now_ms or self.run or self.line or self.asked:
            return False
        following = self.due.next_after(first)
        if following is not None and following <= now_ms:
            return False
        if not usual.is_usual(self.job, first, now_ms, self.ended_ms) or self.withhold_of(self.job):
            return False
        self.seen_ms, self.next_ms = now_ms, following
        self._fire(Turn(first, busy_ms=now_ms), now_ms)
        return True

    def look(self, now_ms: int) -> None:
        """Put what has fallen due in line."""
        first = self.next_ms
        if first is None or first > now_ms:
            return
        following = self.due.next_after(first)
        if following is not None and following <= now_ms:
            fallen = spans(self.job, self.seen_ms, now_ms, self.withhold_of(self.job))
            following = self.due.next_after(now_ms)
        else:
            fallen = [self._one(first)]
        found = list(self._ground().find(fallen))
        self.seen_ms, self.next_ms = now_ms, following
        for item in policy.judged(self.job, self.due, self.line, found):
            if item.kind is not Kind.MISSED:
                self.teller.decided(self.job, item, waiting=isinstance(self.asked, Turn))
        self.line = merged([*self.line, *found]) if self.line else [*found]

    def _one(self, due_ms: int) -> Span:
        why = (self.withhold_of(self.job) or by_blackout)(self.job, due_ms)
        return Span(*_once(due_ms), *(why[:2] if why else ()))

    def _ground(self) -> Ground:
        ended_ms = None if self.run else self.ended_ms
        way = self.run or self.last
        return Ground(self.job, self.due, way, self.busy_ms, ended_ms, self.since_ms)

    # -- what is told

    def advance(self, now_ms: int, *, permit: bool = False) -> bool:
        """Tell what can be told by now; return whether a permit is needed to go on.

        With a `permit` a run may make up for what was missed.
        """
        if self.asked or not self.line:
            return False
        self.line = policy.settled(self.job, self.due, self.line, now_ms)
        self._ask_again(now_ms)
        notes, self.line = policy.notes(self.job, self.line)
        if notes:
            self._note(notes)
            return False
        if not self.line or self._in_the_way():
            return False
        if not isinstance(self.line[0], Turn):
            due_ms = policy.next_run(self.job, self.line)
            if due_ms is not None and due_ms < now_ms - ON_TIME_MS:
                if self.catching or not permit:
                    return not self.catching
                self.catching = job_id(self.ref, due_ms)
            self.line = policy.released(self.job, self.due, self.line, now_ms)
            if not isinstance(self.line[0], Turn):
                return self.advance(now_ms)
        turn = self.line.pop(0)
        assert isinstance(turn, Turn)
        self._fire(turn, now_ms)
        return False

    def _ask_again(self, now_ms: int) -> None:
        """See whether what has waited is withheld by now."""
        first, withhold = self.line[0] if self.line else None, self.withhold_of(self.job)
        if withhold is None or not isinstance(first, Stretch) or not first.waits:
            return
        if withhold(self.job, first.from_ms):
            self.line = merged([*self._ground().ask(first, withhold), *self.line[1:]])

    def _in_the_way(self) -> bool:
        if not self.run or self.job.overlap == "allow":
            return False
        # What makes up for others gives way to none of these, but to what overlaps it.
        if self.job.overlap == "cancel" and policy.has(self.line, Kind.OVERLAPS):
            self.teller.cancel(self.job, self.run)
        return True

    def _note(self, notes: Sequence[Note]) -> None:
        self.asked = notes
        self.told_ms = max(self.told_ms, notes[-1].to_ms)
        self.teller.note(self.job, notes)

    def _fire(self, turn: Turn, now_ms: int) -> None:
        if not turn.busy_ms:
            turn = Turn(turn.due_ms, turn.missed, now_ms, turn.late)
        self.asked = turn
        self.told_ms = max(self.told_ms, turn.due_ms)
        self.run, self.busy_ms = job_id(self.ref, turn.due_ms), turn.busy_ms
        self.teller.fire(self.job, turn)

    # -- what is answered, and what ends

    def accepted(self) -> None:
        """Note that the store has the run; it may be over already."""
        self.asked = ()
        if self.job.overlap == "allow":
            self.run = ""

    def refused(self, run_id: str) -> None:
        """Note that another run of the job was in flight: it was in the way.

        What makes up for others was due before that run; it goes when that has ended. So does what
        a backfill is in the way of: that has to be behind what is live, and not to replace it.
        """
        turn, self.asked = self.asked, ()
        assert isinstance(turn, Turn)
        ours = job_id(self.ref, turn.due_ms)
        self.told_ms, self.run = min(self.told_ms, turn.due_ms - 1), run_id
        if turn.late or turn.missed or backfilled_ms(run_id):
            self.line.insert(0, turn._replace(busy_ms=0))
            return
        self.caught_up(ours)
        self.busy_ms = min(self.busy_ms, turn.due_ms)
        first = Stretch(Kind.OVERLAPS, *_once(turn.due_ms), way=run_id, busy_ms=self.busy_ms)
        others = [
            item._replace(way=run_id) if isinstance(item, Stretch) and item.way == ours else item
            for item in self.line
        ]
        self.line = merged([first, *others])
        self.teller.decided(self.job, first, waiting=False)

    def noted(self, note: Note, cursor_ms: int | None) -> None:
        """Note that one of the notes is recorded, or that the store's cursor is in its midst."""
        if isinstance(self.asked, Turn):
            return
        self.asked = [each for each in self.asked if each != note]
        if cursor_ms is not None:
            # Live workers have brought back a run that the store had lost: it is one of these.
            _, rest = cut(self.job, self.due, _stretch(note), cursor_ms + 1)
            self.line = self._sorted_in([rest] if rest else [])

    def finished(self, run_id: str, now_ms: int) -> None:
        """Note that a run is over."""
        self.caught_up(run_id)
        if run_id == self.run:
            self.look(now_ms)
            self.run, self.last, self.ended_ms = "", run_id, now_ms

    def caught_up(self, run_id: str) -> None:
        """Note that `run_id` makes up for nothing any more, if it did."""
        if run_id == self.catching:
            self.catching = ""

    # -- what is changed, and lost

    def change(self, job: Job) -> None:
        """Go on with `job`, which is due as before; what waits is judged by its own rules."""
        before, self.job = self.job, job
        if any(getattr(before, name) != getattr(job, name) for name in _RULES):
            self.line = list(self._until(self.told_ms))
            self.seen_ms = min(self.seen_ms, self.told_ms)
            self.next_ms = self.due.next_after(self.seen_ms)

    def close(self, changed_ms: int) -> None:
        """Tell what the job was due for until `changed_ms`; what waited will not be run."""
        self.look(changed_ms)
        until = self._until(max(changed_ms, self.told_ms))
        self.line = merged(i if isinstance(i, Turn) else i.given_up() for i in until)

    def _until(self, end_ms: int) -> Iterator[Turn | Stretch]:
        """Return what of the line is due until then; a turn that is dropped holds no permit."""
        for item in list(self.line):
            if isinstance(item, Stretch):
                part, _ = cut(self.job, self.due, item, end_ms + 1)
                yield from [part] if part else []
            elif item.due_ms <= end_ms:
                yield item
            else:
                self.caught_up(job_id(self.ref, item.due_ms))

    def inherit(self, old: "Course") -> None:
        """Go on where `old` was, which was closed: nothing that it told of is opened again."""
        for name in ("asked", "catching", "line", "run", "busy_ms", "ended_ms", "last"):
            setattr(self, name, getattr(old, name))
        self.since_ms = old.since_ms
        self.told_ms = max(old.told_ms, *(item.to_ms for item in old.line), self.told_ms)
        self.seen_ms = max(self.seen_ms, self.told_ms)
        self._have(self.job, self.next_ms)

    def again(self, due_ms: int) -> None:
        """Run the occurrence at `due_ms` once more: the store has lost its run."""
        self._not_running(due_ms)
        self.line = self._sorted_in([Turn(due_ms, busy_ms=self.busy_ms)])

    def fell_back(self, cursor_ms: int, taken: Sequence[Turn | Note]) -> None:
        """Tell a store again what it has lost: it accounts for the job until `cursor_ms` only.

        `taken` is what was told and never sent.
        """
        back = [item if isinstance(item, Turn) else _stretch(item) for item in taken]
        for item in taken:
            self.asked = ()
            if isinstance(item, Turn):
                self._not_running(item.due_ms)
        line: Line = []
        for each in self._sorted_in(back):
            line += self._lost(cursor_ms, min(each.from_ms - 1, self.told_ms))
            cursor_ms = max(cursor_ms, each.to_ms)
            line.append(each)
        self.line = merged([*line, *self._lost(cursor_ms, self.told_ms)])

    def _not_running(self, due_ms: int) -> None:
        if self.run == job_id(self.ref, due_ms):
            self.run = ""

    def _sorted_in(self, items: Sequence[Turn | Stretch]) -> Line:
        return sorted([*items, *self.line], key=lambda item: item.from_ms)

    def _lost(self, after_ms: int, until_ms: int) -> Iterator[Stretch]:
        for span in spans(self.job, after_ms, until_ms):
            yield Stretch(Kind.NOTED, *span[:3], Outcome.LOST)


def _once(due_ms: int) -> tuple[int, int, int]:
    return due_ms, due_ms, 1


def _stretch(note: Note) -> Stretch:
    return Stretch(Kind.NOTED, *note[3:6], *note[1:3], note.way)
