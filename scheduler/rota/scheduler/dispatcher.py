"""Enqueues what is due, many occurrences in one round trip, and takes note of what is in flight.

What is not run is recorded on the same way, so that every occurrence has an outcome.
"""

from collections.abc import Callable, Mapping

from structlog.typing import FilteringBoundLogger

from rota.common import clock as clocks
from rota.common import message
from rota.common.clock import Clock
from rota.common.errors import StoreError, StoreUnavailable
from rota.common.intervention import Intervention
from rota.common.job import Job, job_id
from rota.common.ledger import Note, Outcome
from rota.common.run import Occurrence
from rota.common.service import Loop
from rota.common.store import GATED, Store
from rota.scheduler.accounts import Accounts
from rota.scheduler.awaited import Awaited, InFlight
from rota.scheduler.delivery import PAUSE, Delivery
from rota.scheduler.outbox import Outbox
from rota.scheduler.tally import Tally
from rota.scheduler.withheld import Withheld, Withhold

Finished = Callable[[str, int], None]  # TENANT/JOB and the end of its run, ms
Postpone = Callable[[str, int], None]  # TENANT/JOB and the due time, ms


class Dispatcher(Loop):
    """The outbox between the engine and the store."""

    def __init__(
        self,
        *,
        store: Store,
        awaited: Awaited,
        finished: Finished,
        postpone: Postpone,
        terms: Callable[[], Mapping[str, int]],
        withhold_of: Callable[[Job], Withhold | None] = lambda _: None,
        tally: Tally | None = None,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._intervention = Intervention(store)
        self._awaited = awaited
        self._finished = finished
        self._postpone = postpone
        self._doomed: dict[str, str] = {}  # job_id and group of runs to cancel
        self._postponed: dict[str, Note] = {}  # by TENANT/JOB, how to note it if it is not fired
        self._clock = clock
        self._tally = tally or Tally(clock)
        self._outbox = Outbox()
        self._delivery = Delivery(store, self._outbox, terms)
        self._accounts = Accounts(withhold_of)
        self._bodies: dict[str, tuple[Job, bytes]] = {}  # by TENANT/JOB
        self._over: set[str] = set()  # job_ids heard to be over while a round trip is under way

    def fire(self, job: Job, due_ms: int) -> None:
        """Enqueue the occurrence of `job` that is due at `due_ms`, with the next round trip."""
        run_id = job_id(job.ref, due_ms)
        occurrence = Occurrence.of(job, run_id, due_ms=due_ms, keep_ms=0, body=self._body(job))
        self._drop_postponed(job, due_ms)
        self._account(job, due_ms, occurrence, way=run_id)

    def see_out(self, job: Job, until_ms: int) -> None:
        """Tell what `job` was due for until `until_ms`, before it is taken up as it is now."""
        postponed = self._postponed.pop(job.ref, None)
        if postponed is not None:  # it will not be fired: the engine forgets it
            self._put(job, postponed)
        self._put(job, *self._accounts.close(job, until_ms + 1))

    def take_up(self, job: Job, *, until_ms: int, now_ms: int, caught_up: bool) -> None:
        """Note that `job`, led from now on or changed, is accounted for until `until_ms`.

        `caught_up` tells that nothing is to be fired of what fell due since.
        """
        self._accounts.begin(job, until_ms, now_ms)
        if caught_up:
            self._put(job, *self._accounts.close(job, now_ms + 1))

    def hold(self, group: str) -> None:
        """Send nothing of `group`, whose store may have lost writes, until `go_on`.

        What is told next moves cursors over whatever the store has lost.
        """
        self._delivery.held.add(group)

    def go_on(self, group: str) -> None:
        """Send what there is of `group`."""
        self._delivery.held.discard(group)
        self.wake()

    def fell_back(self, job: Job, cursor_ms: int) -> None:
        """Tell a store again what it has lost: it accounts for `job` until `cursor_ms` only."""
        self._put(job, *self._accounts.again(job, cursor_ms, self._outbox.take(job)))

    def lost(self, job: Job, run_id: str) -> None:
        """Note a triggered run of `job` as lost, unless the store knows better."""
        self._put(job, Note(job.ref, Outcome.LOST, "", 0, 0, 1, run_id))

    def skipped(self, job: Job, due_ms: int) -> None:
        """Say that an occurrence is skipped because the job's last run is not over.

        That run may wait to be enqueued, while a gate is open or the store away.
        With `overlap: cancel` that run is cancelled, and the occurrence enqueued when it is over.
        """
        if job.overlap == "cancel":
            self._supersede(job, due_ms)
            return
        last = self._last_run(job)
        self._not_run(job, due_ms, Outcome.SKIPPED, "overlap", *last.values())
        self.log.warning(
            "occurrence_skipped",
            tenant=job.tenant,
            job=job.name,
            due=clocks.iso(due_ms),
            reason="not enqueued" if "waiting" in last else "overlap",
            **last,
        )

    def kept_back(self, job: Job, due_ms: int, withheld: Withheld) -> None:
        """Say that an occurrence is not run because it is withheld: by a blackout, say."""
        postponed = self._postponed.get(job.ref)
        if postponed is not None and postponed.to_ms == due_ms:
            del self._postponed[job.ref]
        self._not_run(job, due_ms, withheld.outcome, withheld.detail)
        self.log.info(
            "occurrence_skipped",
            tenant=job.tenant,
            job=job.name,
            due=clocks.iso(due_ms),
            reason=withheld.outcome.value,
            detail=withheld.detail,
        )

    def _supersede(self, job: Job, due_ms: int) -> None:
        last = self._last_run(job)
        if job.schedule.kind != "after":
            way = "".join(last.values())
            note = Note(job.ref, Outcome.SKIPPED, "overlap", due_ms, due_ms, 1, way)
            postponed = self._postponed.get(job.ref, note)
            if postponed.to_ms > due_ms:  # it was not enqueued, and what is due now is known
                self._account(job, due_ms, note)
                return
            self._drop_postponed(job, due_ms)
            self._account(job, due_ms)
            self._postponed[job.ref] = note
        self._postpone(job.ref, due_ms)
        self.log.info(
            "run_superseded", tenant=job.tenant, job=job.name, due=clocks.iso(due_ms), **last
        )
        for run_id in last.values():
            self._doomed[run_id] = job.group
            self.wake()

    def _drop_postponed(self, job: Job, due_ms: int) -> None:
        """Note that what waits for the last run's end will not be fired, unless it is now."""
        postponed = self._postponed.pop(job.ref, None)
        if postponed is not None and postponed.to_ms != due_ms:
            self._put(job, postponed)

    def _not_run(self, job: Job, due_ms: int, outcome: Outcome, detail: str, way: str = "") -> None:
        if job.schedule.kind != "after":  # it is due when it can be: nothing is left out
            self._account(job, due_ms, Note(job.ref, outcome, detail, due_ms, due_ms, 1, way))

    def _account(self, job: Job, due_ms: int, *what: Occurrence | Note, way: str = "") -> None:
        """Send what is told of the occurrence at `due_ms`, and of those that nobody told of."""
        late = self._accounts.is_past(job, due_ms)  # what is told of later ones may wait
        self._put(job, *self._accounts.close(job, due_ms, way), *what, first=late)
        self._accounts.settle(job, due_ms)

    def _put(self, job: Job, *what: Occurrence | Note, first: bool = False) -> None:
        if what:
            self._outbox.put(job, *what, first=first)
            self.wake()

    def _last_run(self, job: Job) -> dict[str, str]:
        """Return the job's last run as the log shows it: `running`, or `waiting` to be sent."""
        found = {"running": self._awaited.job_id(job.ref), "waiting": self._outbox.run(job.ref)}
        return dict([(word, run_id) for word, run_id in found.items() if run_id][:1])

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

    def leave(self, ref: str) -> None:
        """Take no more account of TENANT/JOB: we lead it no more."""
        self._accounts.forget(ref)
        self._postponed.pop(ref, None)

    def over(self, job_id: str) -> None:
        """Note the end of a run that nobody awaits; its enqueueing may not be answered yet."""
        if self._outbox:
            self._over.add(job_id)

    async def turn(self) -> float | None:
        """Cancel what is superseded, and enqueue the first batch of every group."""
        paused = await self._cancel()
        delay = await self._send()
        return paused if delay is None else delay

    async def _cancel(self) -> float | None:
        # Not what waits to be enqueued: it is not there yet, or we do not know that it is.
        runs = [
            (group, run_id)
            for run_id, group in self._doomed.items()
            if self._outbox.run(run_id.partition(":")[0]) != run_id
        ]
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
                self._noted(job, what, word, detail)
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
        if word == "deposed":
            # Another scheduler leads the group now, and fires what is due.
            self.log.warning("occurrence_not_sent", job_id=run.job_id, reason="deposed")
            return
        if word == "past":
            # Another scheduler's, or ours before a restart, and it is over.
            self._finished(job.ref, self._clock.now_ms())
            return
        if word == "shed":
            self.log.warning(
                "occurrence_shed",
                tenant=job.tenant,
                job=job.name,
                due=clocks.iso(run.due_ms),
                reason="max_backlog",
            )
            self._finished(job.ref, self._clock.now_ms())
            return
        # A completion may overtake the answer, as it comes by another connection.
        if detail not in self._over:
            self._awaited.add(
                InFlight(job, detail, run.due_ms if word != "busy" else 0, self._clock.monotonic())
            )
        if word == "busy":
            self.skipped(job, run.due_ms)
        else:
            self.log.debug("run_enqueued", tenant=job.tenant, job=job.name, job_id=run.job_id)

    def _noted(self, job: Job, note: Note, word: str, cursor: str) -> None:
        if word == "partly":
            # Live workers have brought back a run that the store had lost: it is one of these.
            rest = self._accounts.notes(job, int(cursor), note.to_ms, note.way)
            self._put(job, *rest, first=True)

    def _body(self, job: Job) -> bytes:
        known, body = self._bodies.get(job.ref, (None, b""))
        if known is not job:  # it was changed
            body = message.encode(message.request_for(job))
            self._bodies[job.ref] = job, body
        return body
