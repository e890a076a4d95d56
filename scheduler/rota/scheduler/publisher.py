"""Keeps the configuration known to the store, where workers and commands look for it."""

from collections.abc import Mapping, Sequence

from structlog.typing import FilteringBoundLogger

from rota.common.catalog import Catalog
from rota.common.errors import StoreError
from rota.common.job import Job
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits
from rota.common.service import Loop

_PERIOD = 2.0  # seconds


class Publisher(Loop):
    """Publishes groups and jobs, and does so again for a store that has lost its data."""

    def __init__(
        self,
        *,
        jobs: Mapping[str, Sequence[Job]],
        catalog: Catalog,
        log: FilteringBoundLogger,
        limits: Mapping[str, GroupLimits] | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        super().__init__(log=log)
        self._limits = limits or {}
        self._limiter = limiter
        self._unlimited = set(self._limits)  # groups whose limits the store may not know
        if limiter is not None:
            limiter.reopened.append(self._limits_lost)
        self._jobs = jobs
        self._catalog = catalog
        self._reopened: set[str] = set()  # groups whose store may have lost their jobs

    async def publish(self) -> None:
        """Make our groups and jobs known, and withdraw all others."""
        for group, jobs in self._jobs.items():
            await self._catalog.publish(group, jobs)
        await self._limit()
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
        await self._limit()  # first: claims keep to limits that are known when the gate closes
        for group in sorted(self._reopened):
            if group in known and self._jobs.get(group) and not await self._catalog.jobs(group):
                await self._catalog.publish(group, self._jobs[group])
                self.log.warning("published_again", group=group, groups=1)
            self._reopened.discard(group)
        return _PERIOD

    async def _limit(self) -> None:
        """Make the limits known where the store may not know them; once, if it goes well."""
        for group in sorted(self._unlimited if self._limiter else ()):
            assert self._limiter is not None
            self._unlimited.discard(group)  # before: it may be reopened meanwhile
            try:
                await self._limiter.limit(group, self._limits[group])
            except StoreError:
                self._unlimited.add(group)
                raise

    def _limits_lost(self, group: str, _: float) -> None:
        if group in self._limits:
            self._unlimited.add(group)
            self.wake()
