"""Keeps the configuration known to the store, where workers and commands look for it."""

from collections.abc import Mapping, Sequence

from structlog.typing import FilteringBoundLogger

from rota.common.catalog import Catalog
from rota.common.job import Job
from rota.common.service import Loop

_PERIOD = 2.0  # seconds


class Publisher(Loop):
    """Publishes groups and jobs, and does so again for a store that has lost them.

    All schedulers follow one revision, so that what is missing is lost, and nobody's intent.
    """

    def __init__(self, *, catalog: Catalog, log: FilteringBoundLogger) -> None:
        super().__init__(log=log)
        self._published: dict[str, Sequence[Job]] = {}
        self._catalog = catalog
        self._reopened: set[str] = set()  # groups whose store may have lost their jobs

    async def follow(self, jobs: Mapping[str, Sequence[Job]]) -> None:
        """Make these groups and jobs known, and no others; write only what is new.

        Groups that are no longer there stay known, without jobs, until somebody withdraws them:
        their runs are to end. After a `StoreError` call it again.
        """
        gone = self._published.keys() - jobs.keys()
        if not self._published:
            gone = set(await self._catalog.groups()) - jobs.keys()
        for group in sorted(gone):
            await self._catalog.publish(group, [])
            self._published.pop(group, None)
        for group, wanted in jobs.items():
            await self._publish(group, wanted)

    def reopened(self, group: str, _: float) -> None:
        """Look whether `group`, whose store may have lost writes, still has its jobs."""
        self._reopened.add(group)
        self.wake()

    async def turn(self) -> float:
        """Publish again what the store has lost: groups, or all jobs of one that was reopened."""
        wanted = dict(self._published)
        known = set(await self._catalog.groups())
        lost = {group for group in wanted if group not in known}
        for group in self._reopened & wanted.keys() - lost:
            if wanted[group] and not await self._catalog.jobs(group):
                lost.add(group)
        self._reopened -= wanted.keys()
        # Not what was changed meanwhile: whoever did that has published it.
        lost = {group for group in lost if self._published.get(group) is wanted[group]}
        for group in sorted(lost):
            await self._catalog.publish(group, wanted[group])
            self.log.warning("published_again", group=group, jobs=len(wanted[group]))
        return _PERIOD

    async def _publish(self, group: str, jobs: Sequence[Job]) -> None:
        if group not in self._published:
            await self._catalog.publish(group, jobs)
        else:
            before = {job.ref: job for job in self._published[group]}
            new = [job for job in jobs if before.pop(job.ref, None) != job]
            await self._catalog.amend(group, new, sorted(before))
        self._published[group] = jobs
