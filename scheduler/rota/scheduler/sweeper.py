"""Moves on, in one group, what waits for time to pass: rested runs, and runs of silent workers."""

from structlog.typing import FilteringBoundLogger

from rota.common.service import Loop
from rota.common.store import Store

_PERIOD = 1.0  # seconds


class Sweeper(Loop):
    """Promotes and rescues as soon as something is due, and looks once a second."""

    def __init__(self, group: str, *, store: Store, log: FilteringBoundLogger) -> None:
        super().__init__(log=log)
        self._group = group
        self._store = store

    async def turn(self) -> float:
        """Sweep once."""
        rescued, wait = await self._store.sweep(self._group)
        for run in rescued:
            self.log.warning(
                "run_rescued",
                group=self._group,
                job_id=run.job_id,
                attempt=run.attempt,
                worker=run.worker,
                state=run.state,
            )
        return min(wait, _PERIOD)
