"""Reads the configuration again, when somebody asks for it or its files change, and applies it."""

import asyncio
from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from rota.common.errors import Refused, StoreError
from rota.common.revisions import Revision
from rota.common.service import Loop
from rota.scheduler.config import Config, InvalidConfig
from rota.scheduler.source import Mark, Source

_PERIOD = 2.0  # seconds between looks at the files
_TOLD = 3  # problems that are told; the rest is counted

Apply = Callable[[Config], Awaitable[Revision]]


class Reloader(Loop):
    """What is wrong with a configuration is logged as an error, and changes nothing.

    Files are read when they were the same at two looks in succession: half a file may be a valid
    configuration that lacks half of the tenants.
    """

    interruptible = True  # nobody waits until much text is read

    def __init__(self, source: Source, *, apply: Apply, log: FilteringBoundLogger) -> None:
        super().__init__(log=log)
        self._source = source
        self._apply = apply
        self._asked = False
        self._seen: Mark | None = None

    def reload(self) -> None:
        """Read the configuration now, whether it changed or not."""
        self._asked = True
        self.wake()

    async def turn(self) -> float | None:
        """Read and apply the configuration if there is a reason to."""
        if self._asked or (self._source.watch and await self._settled()):
            self._asked = False
            await self._reload()
        return _PERIOD if self._source.watch else None

    async def _settled(self) -> bool:
        before, self._seen = self._seen, await asyncio.to_thread(self._source.mark)
        return before == self._seen != self._source.read

    async def _reload(self) -> None:
        try:
            # In a thread: leases are to be renewed while much text is read.
            revision = await self._apply(await asyncio.to_thread(self._source.load))
        except InvalidConfig as error:
            self._refuse(error)
        except Refused as error:
            self.log.warning("config_not_applied", reason=str(error))
        except StoreError:
            self._asked = True  # again, when the store is back
            raise
        else:
            self.log.info("config_reloaded", revision=revision.number)

    def _refuse(self, error: InvalidConfig) -> None:
        first = [f"{p.file}:{p.line}:{p.column}: {p.message}" for p in error.problems[:_TOLD]]
        count = len(error.problems)
        self.log.error("config_refused", path=str(self._source.path), problems=count, first=first)
