"""Tells the store what the engine has decided, many occurrences in one round trip.

What it answers goes back to the engine, and what is in flight from then on is taken note of.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from rota.common import message
from rota.common.clock import Clock
from rota.common.errors import StoreError, StoreUnavailable
from rota.common.intervention import Intervention
from rota.common.job import Job, job_id
from rota.common.ledger import Note, Outcome
from rota.common.run import Occurrence
from rota.common.service import Loop
from rota.common.store import GATED, Store
from rota.scheduler import herald
from rota.scheduler.awaited import Awaited, InFlight
from rota.scheduler.delivery import PAUSE, Delivery
from rota.scheduler.line import Stretch, Turn
from rota.scheduler.outbox import Outbox
from rota.scheduler.sparing import Sparing
from rota.scheduler.tally import Tally


class Answered(Protocol):
    """Who hears what the store answered: the engine. Due times are in ms."""

    def accepted(self, ref: str, due_ms: int) -> None:
        """Note that the run of TENANT/JOB that was due at `due_ms` is enqueued."""
        ...

    def refused(self, ref: str, due_ms: int, run_id: str) -> None:
        """Note that it is not, as another run of the job is in flight."""
        ...

    def over(self, ref: str, due_ms: int) -> None:
        """Note that it is over for good: it was before, or it is shed."""
        ...

    def noted(self, note: Note, cursor_ms: int | None = None) -> None:
        """Note that a note is recorded; or nothing of it, as the job's cursor is in its midst."""
        ...


