"""Applies configurations to a store as an operator does, and says what a scheduler made of it."""

from rota.common.job import Job
from rota.common.revisions import Revision
from rota.common.store import Store
from rota.scheduler import applied as contents
from rota.scheduler.applied import Applied
from rota.scheduler.applier import Applier
from tests.support import probe, revisions
from tests.support.definitions import config
from tests.support.schedulers import Rig


async def apply(store: Store, *jobs: Job, groups: tuple[str, ...] = ()) -> Revision:
    """Apply a configuration of these jobs on top of what is current."""
    applier = Applier(store.link, command="test")
    return await applier.apply(config(*jobs, groups=groups), await applier.current())


async def put(store: Store, applied: Applied) -> Revision:
    """Make `applied` the current revision as it is, since when it says included."""
    content = contents.encode(applied)
    return await revisions.make(store, content, digest=contents.digest(applied.config))


async def followed(rig: Rig, revision: Revision) -> None:
    """Return when a scheduler follows `revision`."""
    await probe.until(lambda: revision.number == rig.daemon._follower.revision)
