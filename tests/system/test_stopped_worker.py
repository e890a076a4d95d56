"""A worker that is stopped, or killed, leaves no child process behind that works on."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rota.common.clock import SystemClock
from tests.support import waits
from tests.support.processes import Plant, Running

pytestmark = pytest.mark.system

LEASE = 3.0  # seconds
CLOCK = SystemClock()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Return a store of its own with workers whose leases are short, and a scheduler."""
    with Plant(tmp_path, ROTA_LEASE=f"{LEASE:g}s") as plant:
        plant.start_sched(
            "groups: {gold: {}}\ntenants: {acme: {group: gold, jobs: {wait: {handler: "
            f"gate-in-process, every: 1s, args: {{opened: {tmp_path / 'opened'}}}}}}}}}}}\n"
        )
        yield plant


def busy(plant: Plant) -> tuple[Running, int]:
    """Return a worker, and the process id of its child, which has begun to work."""
    worker = plant.start_worker("tests.system.app.handlers")
    waits.until(lambda: bool(plant.audit().of("acme/wait")), 20.0)
    return worker, plant.audit().of("acme/wait")[0].pid


def gone(pid: int) -> bool:
    """Tell whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_stopped(plant: Plant) -> None:
    """The child of a stopped worker is gone before its run goes to another, and nothing overlaps.

    The worker that goes on afterwards reports nothing, and works again.
    """
    worker, child = busy(plant)
    plant.start_worker("tests.system.app.handlers", name="other")
    worker.send(signal.SIGSTOP)
    waits.until(lambda: gone(child), LEASE + 5)
    gone_at = CLOCK.monotonic()
    waits.until(lambda: len(plant.audit().of("acme/wait")) >= 2, LEASE + 10)
    worker.send(signal.SIGCONT)
    (plant.folder / "opened").touch()
    waits.until(lambda: len(plant.audit().of("acme/wait")) >= 3, 20.0)
    first, second = plant.audit().of("acme/wait")[:2]

    assert gone_at < second.start
    assert (1, 2) == (first.attempt, second.attempt)
    assert first.job_id == second.job_id
    assert worker.alive
    assert 1 == plant.audit().done()[first.job_id]


def test_not_stopped(plant: Plant) -> None:
    """The child of a worker that lives goes on for longer than a lease."""
    _, child = busy(plant)
    end = CLOCK.monotonic() + 1.5 * LEASE
    waits.until(lambda: gone(child) or CLOCK.monotonic() > end, 3 * LEASE)

    assert not gone(child)
    assert 1 == len(plant.audit().of("acme/wait"))


def test_killed(plant: Plant) -> None:
    """The child of a killed worker is gone at once, and not only when the lease ends."""
    worker, child = busy(plant)
    worker.kill()
    waits.until(lambda: gone(child), LEASE / 2)
