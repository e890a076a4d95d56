"""Keeps the worker registered in its groups, finds new groups, and says what was done."""

from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
from structlog.typing import FilteringBoundLogger

from rota.common.catalog import Catalog
from rota.common.registration import Registration
from rota.common.service import Loop
from rota.common.worker_info import WorkerInfo
from rota.worker.held import HeldRuns

_PERIOD = 5.0  # seconds; six of them make a registration
_HURRY = 0.25  # seconds between looks for the first group


class Registrar(Loop):
    """Registers the worker every 5 s, in fixed groups or in all that there are."""

    def __init__(
        self,
        *,
        info: WorkerInfo,
        catalog: Catalog,
        registration: Registration,
        held: HeldRuns,
        counts: Counter[str],
        serve: Callable[[str], Awaitable[None]],
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._info = info
        self._fixed = bool(info.groups)
        self._looked = not self._fixed  # whether it was told which of them nobody knows yet
        self._catalog = catalog
        self._registration = registration
        self._held = held
        self._counts = counts
        self._told: Counter[str] = Counter()
        self._serve = serve

    async def turn(self) -> float:
        """Register, and serve the groups that have appeared."""
        groups = self._info.groups
        if not self._fixed:
            # And those known before: a group that was withdrawn, or that a store forgot which lost
            # its data, may hold runs all the same.
            groups = sorted({*groups, *await self._catalog.groups()})
        if not self._looked:
            await self._tell_unknown(groups)
        await self._register(groups)
        for group in groups:
            await self._serve(group)
        self._tell()
        return _PERIOD if groups else _HURRY

    async def register(self) -> None:
        """Register now: the store does not know us, or no longer."""
        await self._register(self._info.groups)

    async def stop(self) -> None:
        """Stop, and leave the store's list of workers."""
        await super().stop()
        await self._registration.unregister(self._info)

    async def _register(self, groups: list[str]) -> None:
        if groups != self._info.groups:
            self.log.info("groups_served", groups=groups)
        self._info = msgspec.structs.replace(self._info, groups=groups, running=len(self._held))
        await self._registration.register(self._info)

    async def _tell_unknown(self, groups: list[str]) -> None:
        unknown = sorted(set(groups) - set(await self._catalog.groups()))
        self._looked = True
        if unknown:
            self.log.warning(
                "groups_unknown", groups=unknown, why="no scheduler has published them"
            )

    def _tell(self) -> None:
        if self._counts != self._told:
            news = self._counts - self._told
            self.log.info("runs_done", **news, running=len(self._held))
            self._told = Counter(self._counts)
