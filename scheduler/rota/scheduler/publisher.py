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
        self._reopened: set[str] = set()  # groups whose store may have lost their jobs

    async def publish(self) -> None:
        """Make our groups and jobs known, and withdraw all others."""
        for group, jobs in self._jobs.items():
            await self._catalog.publish(group, jobs)
        await self._catalog.withdraw(sorted(set(await self._catalog.groups()) - set(self._jobs)))

    def reopened(self, group: str, _: float) -> None:
        """Look whether `group`, whose store may have lost writes, still has its jobs."""
        self._reopened.add(group)
        self.wake()

    async def turn(self) -> float:
        """Publish again if the store knows no group, or has lost all jobs of one.

        Where only some groups are missing another scheduler has withdrawn them: that is no loss.
        A group without jobs is none either, unless it was reopened. So two schedulers whose
        configurations differ don't undo what the other does, again and again.
        """
        known = set(await self._catalog.groups())
        if self._jobs and not known:
            await self.publish()
            self.log.warning("published_again", groups=len(self._jobs))
        for group in sorted(self._reopened):
            if group in known and self._jobs.get(group) and not await self._catalog.jobs(group):
                await self._catalog.publish(group, self._jobs[group])
                self.log.warning("published_again", group=group, groups=1)
            self._reopened.discard(group)
        return _PERIOD
