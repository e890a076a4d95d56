"""`python -m rota.single`: one command for a small installation."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import waits
from tests.support.processes import Plant

pytestmark = pytest.mark.system

CONFIG = """
groups: {gold: {}}
tenants:
  acme:
    group: gold
    jobs:
      import: {handler: orders.import, every: 100ms}
"""
JOBS = """
from rota.worker import Jobs

jobs = Jobs()

@jobs.handler("orders.import")
async def import_orders(ctx) -> None:
    ctx.log.info("imported")
"""


def test_one_process(tmp_path: Path) -> None:
    """One process schedules and executes, others see it in the store, and SIGTERM ends it well."""
    (tmp_path / "rota.yaml").write_text(CONFIG)
    (tmp_path / "jobs.py").write_text(JOBS)
    with Plant(tmp_path) as plant:
        single = plant.start("single", "-m", "rota.single", "rota.yaml", "--app", "jobs")
        waits.until(lambda: len(single.log("imported")) >= 2)
        (group,) = plant.ask("status")["groups"]

        assert ("gold", 1) == (group["group"], group["workers"])
        assert 0 == single.stop()
        assert single.log("worker_stopped")
        assert single.log("scheduler_stopped")


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    """A configuration that is wrong ends it with its exit code before anything is begun."""
    (tmp_path / "rota.yaml").write_text(CONFIG.replace("every", "evry"))
    (tmp_path / "jobs.py").write_text(JOBS)
    words = (sys.executable, "-m", "rota.single", "rota.yaml", "--app", "jobs", "--embedded")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=30, check=False)

    assert 3 == done.returncode
    assert b"evry" in done.stderr
