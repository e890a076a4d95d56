"""What a scheduler does for one group while it leads it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from structlog.typing import FilteringBoundLogger

from rota.common import service
from rota.common.catalog import Catalog, Slot
from rota.common.clock import Clock
from rota.common.job import Job
from rota.common.message import Completion
from rota.common.service import Loop
from rota.common.store import Store
from rota.scheduler.applied import UNKNOWN, Since, timing
from rota.scheduler.auditor import Auditor
from rota.scheduler.awaited import Awaited, InFlight
from rota.scheduler.backfiller import Backfiller
from rota.scheduler.care import Care
from rota.scheduler.dispatcher import Dispatcher
from rota.scheduler.engine import Engine
from rota.scheduler.listener import Heard, Listener
from rota.scheduler.reconciler import Reconciler
from rota.scheduler.standing import standing, without_backfill
from rota.scheduler.successor import Successor
from rota.scheduler.sweeper import Sweeper
from rota.scheduler.withholding import Withholding

_STEP = 0.005  # seconds in which jobs are taken up before others have their turn
_CHUNK = 200  # jobs whose slots are read in one go, shortly before they are changed or compared


class LedGroup:
    """The jobs of one group in the engine, and the loops that look after their runs."""

    def __init__(
        self,
        group: str,
        *,
        store: Store,
        catalog: Catalog,
        engine: Engine,
        dispatcher: Dispatcher,
        awaited: Awaited,
        withholding: Withholding,
        clock: Clock,
        log: FilteringBoundLogger,
        also: Heard | None,
        watch: Callable[[Loop], asyncio.Task[None]],
        lease_ms: int,
    ) -> None:
        self._group = group
        self._jobs: Sequence[Job] = ()
        self._since: Mapping[str, Since] = {}
        self._held: dict[str, Job] = {}  # what is in the engine, by TENANT/JOB
        self._leading = False  # whether the group was begun
        self._changing = asyncio.Lock()  # held by whoever puts jobs into the engine
        self._store = store
        self._catalog = catalog
        self._engine, self._dispatcher = engine, dispatcher
        self._awaited, self._withholding = awaited, withholding
        self._clock, self._log = clock, log
        self._also, self._watch = also, watch
        self._lease_ms = lease_ms
        self._care: Care | None = None  # while we lead
        self._watching: list[asyncio.Task[None]] = []
        self._left: dict[str, InFlight] = {}  # what was under way when we ceased to lead
        self._closed_at = 0.0  # monotonic seconds at which the gate is closed
        self._closing: asyncio.TimerHandle | None = None  # tells so
        store.epochs.reopened.append(self._reopened)

    async def begin(self) -> int:
        """Take up where the store says the last leader was; return how many runs are adopted.

        What we had sent ourselves and the store does not know is awaited, too: when the gate has
        closed the auditor finds out what became of it.
        """
        async with self._changing:
            # Before the slots are read: a run that ends in between is then heard of.
            after = await self._store.last_completion(self._group)
            slots = await self._catalog.slots(self._group, [job.ref for job in self._jobs])
            opened_ms = await self._catalog.opened_ms(self._group)
            self._care = care = self._build_care(after)
            adopted = await self._take_up_all(slots, opened_ms)
            self._leading = True
        if self._left:
            self._dispatcher.hold(self._group)
            care.auditor.reopened(max(0.0, self._closed_at - self._clock.monotonic()))
        self._left = {}
        for loop in care:
            self._watching.append(self._watch(loop))
            await loop.start()
        return adopted

    async def end(self) -> None:
        """Fire no more in this group. Its runs in flight go on; the next leader adopts them.

        That may be us, on a store that has forgotten them: we keep in mind what they were.
        """
        self._leading = False
        self.drop(list(self._held))
        left = [*self._dispatcher.forget(self._group), *self._awaited.forget(self._group)]
        self._left |= {run.job.ref: run for run in left}
        care, self._care = self._care, None
        self._dispatcher.go_on(self._group)
        for task in self._watching:
            task.cancel()
        self._watching = []
        await asyncio.gather(*(loop.stop() for loop in care or ()))

    def close(self) -> None:
        """Hear no more of the group's store."""
        self._store.epochs.reopened.remove(self._reopened)
        if self._closing is not None:
            self._closing.cancel()

    @property
    def held(self) -> set[str]:
        """Return TENANT/JOB of each job that is in the engine."""
        return set(self._held)

    def drop(self, refs: Iterable[str]) -> None:
        """Fire these of the group's jobs no more, TENANT/JOB each; their runs in flight go on."""
        for ref in refs:
            if self._held.pop(ref, None) is not None:
                self._engine.remove(ref)
                self._withholding.leave(ref)

    async def follow(self, jobs: Sequence[Job], since: Mapping[str, Since]) -> None:
        """Have these jobs from now on; of those in the engine only what differs is touched.

        After a `StoreError` call it again: it goes on where it was.
        """
        async with self._changing:
            self._jobs, self._since = jobs, since
            if self._leading:
                assert self._care is not None
                self._care.successor.follow(jobs, since)
                await self._change()

    def forget(self) -> None:
        """Keep nothing in mind: another scheduler looks after the runs now."""
        self._left = {}

    def _build_care(self, after: str) -> Care:
        group, store, log = self._group, self._store, self._log
        catalog, engine, clock = self._catalog, self._engine, self._clock
        auditor = Auditor(
            group,
            catalog=catalog,
            awaited=self._awaited,
            finished=engine.finished,
            again=engine.again,
            lost=self._dispatcher.lost,
            look_back=self._look_back,
            clock=clock,
            log=log,
        )
        backfiller = Backfiller(
            group,
            store=store,
            catalog=catalog,
            engine=engine,
            held=self._held,
            withhold=self._withholding,
            term=self._dispatcher.term,
            clock=clock,
            log=log,
        )
        care = Care(
            Sweeper(group, store=store, log=log),
            Successor(group, store=store, catalog=catalog, withhold=self._withholding, log=log),
            backfiller,
            auditor,
            Listener(group, after=after, store=store, heard=self._heard, log=log),
            Reconciler(group, store=store, clock=clock, log=log, lease_ms=self._lease_ms),
        )
        care.successor.follow(self._jobs, self._since)
        return care

    async def _change(self) -> None:
        wanted = {job.ref for job in self._jobs}
        self.drop([ref for ref in self._held if ref not in wanted])
        retimed: list[Job] = []
        for job in self._jobs:
            held = self._held.get(job.ref)
            if held is None or timing(held) != timing(job):
                retimed.append(job)
            elif held != job:
                self._held[job.ref] = job
                self._engine.change(job)
        for start in range(0, len(retimed), _CHUNK):
            chunk = retimed[start : start + _CHUNK]
            slots = await self._catalog.slots(self._group, [job.ref for job in chunk])
            if not self._leading:  # lost meanwhile, and nothing of ours is in the engine
                return
            for job, slot in zip(chunk, slots, strict=True):
                self._retime(job, slot)

    def _retime(self, job: Job, slot: Slot) -> None:
        if job.ref not in self._held:
            self._take_up(job, slot, self._since.get(job.ref, UNKNOWN))
            return
        now_ms, since = self._clock.now_ms(), self._since.get(job.ref, UNKNOWN)
        run = self._engine.run(job.ref)  # the engine has heard more than the slot tells
        if slot.run and not run:
            slot = slot._replace(ended_ms=now_ms)
        slot = slot._replace(run=run or None)
        self._held[job.ref] = job
        self._engine.retime(job, standing(job, slot, now_ms, since), min(since.changed_ms, now_ms))

    async def _take_up_all(self, slots: Sequence[Slot], opened_ms: int) -> int:
        adopted, end = 0, self._clock.monotonic() + _STEP
        for job, slot in zip(self._jobs, slots, strict=True):
            since = self._since.get(job.ref, UNKNOWN)
            if since.known_ms:
                # A store that may have lost writes may have forgotten what the job did before.
                since = since._replace(known_ms=max(since.known_ms, opened_ms))
            adopted += self._take_up(job, slot, since)
            if self._clock.monotonic() >= end:
                await service.give_way()  # leases are to be renewed, this group's and others'
                end = self._clock.monotonic() + _STEP
        return adopted

    def _take_up(self, job: Job, slot: Slot, since: Since) -> bool:
        """Add the job to the engine; tell whether a run of it is in flight."""
        run, now_ms = self._left.get(job.ref), self._clock.now_ms()
        slot = without_backfill(slot)
        unknown = run is not None and run.unknown_to(slot)
        if not unknown:
            run = InFlight.of(job, slot, self._clock.monotonic())
        at = standing(job, slot, now_ms, since)
        if run is not None:
            self._awaited.add(run)
            # What we told a store that has lost it is told anew when its gate has closed.
            at = at._replace(run=run.job_id, until_ms=max(at.until_ms, run.due_ms), next_ms=None)
        self._withholding.take_up(job, slot)
        self._held[job.ref] = job
        self._engine.add(job, at)
        return run is not None

    def _reopened(self, group: str, wait_s: float) -> None:
        if group != self._group:
            return
        self._closed_at = self._clock.monotonic() + wait_s
        if self._closing is not None:
            self._closing.cancel()
        self._closing = asyncio.get_running_loop().call_later(wait_s, self._closed)
        if self._care is not None:
            self._log.warning("store_reopened", group=group, gate_s=wait_s)
            self._dispatcher.hold(group)
            self._care.auditor.reopened(wait_s)

    async def _look_back(self) -> None:
        """See what the store has lost of the ledger, as far as we know that we told it."""
        refs = list(self._held)
        for start in range(0, len(refs), _CHUNK):
            chunk = refs[start : start + _CHUNK]
            slots = await self._catalog.slots(self._group, chunk)
            for ref, slot in zip(chunk, slots, strict=True):
                job, run = self._held.get(ref), self._awaited.run(ref)
                # One that is awaited, and lost, is sent again when another one is over.
                if job and slot.due_ms and (run is None or not run.unknown_to(slot)):
                    # What it was due for before it was changed nobody knows any more.
                    changed_ms = self._since.get(ref, UNKNOWN).changed_ms
                    cursor_ms = max(slot.due_ms, changed_ms)
                    self._engine.fell_back(ref, cursor_ms, self._dispatcher.take)
        self._dispatcher.go_on(self._group)

    def _closed(self) -> None:
        if self._care is not None:
            self._log.info("gate_closed", group=self._group)

    def _heard(self, group: str, completion: Completion, at_ms: int) -> None:
        self._withholding.heard(completion, at_ms)
        if completion.outcome != "retrying":
            ref = completion.ref
            if not self._awaited.remove(ref, completion.job_id):
                # Somebody triggered it, or it is ours and its enqueueing is not answered yet.
                self._dispatcher.over(completion.job_id)
            # By our own clock, which the fixed delays are counted with; the store's may differ.
            now_ms = self._clock.now_ms()
            self._engine.finished(ref, completion.job_id, now_ms)
        if self._care is not None:
            self._care.heard(completion)
        if self._also:
            self._also(group, completion, at_ms)
