"""Waits for a group's wake token while the worker has nothing to do there."""

import asyncio
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from rota.common.errors import StoreError
from rota.common.service import Loop
from rota.common.store import Store


class Bell(Loop):
    """Blocks on one group's wake list, but only while it is armed.

    A busy worker must not take tokens that are meant for idle ones.
    """

    interruptible = True

    def __init__(
        self,
        group: str,
        *,
        worker_id: str,
        store: Store,
        rung: Callable[[str], bool],
        unheard: Callable[[str], None],
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self.group = group
        self._worker_id = worker_id
        self._store = store
        self._rung = rung  # called when there may be work; False: no place for it now
        self._unheard = unheard  # called when the store went away while we listened
        self._armed = asyncio.Event()

    def arm(self) -> None:
        """Listen until the next token, or until it is time to look without one."""
        self._armed.set()

    async def turn(self) -> float | None:
        """Wait for one token, or for the end of the longest block: a token may have been lost."""
        await self._armed.wait()
        try:
            token = await self._store.listen(self.group, self._worker_id)
        except StoreError:
            self._unheard(self.group)
            raise
        self._armed.clear()
        if not self._rung(self.group) and token:
            await self._store.ring(self.group)
        return 0
