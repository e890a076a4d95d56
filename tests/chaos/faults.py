"""What can be broken, one function each."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.chaos.crowds import Cluster, Sentinels
from tests.chaos.fleet import Fleet, Member
from tests.chaos.layouts import Layout, Replicated, Single
from tests.chaos.ledger import Ledger
from tests.chaos.server import ask


@dataclass(kw_only=True)
class Field:
    """What faults act upon."""

    random: Random
    ledger: Ledger
    layout: Layout
    fleet: Fleet
    config: Path
    lease: float  # seconds
    tasks: list[asyncio.Task[None]] = field(default_factory=list)  # faults that take their time

    def later(self, work: Coroutine[None, None, None]) -> None:
        """Let something go on while the next faults happen."""
        self.tasks.append(asyncio.create_task(work))

    def replace(self, member: Member) -> None:
        """Start a process in place of one that is gone."""
        if member.role == "worker":
            self.fleet.start_worker(member.side)
        else:
            self.fleet.start_sched(self.config)


Fault = Callable[[Field], Awaitable[None]]


async def kill_worker(field: Field) -> None:
    """SIGKILL a worker."""
    victim = field.fleet.pick("worker")
    field.fleet.kill(victim)
    field.replace(victim)


async def stop_worker(field: Field) -> None:
    """SIGSTOP a worker for half a lease up to three; then it has a moment, and is asked to end."""
    victim = field.fleet.pick("worker")
    field.fleet.pause(victim)
    field.replace(victim)
    field.later(_resume(field, victim, field.random.uniform(0.5, 3) * field.lease))


async def _resume(field: Field, member: Member, seconds: float) -> None:
    await asyncio.sleep(seconds)
    field.fleet.resume(member)
    await asyncio.sleep(field.random.uniform(1, 4))
    await field.fleet.retire(member)


async def kill_sched(field: Field) -> None:
    """SIGKILL a scheduler, at every fourth time both."""
    both = field.random.random() < 0.25
    victims = field.fleet.at_work("sched") if both else [field.fleet.pick("sched")]
    for victim in victims:
        field.fleet.kill(victim)
    await asyncio.sleep(field.random.uniform(0, 1))
    for victim in victims:
        field.replace(victim)


def _outage(field: Field) -> float:
    """Return seconds short of what a lease can bridge: 3 s at most by default."""
    return field.random.uniform(0.02, 0.2) * field.lease


async def restart(field: Field) -> None:
    """SIGKILL the server; start it again with its data."""
    assert isinstance(field.layout, Single)
    await field.layout.restart(down=_outage(field), empty=False)


async def restart_empty(field: Field) -> None:
    """SIGKILL the server; start it again with nothing."""
    assert isinstance(field.layout, Single)
    await field.layout.restart(down=_outage(field), empty=True)


async def fail_over(field: Field) -> None:
    """Lose a master whose last writes, about 0.8 s of them, have not reached the replica."""
    assert isinstance(field.layout, Replicated)
    await field.layout.fail_over(lag=field.random.uniform(0.7, 0.9))


async def split(field: Field) -> None:
    """Leave half of the workers alone with the old master, for longer than a lease."""
    assert isinstance(field.layout, Replicated)
    alone = [m.running.pid for m in field.fleet.at_work("worker") if m.side == 1]
    field.ledger.note("isolated", pids=alone)
    await field.layout.split(10 + field.random.uniform(0.2, 0.8) * field.lease)
    field.ledger.note("rejoined", pids=alone)


async def lose_master(field: Field) -> None:
    """SIGKILL a master that others replace by themselves."""
    assert isinstance(field.layout, (Sentinels, Cluster))
    await field.layout.lose_master(down=field.random.uniform(0.5, 2))


async def kill_clients(field: Field) -> None:
    """End every connection to the server."""
    for port in field.layout.masters():
        await ask(port, "CLIENT", "KILL", "TYPE", "normal")


async def slow_down(field: Field) -> None:
    """Make the link slow, uneven and narrow for some seconds."""
    assert isinstance(field.layout, Single)
    wire = field.layout.wire
    wire.latency, wire.jitter = field.random.uniform(0.05, 0.2), 0.1
    wire.rate = field.random.uniform(8_000, 32_000)
    await asyncio.sleep(field.random.uniform(5, 15))
    wire.latency = wire.jitter = wire.rate = 0.0
    field.ledger.note("mended")


async def fill_memory(field: Field) -> None:
    """Let the server's memory be used up for some seconds."""
    for port in field.layout.masters():
        await ask(port, "CONFIG", "SET", "maxmemory", "1mb")
    await asyncio.sleep(field.random.uniform(3, 10))
    for port in field.layout.masters():
        await ask(port, "CONFIG", "SET", "maxmemory", "0")
    field.ledger.note("mended")
