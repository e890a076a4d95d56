"""A small installation: one scheduler and one worker in the event loop of this process."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from structlog.typing import FilteringBoundLogger

from rota.client import Client
from rota.common import log as logs
from rota.common import metrics, settings
from rota.common.clock import Clock
from rota.common.embedded import EmbeddedStore
from rota.common.errors import UsageError
from rota.common.settings import Settings
from rota.scheduler import config as configs
from rota.scheduler.config import Config
from rota.scheduler.daemon import SchedulerDaemon
from rota.scheduler.source import Source
from rota.worker.daemon import WorkerDaemon, WorkerOptions
from rota.worker.registry import Jobs, load_app


class Single:
    """Runs what `config` declares, by the handlers of `app`, until it is stopped.

    async with Single("rota.yaml", jobs, url="redis://...") as rota:
        await rota.client.call("orders.import", tenant="acme", source="eu")

    `config` is a file or a directory, text, or a mapping of what a file would hold; `app` a `Jobs`,
    or the module that holds one, which handlers in child processes need. The store is that of the
    environment unless `url` names one, or it is to be `embedded`: in memory, lost at the end. It
    touches no signal and nothing that a process has once, so there may be several.
    """

    def __init__(
        self,
        config: Config | Path | str | Mapping[str, Any],
        app: Jobs | str,
        *,
        url: str | None = None,
        embedded: bool = False,
        concurrency: int = 16,
        grace: float = 25.0,
        watch: bool = False,
        command: str = "rota.single",
        given: Settings | None = None,
        clock: Clock | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        if url and embedded:
            raise UsageError("name a store by `url`, or have one `embedded`")
        given = given or settings.read()
        log = log or logs.within("rota")
        source = _source(config, watch=watch)
        jobs, module = _jobs(app)
        self._server = EmbeddedStore() if embedded else None
        self.url = self._server.url if self._server else url or given.redis_url
        shared: dict[str, Any] = {"log": log, "clock": clock}
        times: dict[str, Any] = {"gate_ms": given.gate_ms, "lease_ms": given.lease_ms}
        known = source.load() if source else configs.of(config)
        self._scheduler = SchedulerDaemon(
            self.url, known, source=source, command=command, **times, **shared
        )
        options = WorkerOptions(
            app=module, groups=[], concurrency=concurrency, grace=grace, **times
        )
        self._worker = WorkerDaemon(self.url, jobs, options, **shared)
        self.client = Client(self.url, **shared)  # for callers in this process
        self._stopped = False

    async def __aenter__(self) -> "Single":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Begin to work; raises `StoreUnavailable` if the store can't be reached.

        From the main thread, if it has an embedded store, or handlers in child processes.
        """
        try:
            if self._server:
                self._server.start()
            await self._scheduler.start()
            await self._worker.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Claim no more, finish what runs within the grace time, and end. Harmless if repeated.

        The worker first: of what it finishes, the scheduler still hears.
        """
        if self._stopped:
            return
        self._stopped = True
        await self._worker.stop()
        await self._scheduler.stop()
        await self.client.close()
        if self._server:
            self._server.stop()

    async def failed(self) -> None:
        """Return when a part has failed for good: then stop it, and start another one."""
        parts = (self._scheduler, self._worker)
        waits = [asyncio.create_task(part.failed()) for part in parts]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def reload(self) -> None:
        """Read the configuration's files again, and apply them if they say something new."""
        self._scheduler.reload()

    def unready(self) -> str:
        """Return why work does not pass through; empty if it does. Asks nobody."""
        return self._scheduler.unready() or self._worker.unready()

    def metrics(self) -> str:
        """Return its numbers in Prometheus' text format. Asks nobody."""
        families = [*self._scheduler.families(), *self._worker.families()]
        ready = metrics.gauge("rota_ready", "Whether /readyz says so.", not self.unready())
        return metrics.page([ready, *(each for each in families if each.name != ready.name)])


def _source(config: Config | Path | str | Mapping[str, Any], *, watch: bool) -> Source | None:
    """Return where to read the configuration again; None if it is no file."""
    is_path = isinstance(config, Path) or (isinstance(config, str) and "\n" not in config)
    if is_path:
        return Source(Path(str(config)), watch=watch)
    if watch:
        raise UsageError("watch: the configuration is no file")
    return None


def _jobs(app: Jobs | str) -> tuple[Jobs, str]:
    """Return the handlers, and the module that child processes import them from."""
    if isinstance(app, str):
        return load_app(app), app
    names = [each.name for each in app.handlers.values() if each.isolation == "process"]
    if names:
        raise UsageError(
            f"{', '.join(names)}: child processes import their handlers; name the module that"
            ' holds them, as in Single(config, "jobs")'
        )
    return app, ""
