"""What `sched run` and `worker run` look at before they begin, and how they say that they work."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from rota.common.embedded import free_port
from rota.common.link import Link
from tests.support import waits
from tests.support.http import get
from tests.support.processes import Plant, Running

pytestmark = pytest.mark.system

CONFIG = "groups: {gold: {}}\n"
APP = "tests.support.child_app"


def start(plant: Plant, program: str, *flags: str) -> Running:
    """Start `sched run` or `worker run` and return at once."""
    if program == "worker":
        return plant.start(program, "-m", "rota.worker", "run", "--app", APP, *flags)
    path = plant.folder / "config.yaml"
    path.write_text(CONFIG)
    return plant.start(program, "-m", "rota.scheduler", "run", str(path), *flags)


def configure(plant: Plant, name: str, value: str) -> None:
    """Set an option of the store."""

    async def go() -> None:
        link = Link(plant.url)
        await link.command("CONFIG", "SET", name, value)
        await link.close()

    asyncio.run(go())


def page(port: int, path: str) -> int:
    """Return the status of a page."""
    return asyncio.run(get(port, path))[0]


@pytest.mark.parametrize("program", ["sched", "worker"])
def test_evicting_store(tmp_path: Path, program: str) -> None:
    """On a store that may drop runs nothing starts: exit code 6, and what to do."""
    with Plant(tmp_path) as plant:
        configure(plant, "maxmemory-policy", "allkeys-lru")
        process = start(plant, program)

        assert 6 == process.wait()
        assert "set maxmemory-policy noeviction" in process.errors.read_text()
        assert ["memory"] == [line["profile"] for line in process.log("store_profile")]
        assert [] == process.log({"sched": "scheduler_started"}.get(program, "worker_started"))


@pytest.mark.parametrize("program", ["sched", "worker"])
def test_strict(tmp_path: Path, program: str) -> None:
    """Who asks for strict mode and has a store that keeps nothing is refused."""
    with Plant(tmp_path, ROTA_DURABILITY="strict") as plant:
        process = start(plant, program)

        assert 6 == process.wait()
        assert "appendonly yes" in process.errors.read_text()


@pytest.mark.parametrize("program", ["sched", "worker"])
def test_health(tmp_path: Path, program: str) -> None:
    """A daemon is ready when it works, live while its store hangs, and gone when it has stopped."""
    port = free_port()
    with Plant(tmp_path) as plant:
        groups = ["--groups", "gold"] if program == "worker" else []  # else it has to find some
        process = start(plant, program, "--health", f"127.0.0.1:{port}", *groups)
        waits.until(lambda: waits.listens(port))
        waits.until(lambda: 200 == page(port, "/readyz"))

        assert 200 == page(port, "/livez")
        os.kill(plant._store.pid, signal.SIGSTOP)
        try:
            assert 200 == page(port, "/livez")
        finally:
            os.kill(plant._store.pid, signal.SIGCONT)
        assert 0 == process.stop()
        assert not waits.listens(port)


@pytest.mark.parametrize("program", ["sched", "worker"])
@pytest.mark.parametrize("address", ["8081", "localhost:http"])
def test_wrong_address(tmp_path: Path, program: str, address: str) -> None:
    """An address that is none is a mistake of usage, and nothing starts."""
    with Plant(tmp_path) as plant:
        process = start(plant, program, "--health", address)

        assert 2 == process.wait()
        assert "127.0.0.1:8081" in process.errors.read_text()
