"""Keeps the configuration known to the store, where workers and commands look for it."""

from collections.abc import Mapping, Sequence

from structlog.typing import FilteringBoundLogger

from rota.common.catalog import Catalog
from rota.common.job import Job
from rota.common.service import Loop

_PERIOD = 2.0  # seconds


class Publisher(Loop):
    """Publishes groups and jobs, and does so again for a store that has lost its data."""

    def __init__(
        self, *, jobs: Mapping[str, Sequence[Job]], catalog: Catalog, log: FilteringBoundLogger
    ) -> None:
        super().__init__(log=log)
        self._jobs = jobs
        self._catalog = catalog

    async def publish(self) -> None:
        """Make our groups and jobs known, and withdraw all others."""
        for group, jobs in self._jobs.items():
            await self._catalog.publish(group, jobs)
        await self._catalog.withdraw(sorted(set(await self._catalog.groups()) - set(self._jobs)))

    async def turn(self) -> float:
        """Publish again if the store knows none of our groups.

        Where only some are missing, another scheduler has withdrawn them: that is no loss.
        """
        if self._jobs and not set(self._jobs) & set(await self._catalog.groups()):
            await self.publish()
            self.log.warning("published_again", groups=len(self._jobs))
        return _PERIOD
