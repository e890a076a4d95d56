"""Follows the store's current revision: what this scheduler does is what was applied last."""

from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from rota.common.catalog import Catalog
from rota.common.revisions import Moved, Revision
from rota.common.service import Loop
from rota.scheduler import applied as contents
from rota.scheduler import difference
from rota.scheduler.applied import Applied
from rota.scheduler.applier import Applier, Standing
from rota.scheduler.config import Config
from rota.scheduler.groups import Groups

_PERIOD = 2.0  # seconds
_NOTHING = Config(groups=[], jobs=[], tenants={}, files=[])

Follow = Callable[[Applied], Awaitable[None]]


class Follower(Loop):
    """Looks every 2 s which revision is current, with one tiny read.

    A store that has lost the revision that we follow, or has an older one instead, is given ours
    again: a revision is only ever replaced by a later one.
    """

    interruptible = True  # what is half followed is given up as well

    def __init__(
        self,
        *,
        applier: Applier,
        catalog: Catalog,
        groups: Groups,
        follow: Follow,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._applier = applier
        self._catalog = catalog
        self._groups = groups
        self._follow = follow
        self._name = ""  # of the revision that we follow, or have refused
        self._standing: Standing | None = None
        self._awaits = False  # whether it was said that nothing is applied

    @property
    def config(self) -> Config:
        """Return the configuration that is followed; one without groups if there is none yet."""
        return self._standing.applied.config if self._standing else _NOTHING

    @property
    def revision(self) -> int:
        """Return the number of the revision that is followed, 0 if there is none yet."""
        return self._standing.revision.number if self._standing else 0

    async def turn(self) -> float:
        """Follow what is current, and see groups out that are gone."""
        # Before the revision is looked up: a group of a later one is not among these.
        known = set(await self._catalog.groups())
        await self.look()
        if self._standing is not None:
            await self._groups.drain(known)
        return _PERIOD

    async def look(self) -> None:
        """Follow what is current now."""
        name = await self._applier.revisions.current_name()
        if name == self._name and (name or self._standing is None):
            self._tell_awaits()
            return
        current = await self._applier.revisions.current()
        ours = self._standing
        if ours is not None and (current is None or current.at_ms < ours.revision.at_ms):
            await self._restore(ours, current)
        elif current is not None:
            await self._adopt(current)

    def _tell_awaits(self) -> None:
        if self._standing is None and not self._name and not self._awaits:
            self._awaits = True
            self.log.warning("config_awaited", help="nothing was applied yet: sched apply CONFIG")

    async def _adopt(self, revision: Revision) -> None:
        standing = await self._applier.readable(revision, self.log)
        if standing is None:
            self._name = revision.name  # what runs goes on, as the revision before has it
            return
        found = difference.compare(self.config, standing.applied.config)
        await self._follow(standing.applied)
        self._standing, self._name = standing, revision.name
        self.log.info("revision_followed", revision=revision.number, by=revision.by, **found.counts)

    async def _restore(self, ours: Standing, found: Revision | None) -> None:
        content = contents.encode(ours.applied)
        try:
            restored = await self._applier.revisions.restore(ours.revision, content, found)
        except Moved:
            return  # we look again
        self._standing, self._name = ours._replace(revision=restored), restored.name
        self.log.warning("revision_restored", revision=restored.number)
