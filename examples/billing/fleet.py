"""The processes of the example: a store, schedulers and workers, any of which may be killed."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Literal, Self

from examples.billing import database
from rota.common.clock import SystemClock
from rota.common.embedded import EmbeddedStore, die_with_parent

Role = Literal["sched", "worker"]
CONFIG = Path(__file__).with_name("rota.yaml")
_ROOT = CONFIG.parent.parent.parent
APP = "examples.billing.jobs"
_START_SECONDS = 60.0
_STARTED = re.compile(r'"(scheduler|worker)_started"')
_BOUND = die_with_parent if sys.platform == "linux" else None  # none outlives the driver
_JSON = json.JSONDecoder()
_CLOCK = SystemClock()


class Fleet:
    """A scheduler, one that stands by, and workers, on a store of their own.

    Their logs go to `folder`.
    """

    def __init__(
        self, folder: Path, url: str, workers: int, *, app: str = APP, config: Path = CONFIG
    ) -> None:
        self.database = url
        self._folder = folder
        self._workers = workers
        self._app = app
        self._config = config
        self._store = EmbeddedStore()
        self._numbers = count(1)
        self._at_work: list[tuple[Role, subprocess.Popen[bytes]]] = []
        self.killed: dict[Role, int] = {"sched": 0, "worker": 0}
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        self._environment = {
            **os.environ,
            "PYTHONPATH": path,
            "ROTA_REDIS_URL": self._store.url,
            "ROTA_LOG_FORMAT": "json",
            "ROTA_DURABILITY": "standard",  # a store in memory is never strict
            "ROTA_LEASE": "2s",  # so that one who waits for a killed worker does not wait long
            database.VARIABLE: url,
        }

    @property
    def store_url(self) -> str:
        """Return the address of the store, for commands of others."""
        return self._store.url

    @property
    def killed_text(self) -> str:
        """Return how many of each kind were killed."""
        return f"killed: {self.killed['worker']} of workers, {self.killed['sched']} of schedulers"

    def kill_one(self, random: Random) -> None:
        """End a worker, or one time in four a scheduler, as a crash does; another one starts.

        It is the eldest: it is at work, and the scheduler leads.
        """
        role: Role = "sched" if random.random() < 1 / 4 else "worker"
        victim = next(each for each in self._at_work if each[0] == role)
        self._at_work.remove(victim)
        victim[1].kill()
        victim[1].wait()
        self.killed[role] += 1
        self._start(role)

    def replace_dead(self) -> int:
        """Start another for each that has died by itself; return how many there were."""
        dead = [each for each in self._at_work if each[1].poll() is not None]
        for each in dead:
            self._at_work.remove(each)
            self._start(each[0])
        return len(dead)

    def ask(self, *words: str) -> Any:
        """Return what `sched WORDS -o json` prints, also if it is that something failed."""
        return _answer(self.asking(*words))

    def asking(self, *words: str) -> subprocess.Popen[bytes]:
        """Start `sched WORDS -o json`."""
        command = [sys.executable, "-m", "rota.scheduler", *words, "-o", "json"]
        return subprocess.Popen(
            command,
            env=self._environment,
            stdout=subprocess.PIPE,
            preexec_fn=_BOUND,  # noqa: PLW1509 - as the store itself is started
        )

    def run(self, jobs: Sequence[str]) -> list[Any]:
        """Trigger jobs, TENANT/JOB each; return how they ended, when all have."""
        return ended([self.asking("trigger", job, "--wait") for job in jobs])

    def __enter__(self) -> Self:
        self._store.start()
        for _ in range(2):
            self._start("sched")
        for _ in range(self._workers):
            self._start("worker")
        self._await_start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _, process in self._at_work:
            process.kill()
        for _, process in self._at_work:
            process.wait()
        self._store.stop()

    def _await_start(self) -> None:
        end = _CLOCK.monotonic() + _START_SECONDS
        logs = list(self._folder.glob("*.log"))
        while not all(_STARTED.search(log.read_text()) for log in logs):
            if _CLOCK.monotonic() > end or any(p.poll() is not None for _, p in self._at_work):
                said = "\n".join(log.read_text()[-2_000:] for log in logs)
                raise RuntimeError(f"the processes did not start\n{said}")
            time.sleep(0.02)

    def _start(self, role: Role) -> None:
        words = {
            "sched": ("rota.scheduler", "run", str(self._config)),
            "worker": ("rota.worker", "run", "--app", self._app),
        }[role]
        log = self._folder / f"{role}-{next(self._numbers)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=_ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C is for the driver
                preexec_fn=_BOUND,  # noqa: PLW1509 - as the store itself is started
            )
        self._at_work.append((role, process))


def _answer(command: subprocess.Popen[bytes]) -> Any:
    """Return the last value that a command prints: those that follow something print several."""
    text = command.communicate()[0].decode()
    if not text.strip():
        raise RuntimeError(f"{command.args!r} printed nothing, exit code {command.returncode}")
    value: Any = None
    while text := text.lstrip():
        value, end = _JSON.raw_decode(text)
        text = text[end:]
    return value


def ended(processes: list[subprocess.Popen[bytes]]) -> list[Any]:
    """Wait for commands; return what they print."""
    return [_answer(process) for process in processes]
