"""SIGTERM: what runs is finished or given back, nothing is lost and nothing is done twice."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import waits
from tests.support.audit import Audit
from tests.support.processes import Plant, Running

pytestmark = pytest.mark.system

APP = "tests.system.app.handlers"
GRACE = 1.0  # seconds
LEASE = 3.0  # seconds
LOAD = "\n".join(
    f"  tenant-{number}:\n    group: gold\n    jobs:\n"
    "      wait: {handler: work, every: 200ms, args: {seconds: 0.1}}\n"
    "      block: {handler: work-in-thread, every: 300ms, args: {seconds: 0.1}}"
    for number in range(8)
)


def config(folder: Path, *handlers: str, load: bool = False) -> str:
    """Return a job for each of these handlers, which waits for a file; and others if `load`."""
    jobs = [
        f"      {name}: {{handler: {name}, every: 1s, args: {{opened: {folder / 'opened'}}}}}"
        for name in handlers
    ]
    lines = ["groups: {gold: {}}", "tenants:", "  acme:", "    group: gold", "    jobs:", *jobs]
    return "\n".join([*lines, LOAD] if load else lines)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Return a store of its own with workers whose leases are short."""
    with Plant(tmp_path, ROTA_LEASE=f"{LEASE:g}s") as plant:
        yield plant


def start_worker(plant: Plant, name: str) -> Running:
    """Start a worker whose grace is short."""
    return plant.start_worker(APP, "--grace", f"{GRACE:g}s", name=name)


def started(plant: Plant, *jobs: str, attempts: int = 1) -> bool:
    """Tell whether each of acme's jobs has been started so often."""
    audit = plant.audit()
    return all(len(audit.of(f"acme/{job}")) >= attempts for job in jobs)


def finish(plant: Plant, *scheds: Running) -> Audit:
    """Let everything end; return what the handlers did for the runs that were enqueued."""
    (plant.folder / "opened").touch()
    scheds[-1].stop()
    enqueued = {line["job_id"] for sched in scheds for line in sched.log("run_enqueued")}
    waits.until(lambda: enqueued <= {i for i, n in plant.audit().done().items() if n}, 20.0)
    return plant.audit()


def test_a_worker_under_load_gives_back_what_it_can_not_finish(plant: Plant) -> None:
    """After SIGTERM a worker exits 0 within its grace; no run is lost, doubled or counted."""
    gates = ("gate", "gate-in-thread", "gate-in-process")
    sched = plant.start_sched(config(plant.folder, *gates, load=True))
    first = start_worker(plant, "first")
    waits.until(lambda: started(plant, *gates))
    waits.until(lambda: plant.audit().pids()[first.pid] > 30)
    second = start_worker(plant, "second")
    code = first.stop(GRACE + 4)
    waits.until(lambda: started(plant, *gates, attempts=2))
    given_back = plant.audit().again()
    audit = finish(plant, sched)

    assert 0 == code
    assert {"acme"} == {job_id.partition("/")[0] for job_id in given_back}
    assert len(gates) == len(given_back)
    assert {1} == {attempt.attempt for attempt in audit.attempts}
    assert {1} == set(audit.done().values())
    assert [] == audit.overlaps()
    assert [] == audit.unfenced()
    assert 0 == second.stop()


def test_a_thread_that_does_not_listen_overlaps_nothing(plant: Plant) -> None:
    """A thread can't be killed: its run goes to another worker when its process is surely gone."""
    sched = plant.start_sched(config(plant.folder, "deaf-in-thread"))
    first = start_worker(plant, "first")
    waits.until(lambda: started(plant, "deaf-in-thread"))
    start_worker(plant, "second")
    code = first.stop(GRACE + 4)
    waits.until(lambda: started(plant, "deaf-in-thread", attempts=2), LEASE + 10)
    audit = finish(plant, sched)
    lines = [(line["at"], line["pid"]) for line in audit.lines if line["event"] == "alive"]
    last = max(at for at, pid in lines if pid == first.pid)

    assert 0 == code
    assert last < audit.of("acme/deaf-in-thread")[1].start


def test_a_second_signal_ends_a_worker_at_once(plant: Plant) -> None:
    """A worker that is told twice does not use its grace; its runs go to others all the same."""
    sched = plant.start_sched(config(plant.folder, "gate"))
    first = plant.start_worker(APP, "--grace", "1h", name="first")
    waits.until(lambda: started(plant, "gate"))
    first.send(signal.SIGTERM)
    waits.until(lambda: bool(first.log("worker_stopping")))
    waits.until(lambda: ended(first, signal.SIGTERM))
    code = first.wait()
    start_worker(plant, "second")
    waits.until(lambda: started(plant, "gate", attempts=2), LEASE + 10)
    audit = finish(plant, sched)

    assert 128 + signal.SIGTERM == code
    assert [1, 2] == [attempt.attempt for attempt in audit.of("acme/gate")[:2]]
    assert 1 == len({attempt.job_id for attempt in audit.of("acme/gate")[:2]})
    assert [] == audit.overlaps()


def ended(process: Running, number: signal.Signals) -> bool:
    """Tell whether a process has ended, and send it a signal if not."""
    process.send(number)
    return not process.alive


def test_a_new_scheduler_takes_up_what_is_in_flight(plant: Plant) -> None:
    """A scheduler exits 0; the next one awaits the runs in flight and doubles none of them."""
    text = config(plant.folder, "gate", "gate-in-thread", load=True)
    first = plant.start_sched(text, "sched")
    start_worker(plant, "worker")
    waits.until(lambda: started(plant, "gate", "gate-in-thread"))
    code = first.stop()
    second = plant.start_sched(text, "next-sched")
    waits.until(lambda: bool(second.log("group_led")))
    taken_up = second.log("group_led")[0]["in_flight"]
    waits.until(lambda: len(held_up(second)) == 2)
    blamed = held_up(second)
    (plant.folder / "opened").touch()
    waits.until(lambda: started(plant, "gate", "gate-in-thread", attempts=2))
    audit = finish(plant, first, second)

    assert 0 == code
    assert taken_up >= 2
    assert {audit.of(f"acme/{job}")[0].job_id for job in ("gate", "gate-in-thread")} == blamed
    assert {1} == set(audit.done().values())
    assert [] == audit.overlaps()


def held_up(sched: Running) -> set[str]:
    """Return acme's runs in flight for which a scheduler has skipped an occurrence."""
    lines = sched.log("occurrence_skipped")
    return {line["running"] for line in lines if line["tenant"] == "acme"}
