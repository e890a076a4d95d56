"""Watches which handlers the workers serve, and says when a job's handler is served by none."""

from collections import Counter
from collections.abc import Iterable

from structlog.typing import FilteringBoundLogger

from rota.common import worker_info
from rota.common.catalog import Catalog
from rota.common.job import Job
from rota.common.service import Loop

_PERIOD = 5.0  # seconds


class Watcher(Loop):
    """Reports each change of what is served, once."""

    def __init__(self, *, catalog: Catalog, log: FilteringBoundLogger) -> None:
        super().__init__(log=log)
        self._catalog = catalog
        self._needed: dict[str, Counter[str]] = {}
        self._unserved: dict[str, set[str]] = {}
        self._rounds = 0

    def follow(self, jobs: Iterable[Job]) -> None:
        """Watch for the handlers of these jobs from now on."""
        needed: dict[str, Counter[str]] = {}
        for job in jobs:
            needed.setdefault(job.group, Counter()).update(job.handlers)
        self._needed = needed
        self._unserved = {
            group: self._unserved.get(group, set()) & set(handlers)
            for group, handlers in needed.items()
        }

    async def turn(self) -> float:
        """Compare what is needed with what is served."""
        self._rounds += 1
        for group, needed in list(self._needed.items()):
            workers = await self._catalog.workers(group)
            served = worker_info.served(workers)
            # Workers that start with us need a moment to register.
            if needed is self._needed.get(group) and (served or self._rounds > 1):
                self._report(group, needed, set(needed) - served)
        return _PERIOD

    def _report(self, group: str, needed: Counter[str], unserved: set[str]) -> None:
        for handler in sorted(unserved - self._unserved[group]):
            self.log.warning("handler_unserved", group=group, handler=handler, jobs=needed[handler])
        for handler in sorted(self._unserved[group] - unserved):
            self.log.info("handler_served", group=group, handler=handler, jobs=needed[handler])
        self._unserved[group] = unserved
