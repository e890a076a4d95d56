"""Looks whether awaited runs are still in flight: a lost completion must not wedge a job."""

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from rota.common.catalog import Catalog
from rota.common.clock import Clock
from rota.common.service import Loop
from rota.scheduler.awaited import Awaited

_PERIOD = 30.0  # seconds


class Auditor(Loop):
    """Compares every 30 s the runs awaited with the jobs' slots, which are the truth."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        awaited: Awaited,
        finished: Callable[[str, int], None],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._catalog = catalog
        self._awaited = awaited
        self._finished = finished
        self._clock = clock

    async def turn(self) -> float:
        """Free the jobs whose run is over though nobody told us."""
        old = self._awaited.older_than(self._clock.monotonic() - _PERIOD)
        for group, runs in old.items():
            slots = await self._catalog.slots(group, [ref for ref, _ in runs])
            for (ref, job_id), slot in zip(runs, slots, strict=True):
                if slot.run != job_id and self._awaited.remove(ref, job_id):
                    self.log.warning("completion_missed", job_id=job_id)
                    self._finished(ref, slot.ended_ms or self._clock.now_ms())
        return _PERIOD