class Dispatcher(Loop):
    """The outbox between the engine and the store."""

    def __init__(
        self,
        *,
        store: Store,
        awaited: Awaited,
        answered: Callable[[], Answered],
        terms: Callable[[], Mapping[str, int]],
        tally: Tally | None = None,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._intervention = Intervention(store)
        self._awaited = awaited
        self._answered = answered
        self._doomed: dict[str, str] = {}  # job_id and group of runs to cancel
        self._clock = clock
        self._sparing = Sparing(clock)
        self._tally = tally or Tally(clock)
        self._outbox = Outbox()
        self._terms = terms
        self._delivery = Delivery(store, self._outbox, terms)
        self._bodies: dict[str, tuple[Job, bytes]] = {}  # by TENANT/JOB
        self._over: set[str] = set()  # job_ids heard to be over while a round trip is under way

    # -- what the engine tells

    def fire(self, job: Job, turn: Turn) -> None:
        """Enqueue a run of `job`, with the next round trip."""
        run_id = job_id(job.ref, turn.due_ms)
        body = self._body(job, turn)
        due_ms, busy_ms = turn.due_ms, turn.busy_ms
        run = Occurrence.of(job, run_id, due_ms=due_ms, keep_ms=0, body=body, busy_ms=busy_ms)
        self._put(job, run._replace(priority="low") if turn.late else run)

    def note(self, job: Job, notes: Sequence[Note]) -> None:
        """Record notes on occurrences of `job`, with the next round trip."""
        self._put(job, *notes)

    def cancel(self, job: Job, run_id: str) -> None:
        """Cancel a run of `job` that is in the way of the next one."""
        self._doomed[run_id] = job.group
        self.wake()

    def decided(self, job: Job, what: Stretch, *, waiting: bool) -> None:
        """Log what was found of occurrences of `job` that are not run at once.

        Of very many only some: the ledger has them all.
        """
        if left_out := self._sparing.take():
            self.log.warning("occurrences_not_shown", count=left_out, shown_by="sched runs")
        if self._sparing.allows():
            herald.tell(self.log, job, what, waiting=waiting)

    def take(self, job: Job) -> list[Turn | Note]:
        """Take back what is told of `job` and was not sent."""
        taken = self._outbox.take(job)
        return [_turn(job, what) if isinstance(what, Occurrence) else what for what in taken]

    # -- what others tell

    def term(self, group: str) -> int:
        """Return the term in which we lead `group`; 0 if we do not."""
        return self._terms().get(group, 0)

    def hold(self, group: str) -> None:
        """Send nothing of `group`, whose store may have lost writes, until `go_on`.

        What is told next moves cursors over whatever the store has lost.
        """
        self._delivery.held.add(group)

    def go_on(self, group: str) -> None:
        """Send what there is of `group`."""
        self._delivery.held.discard(group)
        self.wake()

    def lost(self, job: Job, run_id: str, due_ms: int) -> None:
        """Note a run of `job` as lost, unless the store knows better; `due_ms` is 0 if triggered.

        That is for runs that no cursor stands for.
        """
        self._put(job, Note(job.ref, Outcome.LOST, "", 0, due_ms, 1, run_id))

    def forget(self, group: str) -> list[InFlight]:
        """Drop what was to be enqueued in a group that we lead no more, and return it."""
        self._doomed = {run: where for run, where in self._doomed.items() if where != group}
        now = self._clock.monotonic()
        dropped = self._outbox.drop(group)
        return [
            InFlight(job, run.job_id, run.due_ms, now)
            for job, run in dropped
            if isinstance(run, Occurrence)
        ]

    def over(self, job_id: str) -> None:
        """Note the end of a run that nobody awaits; its enqueueing may not be answered yet."""
        if self._outbox:
            self._over.add(job_id)

    # -- the loop

    async def turn(self) -> float | None:
        """Cancel what is superseded, and tell the first batch of every group."""
        paused = await self._cancel()
        delay = await self._send()
        return paused if delay is None else delay

    async def _cancel(self) -> float | None:
        # Not what waits to be enqueued: it is not there yet, or we do not know that it is.
        doomed = self._doomed.items()
        runs = [(group, run_id) for run_id, group in doomed if not self._outbox.has(run_id)]
        try:
            words = await self._intervention.cancel(runs, apart=True) if runs else {}
        except StoreUnavailable:
            words = {}  # other servers may take what is due: that must not wait
        for run_id, word in words.items():
            if word != GATED:
                self._doomed.pop(run_id, None)
        return PAUSE if runs and self._doomed else None

    async def _send(self) -> float | None:
        self._over.clear()
        told, delay = await self._delivery.turn()
        for (job, what), word, detail in told:
            self._tally.told(what, word)
            if isinstance(what, Occurrence):
                self._enqueued(job, what, word, detail)
            else:
                self._answered().noted(what, int(detail) if word == "partly" else None)
        return 0 if told and self._outbox else delay

    async def stop(self) -> None:
        """Send what is left, once, and stop."""
        await super().stop()
        reason = "a gate is open, or a server away"
        try:
            while await self.turn() == 0:
                pass
        except StoreError as error:
            reason = str(error)
        left = len(self._outbox)
        if left:
            self.log.warning("occurrences_not_sent", count=left, error=reason)

    def _enqueued(self, job: Job, run: Occurrence, word: str, detail: str) -> None:
        answered = self._answered()
        if word == "deposed":
            # Another scheduler leads the group now, and fires what is due.
            self.log.warning("occurrence_not_sent", job_id=run.job_id, reason="deposed")
        elif word == "past":
            # Another scheduler's, or ours before a restart, and it is over.
            answered.over(job.ref, run.due_ms)
        elif word == "shed":
            herald.shed(self.log, job, run.due_ms)
            answered.over(job.ref, run.due_ms)
        elif word == "busy" and detail in self._over:
            self._put(job, run)  # nobody would hear of the end of what was in the way
        elif word == "busy":
            self._await(job, detail, 0)
            answered.refused(job.ref, run.due_ms, detail)
        else:
            self.log.debug("run_enqueued", tenant=job.tenant, job=job.name, job_id=run.job_id)
            self._await(job, detail, run.due_ms)
            answered.accepted(job.ref, run.due_ms)

    def _await(self, job: Job, run_id: str, due_ms: int) -> None:
        # A completion may overtake the answer, as it comes by another connection.
        if run_id not in self._over:
            self._awaited.add(InFlight(job, run_id, due_ms, self._clock.monotonic()))

    def _put(self, job: Job, *what: Occurrence | Note) -> None:
        self._outbox.put(job, *what)
        self.wake()

    def _body(self, job: Job, turn: Turn) -> bytes:
        if turn.missed:
            return message.encode(message.request_for(job, turn.missed))
        known, body = self._bodies.get(job.ref, (None, b""))
        if known is not job:  # it was changed
            body = message.encode(message.request_for(job))
            self._bodies[job.ref] = job, body
        return body


def _turn(job: Job, run: Occurrence) -> Turn:
    missed = message.decode_request(run.body).missed
    return Turn(run.due_ms, missed, run.busy_ms, late=run.priority != job.priority)
