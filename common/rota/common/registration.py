"""Makes workers known to the store in the groups that they serve."""

from rota.common import keys, message
from rota.common.scripts import REGISTER
from rota.common.store import Store
from rota.common.worker_info import REGISTRATION_MS, WorkerInfo


class Registration:
    """A worker's entries in the store. `Catalog.workers` reads them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def register(self, info: WorkerInfo) -> None:
        """Make a worker known in its groups for `REGISTRATION_MS`, in one round trip.

        A store that is at maxmemory takes it, too. Raises `StoreUnavailable` if the server of any
        group is away; in the others the worker is known then.
        """
        names = [handler.name for handler in info.handlers]
        values = (info.id, REGISTRATION_MS, message.encode(info), *names)
        await self._store.ask([(REGISTER, group, values) for group in info.groups])

    async def unregister(self, info: WorkerInfo) -> None:
        """Forget a worker that has stopped."""
        commands: list[tuple[str, ...]] = []
        for group in info.groups:
            worker, served = keys.worker(group, info.id), keys.handlers(group, info.id)
            commands += [("DEL", worker), ("DEL", served), ("ZREM", keys.workers(group), info.id)]
        await self._store.link.pipeline(commands)
