"""Hears, while runs of a group are held, which of them are to be cancelled."""

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from rota.common.intervention import Intervention
from rota.common.service import Loop
from rota.common.store import Store
from rota.worker.held import HeldRun, HeldRuns


class Ear(Loop):
    """Blocks on the worker's own list in one group; an idle worker does not listen.

    What gets lost on this way is heard with the next renewal.
    """

    interruptible = True

    def __init__(
        self,
        group: str,
        *,
        worker_id: str,
        store: Store,
        held: HeldRuns,
        cancel: Callable[[HeldRun], None],
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._group = group
        self._worker_id = worker_id
        self._intervention = Intervention(store)
        self._held = held
        self._cancel = cancel

    async def turn(self) -> float | None:
        """Wait for one token; None, until `wake`, if no run of the group is held."""
        if not any(held.run.group == self._group for held in self._held.snapshot()):
            return None
        told = await self._intervention.listen(self._group, self._worker_id)
        held = self._held.get(told[0]) if told else None
        if told and held and held.run.fence == told[1]:
            self._cancel(held)
        return 0
