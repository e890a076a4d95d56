"""Enqueues what is due, many occurrences in one round trip, and takes note of what is in flight."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from structlog.typing import FilteringBoundLogger

from rota.common import clock as clocks
from rota.common import message
from rota.common.clock import Clock
from rota.common.errors import StoreError, StoreUnavailable
from rota.common.intervention import Intervention
from rota.common.job import Job, job_id
from rota.common.run import Occurrence
from rota.common.service import Loop
from rota.common.store import GATED, Store
from rota.scheduler.awaited import Awaited, InFlight
from rota.scheduler.blackout import Window

_PAUSE = 0.5  # seconds between tries while a gate is open, or a server away
_BATCH = 500  # the most occurrences that one script takes, to keep every script short

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
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._store = store
        self._intervention = Intervention(store)
        self._awaited = awaited
        self._finished = finished
        self._postpone = postpone
        self._doomed: dict[str, str] = {}  # job_id and group of runs to cancel
        self._terms = terms  # the term in which we lead each group
        self._clock = clock
        self._outbox: dict[str, list[tuple[Job, Occurrence]]] = {}
        self._unsent: dict[str, str] = {}  # TENANT/JOB and job_id of what is in the outbox
        self._bodies: dict[str, tuple[Job, bytes]] = {}  # by TENANT/JOB
        self._over: set[str] = set()  # job_ids heard to be over while a round trip is under way

    def fire(self, job: Job, due_ms: int) -> None:
        """Enqueue the occurrence of `job` that is due at `due_ms`, with the next round trip."""
        run_id = job_id(job.ref, due_ms)
        occurrence = Occurrence.of(job, run_id, due_ms=due_ms, keep_ms=0, body=self._body(job))
        self._outbox.setdefault(job.group, []).append((job, occurrence))
        self._unsent[job.ref] = run_id
        self.wake()

    def skipped(self, job: Job, due_ms: int) -> None:
        """Say that an occurrence is skipped because the job's last run is not over.

        That run may wait to be enqueued, while a gate is open or the store away.
        With `overlap: cancel` that run is cancelled, and the occurrence enqueued when it is over.
        """
        if job.overlap == "cancel":
            self._supersede(job, due_ms)
            return
        last = self._last_run(job)
        self.log.warning(
            "occurrence_skipped",
            tenant=job.tenant,
            job=job.name,
            due=clocks.iso(due_ms),
            reason="not enqueued" if "waiting" in last else "overlap",
            **last,
        )

    def kept_back(self, job: Job, due_ms: int, window: Window) -> None:
        """Say that an occurrence is skipped because it falls due in a blackout."""
        self.log.info(
            "occurrence_skipped",
            tenant=job.tenant,
            job=job.name,
            due=clocks.iso(due_ms),
            reason="blackout",
            window=window.blackout.text,
        )

    def _supersede(self, job: Job, due_ms: int) -> None:
        last = self._last_run(job)
        self._postpone(job.ref, due_ms)
        self.log.info(
            "run_superseded", tenant=job.tenant, job=job.name, due=clocks.iso(due_ms), **last
        )
        for run_id in last.values():
            self._doomed[run_id] = job.group
            self.wake()

    def _last_run(self, job: Job) -> dict[str, str]:
        """Return the job's last run as the log shows it: `running`, or `waiting` to be sent."""
        found = {"running": self._awaited.job_id(job.ref), "waiting": self._unsent.get(job.ref)}
        return dict([(word, run_id) for word, run_id in found.items() if run_id][:1])

    def forget(self, group: str) -> list[InFlight]:
        """Drop what was to be enqueued in a group that we lead no more, and return it."""
        self._doomed = {run: where for run, where in self._doomed.items() if where != group}
        now = self._clock.monotonic()
        dropped = self._outbox.pop(group, [])
        self._forget_unsent(dropped)
        return [InFlight(job, run.job_id, run.due_ms, now) for job, run in dropped]

    def over(self, job_id: str) -> None:
        """Note the end of a run that nobody awaits; its enqueueing may not be answered yet."""
        if self._outbox:
            self._over.add(job_id)

    async def turn(self) -> float | None:
        """Cancel what is superseded, and enqueue the first batch of every group."""
        paused = await self._cancel()
        delay = await self._enqueue()
        return paused if delay is None else delay

    async def _cancel(self) -> float | None:
        # Not what waits to be enqueued: it is not there yet, or we do not know that it is.
        runs = [
            (group, run_id)
            for run_id, group in self._doomed.items()
            if self._unsent.get(run_id.partition(":")[0]) != run_id
        ]
        try:
            words = await self._intervention.cancel(runs, apart=True) if runs else {}
        except StoreUnavailable:
            words = {}  # other servers may take what is due: that must not wait
        for run_id, word in words.items():
            if word != GATED:
                self._doomed.pop(run_id, None)
        return _PAUSE if runs and self._doomed else None

    async def _enqueue(self) -> float | None:
        self._over.clear()
        terms = dict(self._terms())
        batches = {group: fired[:_BATCH] for group, fired in self._outbox.items()}
        if not batches:
            return None
        runs = {group: [run for _, run in batch] for group, batch in batches.items()}
        replies = await self._store.enqueue(runs, terms, apart=True)
        taken = {group for group, answers in replies.items() if answers[0][0] != GATED}
        # Only now: what the store did not answer is sent again, which it takes as the same.
        for group in taken:
            # What we have lost, or lost and got back, meanwhile, is another leader's business.
            if terms.get(group) == self._terms().get(group):
                self._settle(group, batches[group], replies[group])
        if self._outbox.keys() & taken or self._outbox.keys() - batches.keys():
            return 0
        return _PAUSE if self._outbox else None

    async def stop(self) -> None:
        """Send what is left, once, and stop."""
        await super().stop()
        reason = "a gate is open, or a server away"
        try:
            while await self.turn() == 0:
                pass
        except StoreError as error:
            reason = str(error)
        left = sum(map(len, self._outbox.values()))
        if left:
            self.log.warning("occurrences_not_sent", count=left, error=reason)

    def _settle(
        self,
        group: str,
        batch: Sequence[tuple[Job, Occurrence]],
        answers: Sequence[tuple[str, str]],
    ) -> None:
        sent = {run.job_id for _, run in batch}
        left = [fired for fired in self._outbox.pop(group, []) if fired[1].job_id not in sent]
        if left:
            self._outbox[group] = left
        self._forget_unsent(batch)
        for (job, run), (word, detail) in zip(batch, answers, strict=True):
            self._note(job, run, word, detail)

    def _forget_unsent(self, fired: Iterable[tuple[Job, Occurrence]]) -> None:
        for job, run in fired:
            if self._unsent.get(job.ref) == run.job_id:
                del self._unsent[job.ref]

    def _note(self, job: Job, run: Occurrence, word: str, detail: str) -> None:
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

    def _body(self, job: Job) -> bytes:
        known, body = self._bodies.get(job.ref, (None, b""))
        if known is not job:  # it was changed
            body = message.encode(message.request_for(job))
            self._bodies[job.ref] = job, body
        return body
