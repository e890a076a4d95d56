"""Looks whether awaited runs of a group are still in flight: what got lost must not wedge a job."""

from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from rota.common.catalog import Catalog, Slot
from rota.common.clock import Clock
from rota.common.errors import StoreError
from rota.common.job import Job
from rota.common.job_ids import is_triggered
from rota.common.service import Loop
from rota.common.state import IN_FLIGHT, State
from rota.scheduler.awaited import Awaited, InFlight

_PERIOD = 30.0  # seconds


class Auditor(Loop):
    """Compares every 30 s, and when a gate has closed, the runs awaited with the jobs' slots.

    The slots are the truth. A run that they know to be over is over, though nobody told us; one
    that they know nothing of was lost with the store's last writes, and is enqueued again.
    """

    def __init__(
        self,
        group: str,
        *,
        catalog: Catalog,
        awaited: Awaited,
        finished: Callable[[str, str, int], None],
        again: Callable[[Job, int], None],
        lost: Callable[[Job, str, int], None],
        look_back: Callable[[], Awaitable[None]],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._group = group
        self._catalog = catalog
        self._awaited = awaited
        self._finished = finished
        self._again = again
        self._lost = lost
        self._look_back = look_back
        self._clock = clock
        self._all = False  # whether to look at young runs, too
        self._gate_until = 0.0  # monotonic seconds; before, nobody knows what was lost

    def reopened(self, wait_s: float) -> None:
        """Look at every run once the gate, open for `wait_s` seconds, has closed."""
        self._all = True
        self._gate_until = self._clock.monotonic() + wait_s
        self.wake()

    async def turn(self) -> float:
        """Free the jobs whose run is over; enqueue again what was lost."""
        gate_s = self._gate_until - self._clock.monotonic()
        if gate_s > 0:
            return gate_s
        reopened, self._all = self._all, False
        try:
            await self._look(reopened)
        except StoreError:
            self._all = self._all or reopened
            raise
        return _PERIOD

    async def _look(self, reopened: bool) -> None:
        young = 0.0 if reopened else _PERIOD
        runs = self._awaited.of(self._group, before=self._clock.monotonic() - young)
        slots = await self._catalog.slots(self._group, [run.job.ref for run in runs])
        beside = [run.job_id for run in runs if run.job.overlap == "allow"]
        states = dict(zip(beside, await self._catalog.states(self._group, beside), strict=True))
        for run, slot in zip(runs, slots, strict=True):
            if run.job_id in states:
                self._judge(run, slot, states[run.job_id], reopened=reopened)
            else:
                self._compare(run, slot)
        if reopened:
            await self._look_back()

    def _compare(self, run: InFlight, slot: Slot) -> None:
        lost = run.unknown_to(slot)
        if slot.run == run.job_id or (slot.run and lost):
            return  # in flight; or it was lost, and has to wait until the job's other run is over
        if not self._awaited.remove(run.job.ref, run.job_id):
            return  # its end was heard of meanwhile
        if slot.run:
            self._awaited.add(run._replace(job_id=slot.run, due_ms=0))
            self._finished(run.job.ref, run.job_id, self._clock.now_ms())
        elif lost:
            self.log.warning("run_enqueued_again", job_id=run.job_id)
            self._again(run.job, run.due_ms)
        else:
            self._over(run, slot, lost=is_triggered(run.job_id))

    def _judge(self, run: InFlight, slot: Slot, state: State | None, *, reopened: bool) -> None:
        """Judge a run beside which others may be in flight: its own record tells."""
        if state in IN_FLIGHT or not self._awaited.remove(run.job.ref, run.job_id):
            return
        if run.unknown_to(slot):
            self.log.warning("run_enqueued_again", job_id=run.job_id)
            self._again(run.job, run.due_ms)
        else:
            self._over(run, slot, lost=reopened and state is None)

    def _over(self, run: InFlight, slot: Slot, *, lost: bool) -> None:
        self.log.warning("completion_missed", job_id=run.job_id)
        if lost and slot.last != run.job_id:
            self._lost(run.job, run.job_id, run.due_ms)  # the ledger knows if it has ended
        self._finished(run.job.ref, run.job_id, slot.ended_ms or self._clock.now_ms())
