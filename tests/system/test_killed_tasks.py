"""Planners, tasks and phases while their workers are killed: each contract once, none left."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import waits
from tests.support.processes import Plant
from tests.system.app import contracts

pytestmark = pytest.mark.system

APP = "tests.system.app.contracts"
CONFIG = """
groups: {{gold: {{}}}}
tenants:
  acme:
    group: gold
    jobs:
      contracts:
        cron: "@yearly"
        args: {{count: {count}{more}}}
        retry: {{attempts: 50, backoff: 100ms}}
        max_task_size: 20
        {what}
"""


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Return a store of its own with workers whose leases are short."""
    with Plant(tmp_path, ROTA_LEASE="2s", **{contracts.FOLDER: str(tmp_path)}) as plant:
        yield plant


def steps(plant: Plant) -> dict[str, list[int]]:
    """Return the contracts that were executed, by step."""
    found: dict[str, list[int]] = {}
    with closing(contracts.connect(plant.folder)) as database:
        for step, number in database.execute("SELECT step, n FROM done ORDER BY step, n"):
            found.setdefault(step, []).append(number)
    return found


def executed(plant: Plant) -> int:
    """Return how many contracts were executed, in all steps."""
    with closing(contracts.connect(plant.folder)) as database:
        return int(database.execute("SELECT COUNT(*) FROM done").fetchone()[0])


def outcome(plant: Plant) -> str:
    """Return how the run ended, or its state so far."""
    entries = plant.ask("runs", "acme/contracts")
    return str(entries[0]["outcome"]) if entries else ""


def test_killed_planner(plant: Plant) -> None:
    """A planner that is killed half-way is followed by one whose tasks are all there are."""
    what = "handler: contracts.plan"
    plant.start_sched(CONFIG.format(count=3_000, more=", stuck: true", what=what))
    victim = plant.start_worker(APP, name="victim")
    plant.ask("trigger", "acme/contracts")
    waits.until((plant.folder / "stuck").exists, 20.0)
    assert {} == steps(plant)
    victim.kill()
    plant.start_worker(APP, "--concurrency", "100")
    waits.until(lambda: len(steps(plant).get("phase 1", [])) == 3_000, 30.0)
    waits.until(lambda: outcome(plant) == "succeeded", 10.0)

    assert {"phase 1": list(range(3_000))} == steps(plant)


@pytest.mark.parametrize(
    ("count", "kills", "workers"),
    [
        (1_500, 3, 2),
        pytest.param(20_000, 20, 2, marks=pytest.mark.long),
        pytest.param(20_000, 40, 20, marks=pytest.mark.long),
    ],
)
def test_killed_workers(plant: Plant, count: int, kills: int, workers: int) -> None:
    """Phases and their tasks survive kills at any time: each contract once in each phase.

    With `-s` it tells how many attempts were repeated.
    """
    plan = "{handler: contracts.plan}"
    close = "{handler: contracts.close}"
    what = f"phases: [{plan}, {plan}, {close}]"
    plant.start_sched(CONFIG.format(count=count, more="", what=what))
    places = ("--concurrency", str(max(1, 20 // workers)))
    working = [plant.start_worker(APP, *places, name=f"worker-{n}") for n in range(workers)]
    plant.ask("trigger", "acme/contracts")
    for number in range(kills):
        enough = 2 * count * number // (kills + 1)
        waits.until(lambda: executed(plant) >= enough, 60.0)  # noqa: B023 - at once
        working.pop(0).kill()
        working.append(plant.start_worker(APP, *places, name=f"worker-{number + workers}"))
    waits.until(lambda: outcome(plant) == "succeeded", 90.0)

    begun = (plant.folder / contracts.ATTEMPTS).read_text().splitlines()
    tasks = len(set(begun))
    print(
        f"\n{count:,} contracts, twice, {tasks:,} tasks, {workers} workers, {kills} kills:"
        f" {len(begun) - tasks} attempts repeated"
    )
    everything = list(range(count))
    assert {"phase 1": everything, "phase 2": everything, "close": [2 * count]} == steps(plant)
