"""The schedulers and workers: real processes that can be killed, stopped and replaced."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

from rota.common.embedded import die_with_parent
from rota.common.settings import Settings
from tests.chaos.layouts import Layout
from tests.chaos.ledger import CLOCK, Ledger
from tests.support import audit
from tests.support.processes import ROOT, Running

APP = "tests.chaos.app"
CONCURRENCY = 4
_LEAVE_SECONDS = 60.0  # after SIGTERM; above the worker's own grace time

Role = Literal["worker", "sched"]


class Member(NamedTuple):
    """One process of the fleet."""

    role: Role
    side: int  # 0 or 1: which address of the store it was given
    running: Running


class Fleet:
    """All processes; none outlives `end`, nor the driver."""

    def __init__(
        self,
        folder: Path,
        layout: Layout,
        ledger: Ledger,
        random: Random,
        settings: Settings,
    ) -> None:
        self._folder = folder
        self._layout = layout
        self._ledger = ledger
        self._random = random
        self._numbers = count(1)
        self._members: list[Member] = []  # those at work, none of them stopped
        self._all: list[Member] = []
        self.audit_file = folder / "audit"
        self._environment = {
            **os.environ,
            "ROTA_LOG_FORMAT": "json",
            "ROTA_LOG_LEVEL": "debug",
            "ROTA_LEASE": settings.lease,
            "ROTA_DURABILITY": settings.durability,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")])),
            audit.VARIABLE: str(self.audit_file),
        }

    def start_sched(self, config: Path) -> Member:
        """Start a scheduler, on side 0."""
        return self._start("sched", 0, "-m", "rota.scheduler", "run", str(config))

    def start_worker(self, side: int = 0) -> Member:
        """Start a worker on one of the sides."""
        flags = ("--app", APP, "--concurrency", str(CONCURRENCY))
        return self._start("worker", side, "-m", "rota.worker", "run", *flags)

    def at_work(self, role: Role) -> list[Member]:
        """Return those of `role` that are neither dead nor stopped."""
        return [member for member in self._members if member.role == role]

    def pick(self, role: Role) -> Member:
        """Return one of them at random."""
        return self._random.choice(self.at_work(role))

    def kill(self, member: Member) -> None:
        """End a process as a crash does."""
        self._members.remove(member)
        member.running.kill()
        self._note("killed", member)

    def pause(self, member: Member) -> None:
        """Stop a process where it stands."""
        self._members.remove(member)
        member.running.send(signal.SIGSTOP)
        self._note("stopped", member)

    def resume(self, member: Member) -> None:
        """Let a stopped process go on."""
        self._note("continued", member)
        member.running.send(signal.SIGCONT)
        self._members.append(member)

    async def retire(self, member: Member) -> None:
        """Ask a process to end, as a deployment does, and wait for it."""
        if member in self._members:
            self._members.remove(member)
            member.running.send(signal.SIGTERM)
            end = CLOCK.monotonic() + _LEAVE_SECONDS
            while member.running.alive and CLOCK.monotonic() < end:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.05)
            late = member.running.alive
            member.running.kill()
            self._note("killed" if late else "ended", member)

    def casualties(self) -> list[Member]:
        """Return those that died though nobody killed them; they are at work no more."""
        dead = [member for member in self._members if not member.running.alive]
        for member in dead:
            self._note("casualty", member, name=member.running.name)
            self.kill(member)
        return dead

    def accepted(self) -> dict[str, float]:
        """Return the occurrences that the store acknowledged to a scheduler, with Unix seconds."""
        found: dict[str, float] = {}
        for member in self._all:
            if member.role == "sched":
                for line in member.running.log("run_enqueued"):
                    moment = _unix(line["timestamp"])
                    found[line["job_id"]] = min(moment, found.get(line["job_id"], moment))
        return found

    def end(self) -> None:
        """Kill whatever is left."""
        for member in self._all:
            if member.running.alive:
                member.running.send(signal.SIGKILL)
        for member in self._all:
            member.running.kill()

    def _start(self, role: Role, side: int, *words: str) -> Member:
        name = f"{role}-{next(self._numbers)}"
        errors, output = (self._folder / f"{name}.{kind}" for kind in ("err", "out"))
        with errors.open("xb") as err, output.open("xb") as out:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=self._folder,
                env=self._environment | {"ROTA_REDIS_URL": self._layout.url(side)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # Ctrl-C is for the driver
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - it only calls prctl
            )
        member = Member(role, side, Running(name, self._folder, process))
        self._members.append(member)
        self._all.append(member)
        self._note("started", member, name=name)
        return member

    def _note(self, event: str, member: Member, name: str | None = None) -> None:
        self._ledger.note(
            event, pid=member.running.pid, role=member.role, name=name or member.running.name
        )


def _unix(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
