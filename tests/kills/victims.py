"""Workers and schedulers as real processes, forked from one that has imported everything."""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rota.common import command, log, settings
from rota.common.clock import SystemClock
from rota.common.embedded import die_with_parent
from rota.scheduler import leader, reconciler
from rota.scheduler.daemon import SchedulerDaemon
from rota.worker import daemon as worker_daemon
from rota.worker.daemon import WorkerDaemon, WorkerOptions
from tests.kills import conversation, handlers, plan
from tests.support import audit
from tests.support.builders import GROUP
from tests.support.definitions import config

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__, "redis.asyncio", "hiredis"])
_CLOCK = SystemClock()


class Victim:
    """One process; it ends with the test at the latest."""

    def __init__(self, role: str, main: Callable[..., None], *args: Any) -> None:
        self.role = role
        self.code: int | None = None  # once it was seen dead
        self.died_at = audit.FOREVER  # monotonic seconds
        self._process = _CONTEXT.Process(target=main, args=args, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()

    def end(self) -> None:
        """Kill it if it runs, and wait for it."""
        if self.alive:
            self.kill()
            self._process.join()

    def stop(self) -> None:
        """Ask it to end, as a deployment does; harmless if it has ended."""
        if self.alive:
            os.kill(self.pid, signal.SIGTERM)

    @property
    def alive(self) -> bool:
        """Tell whether it runs."""
        if self.code is None and not self._process.is_alive():
            self.code, self.died_at = self._process.exitcode, _CLOCK.monotonic()
            self._process.close()
        return self.code is None

    async def gone(self, within: float = 30.0) -> None:
        """Return when it has ended; fail if it has not in time."""
        end = _CLOCK.monotonic() + within
        while self.alive:
            assert _CLOCK.monotonic() < end, f"{self.role} {self.pid} has not ended"
            await asyncio.sleep(0.005)


def worker(url: str, folder: Path, audit_file: Path, options: WorkerOptions, short: bool) -> None:
    """Be a worker; with `short` it does not wait for the handlers that outlast it."""
    _settle_in(folder, "worker")
    os.environ[audit.VARIABLE] = str(audit_file)
    if short:
        os.environ[handlers.SHORT_LIVED] = "yes"
        worker_daemon._LAST_WORDS = 0.1
    logger = log.configure(settings.read())
    _be(WorkerDaemon(url, handlers.jobs, options, log=logger), logger)


def scheduler(url: str, folder: Path, tenant: str) -> None:
    """Be a scheduler, whose lead is short, of the planned jobs of one tenant."""
    _settle_in(folder, "scheduler")
    leader.TTL, leader._MARGIN, leader._FREE = plan.TTL, plan.TTL / 4, 0.05
    reconciler._STEP = 0.1
    logger = log.configure(settings.read())
    planned = config(*plan.jobs(tenant), limits={GROUP: plan.limits(tenant)})
    _be(SchedulerDaemon(url, planned, log=logger), logger)


def caller(url: str, folder: Path, tenant: str) -> None:
    """Be a process that calls."""
    _settle_in(folder, "caller")
    asyncio.run(conversation.converse(url, tenant))


def _settle_in(folder: Path, role: str) -> None:
    """Die with the process that we were forked from; log to a file of our own."""
    if sys.platform == "linux":
        die_with_parent()
    # That one may outlive the tests, if they end as a crash does.
    threading.Thread(target=_die_with_tests, daemon=True).start()
    file = os.open(folder / f"{role}-{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 2)
    os.environ |= {"ROTA_LOG_FORMAT": "json", "ROTA_LOG_LEVEL": "debug"}


def _die_with_tests() -> None:
    tests = multiprocessing.parent_process()
    if tests is not None:
        tests.join()
        os._exit(1)


def _be(daemon: command.Supervised, logger: Any) -> None:
    async def nothing() -> None:
        """Check nothing: it is the same for all."""

    os._exit(command.run_supervised(daemon, logger, health="", check=nothing))
