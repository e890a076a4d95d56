"""Callers that are killed while very many of their calls are under way."""

from functools import partial
from pathlib import Path

import pytest

from tests.support import waits
from tests.support.processes import Plant, Running
from tests.system.app import callers

pytestmark = pytest.mark.system

APP = "tests.system.app.callers"
COUNT = 1_000


def _has_replies(caller: Running) -> bool:
    return caller.output.read_text().count("\n") > 20


def test_killed_callers(tmp_path: Path) -> None:
    """Who is killed and calls again under the same keys gets each reply, made once."""
    with Plant(tmp_path) as plant:
        plant.start_worker(APP, "--groups", callers.GROUP, "--concurrency", "64")
        for number in range(3):
            victim = plant.start(f"victim-{number}", "-m", APP, str(COUNT))
            waits.until(partial(_has_replies, victim), 20.0)
            victim.kill()
        last = plant.start("last", "-m", APP, str(COUNT))
        code = last.wait(40.0)
        lines = [line.split() for line in last.output.read_text().splitlines()]

        assert 0 == code
        assert {n: 2 * n for n in range(COUNT)} == {int(n): int(doubled) for n, doubled in lines}
        assert {1} == set(plant.audit().done().values())
        assert COUNT == len(plant.audit().attempts)
