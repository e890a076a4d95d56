"""`sched dev`: a store, a scheduler, a worker and a live view, all gone when it ends."""

import asyncio
import os
import shutil
import signal
import sys
from collections import deque
from pathlib import Path

import msgspec
from structlog.typing import FilteringBoundLogger

from rota.common import command, log, settings
from rota.common.embedded import EmbeddedStore, die_with_parent
from rota.common.errors import RotaError, UsageError
from rota.common.message import Completion
from rota.scheduler import output
from rota.scheduler.board import Board
from rota.scheduler.config import Config
from rota.scheduler.daemon import SchedulerDaemon
from rota.scheduler.view import LiveView, PlainView

_WORKER_GRACE = 5  # seconds that running work may take when `sched dev` ends
_LAST_WORDS = 20  # lines of a worker's log that are shown when it has ended by itself
_LONGEST_LINE = 1024 * 1024  # bytes
_CONFIGS = ("rota.yaml", "rota.yml", "config")


class DevOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `sched dev` was asked for."""

    config: Path
    app: str  # the module that holds the handlers
    folder: Path  # where the worker is started, so that it finds the module
    workers: int = 1
    concurrency: int = 16


def options(config: Path | None, app: str | None, workers: int, concurrency: int) -> DevOptions:
    """Return what to run, found by convention where it was not said.

    Raises `UsageError` that says what was looked for.
    """
    path = config or _find_config()
    if app is not None:
        folder = Path.cwd()
    else:
        folder, app = _find_app(path), "jobs"
    return DevOptions(config=path, app=app, folder=folder, workers=workers, concurrency=concurrency)


def _find_config() -> Path:
    found = [Path(name) for name in _CONFIGS if Path(name).exists()]
    if not found:
        raise UsageError(
            f"no configuration: there is no {', '.join(_CONFIGS)} here; name a file or a directory"
        )
    return found[0]


def _find_app(config: Path) -> Path:
    base = config.resolve() if config.is_dir() else config.resolve().parent
    for folder in (base, base.parent, Path.cwd()):
        if (folder / "jobs.py").is_file():
            return folder
    raise UsageError(
        "no handlers: there is no jobs.py beside the configuration or here;"
        " name their module with --app"
    )


class Dev:
    """The constellation of `sched dev`."""

    def __init__(
        self,
        chosen: DevOptions,
        config: Config,
        store: EmbeddedStore,
        *,
        board: Board,
        live: bool,
        log: FilteringBoundLogger,
    ) -> None:
        self._options = chosen
        self._store = store
        self._board = board
        self._log = log
        self._plain = None if live else PlainView()
        self._view = LiveView(board, self._banner(config), log=log) if live else None
        if not live:
            sys.stdout.write(self._banner(config) + "\n")
            sys.stdout.flush()  # the first completion may be far away
        given = settings.read()
        self._scheduler = SchedulerDaemon(
            store.url,
            config,
            log=log,
            heard=self._heard,
            gate_ms=given.gate_ms,
            lease_ms=given.lease_ms,
            command="sched dev",
        )
        self._workers: list[asyncio.subprocess.Process] = []
        self._readers: list[asyncio.Task[None]] = []
        self._said: dict[int, deque[str]] = {}  # the last lines of each worker's log, by pid
        self.last_words: deque[str] = deque()  # of the worker that ended
        self.worker_code = 0  # its exit code

    def _banner(self, config: Config) -> str:
        return (
            f"Store    {self._store.name} at {self._store.url}, in memory: lost when this ends\n"
            f"Config   {self._options.config}: {output.counted(len(config.groups), 'group')},"
            f" {output.counted(len(config.tenants), 'tenant')},"
            f" {output.counted(len(config.jobs), 'job')}\n"
            f"Workers  {self._options.workers} with --app {self._options.app}\n"
            f"Try      ROTA_REDIS_URL={self._store.url} {_sched()} status      (Ctrl-C ends)\n"
        )

    async def start(self) -> None:
        """Start everything; the workers find the scheduler's groups by themselves."""
        for _ in range(self._options.workers):
            await self._start_worker()
        await self._scheduler.start()
        if self._view:
            await self._view.start()

    async def failed(self) -> None:
        """Return when the scheduler has failed or a worker has ended."""
        waits = [asyncio.create_task(worker.wait()) for worker in self._workers]
        scheduler = asyncio.create_task(self._scheduler.failed())
        await asyncio.wait([*waits, scheduler], return_when=asyncio.FIRST_COMPLETED)
        ended = [worker for worker in self._workers if worker.returncode is not None]
        if ended:
            self.worker_code = ended[0].returncode or 0
            self._log.error("worker_ended", exit_code=self.worker_code)
            self.last_words = self._said[ended[0].pid]

    async def stop(self) -> None:
        """Stop workers first: what they finish, the scheduler still hears."""
        for worker in self._workers:
            if worker.returncode is None:
                worker.send_signal(signal.SIGTERM)
        for worker in self._workers:
            await worker.wait()
        await self._scheduler.stop()
        if self._view:
            await self._view.stop()
        for reader in self._readers:
            await reader
        self._store.stop()

    async def _start_worker(self) -> None:
        command = ("-m", "rota.worker", "run", "--app", self._options.app)
        flags = ("--concurrency", str(self._options.concurrency), "--grace", f"{_WORKER_GRACE}s")
        plain = self._view is None
        shown = "text" if not plain or sys.stderr.isatty() else "auto"
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            *flags,
            cwd=self._options.folder,
            env={
                **os.environ,
                "ROTA_REDIS_URL": self._store.url,
                "ROTA_LOG_FORMAT": shown,
                "ROTA_DURABILITY": "standard",  # a store in memory is never strict
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=None if plain else asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,  # Ctrl-C is for us; we stop the worker in order
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
        self._workers.append(worker)
        said = self._said[worker.pid] = deque(maxlen=_LAST_WORDS)
        if worker.stderr is not None:
            self._readers.append(asyncio.create_task(self._read(worker.stderr, said)))

    async def _read(self, stream: asyncio.StreamReader, said: deque[str]) -> None:
        while line := await _line(stream):
            text = line.decode(errors="replace")
            said.append(text.rstrip())
            if self._view:
                self._board.write(text)
            else:
                sys.stderr.write(text)
                sys.stderr.flush()

    def _heard(self, group: str, completion: Completion, at_ms: int) -> None:
        self._board.heard(group, completion, at_ms)
        if self._plain is not None:
            self._plain.heard(group, completion, at_ms)


async def _line(stream: asyncio.StreamReader) -> bytes:
    """Return the next line; of one that is too long, that it was left out."""
    try:
        return await stream.readline()
    except ValueError:  # the worker must go on, so the rest is to be read
        return b"(a line that is too long)\n"


def _sched() -> str:
    return "sched" if shutil.which("sched") else str(Path(sys.executable).with_name("sched"))


def run(chosen: DevOptions, config: Config) -> int:
    """Run it all until Ctrl-C; return the exit code."""
    live = sys.stdout.isatty()
    board = Board(config.tenants)
    logger = log.configure(settings.read(), stream=board if live else sys.stderr)
    with EmbeddedStore() as store:
        dev = Dev(chosen, config, store, board=board, live=live, log=logger)
        code = command.run_daemon(dev, logger)
    if code and dev.worker_code == UsageError.exit_code:
        raise UsageError("\n".join(dev.last_words))  # below the log, where it would be overlooked
    if live and code:
        raise RotaError("\n".join(dev.last_words or board.notes))
    return code
