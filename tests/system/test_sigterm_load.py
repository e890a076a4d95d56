"""SIGTERM under load: workers are told to end, one by one and all at once, while others start."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import waits, workers
from tests.support.audit import Audit
from tests.support.processes import Plant, Running

pytestmark = pytest.mark.system

APP = "tests.system.app.handlers"
GRACE = 1.0  # seconds
LEASE = 5.0  # seconds: longer than the grace and what comes behind it
BEHIND = 4.0  # seconds that a worker may take behind its grace to cancel, give back and exit
LONG = 8.0  # seconds: what takes so long is given back, unless it is nearly over
DEAF = "deaf"  # job whose thread goes on, whatever it is told, until its process has gone
JOBS = f"""
      loop: {{handler: work, every: 200ms, args: {{seconds: 0.05}}}}
      thread: {{handler: work-in-thread, every: 300ms, args: {{seconds: 0.1}}}}
      process: {{handler: work-in-process, every: 2s, args: {{seconds: 0.1}}}}
      long-loop: {{handler: work, every: 1s, args: {{seconds: {LONG}}}}}
      long-thread: {{handler: heed-in-thread, every: 1s, args: {{seconds: {LONG}}}}}
"""
HEAVY = f"""
      long-process: {{handler: work-in-process, every: 1s, args: {{seconds: {LONG}}}}}
      {DEAF}: {{handler: work-in-thread, every: 1s, args: {{seconds: {LONG}}}}}
"""
TENANTS = 6
_OFTEN = 0.1  # seconds between two looks at a long audit; pytest's own limit ends a wait for ever


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Return a store of its own with workers whose leases are short."""
    with Plant(tmp_path, ROTA_LEASE=f"{LEASE:g}s") as plant:
        yield plant


class Relay:
    """Workers under load, of which each is followed by another."""

    def __init__(self, plant: Plant, count: int, grace: str = f"{GRACE:g}s") -> None:
        self.plant = plant
        self.grace = grace
        self.codes: list[int] = []  # of those that were told to end
        self.rescued: list[str] = []  # job_ids
        tenants = [
            f"  tenant-{number}:\n    group: gold\n    jobs:{JOBS}{'' if number else HEAVY}"
            for number in range(TENANTS)
        ]
        self.sched = plant.start_sched("\n".join(["groups: {gold: {}}", "tenants:", *tenants]))
        self.started = 0
        self.working = self.start(count)

    def start(self, count: int) -> list[Running]:
        """Start workers, one after the other.

        From the main thread: a process dies with the thread that started it.
        """
        flags = ("--grace", self.grace, "--concurrency", "24")
        first, self.started = self.started, self.started + count
        names = [f"worker-{first + number}" for number in range(count)]
        return [self.plant.start_worker(APP, *flags, name=name) for name in names]

    def replace(self, count: int) -> None:
        """Tell the oldest workers to end, all at once, and start as many others meanwhile."""
        leaving, self.working = self.working[:count], self.working[count:]
        with ThreadPoolExecutor() as pool:
            codes = [pool.submit(worker.stop, GRACE + BEHIND) for worker in leaving]
            self.working += self.start(count)
            self.codes += [code.result() for code in codes]

    def work(self, runs: int) -> None:
        """Return when so many runs more have been done."""
        wanted = self.done() + runs
        while self.done() < wanted:
            time.sleep(_OFTEN)

    def done(self) -> int:
        """Return how many lines say that a run has been done."""
        return self.plant.audit_file.read_bytes().count(b'"done"')

    def finish(self) -> Audit:
        """Enqueue no more; return what the handlers did when all that was enqueued is done."""
        self.sched.stop()
        self.rescued += [line["job_id"] for line in self.sched.log("run_rescued")]
        enqueued = {line["job_id"] for line in self.sched.log("run_enqueued")}
        with workers.sweeping(self.plant.url) as rescued:  # what was given back may still rest
            while not enqueued <= ended(self.plant.audit()):
                time.sleep(_OFTEN)
        self.rescued += [run.job_id for run in rescued]
        return self.plant.audit()


def ended(audit: Audit) -> set[str]:
    """Return the runs that came to their end."""
    return {job_id for job_id, times in audit.done().items() if times}


def assert_nothing_was_lost(relay: Relay, audit: Audit) -> None:
    """Assert that each run was done once, and counted once however often it was started.

    A thread that does not listen may be done just when its run has been given back.
    """
    twice = {job_id for job_id, times in audit.done().items() if times > 1}

    assert {1} == {attempt.attempt for attempt in audit.attempts}
    assert {DEAF} >= {job_id.partition(":")[0].partition("/")[2] for job_id in twice}
    assert [] == audit.overlaps()
    assert [] == audit.unfenced()
    assert [] == relay.rescued
    assert [] == [line for w in relay.working for line in w.log("release_failed")]


@pytest.mark.parametrize(
    ("runs", "alone", "together"),
    [(200, 2, 1), pytest.param(1_500, 14, 3, marks=pytest.mark.long)],
    ids=["short", "long"],
)
def test_workers_come_and_go(plant: Plant, runs: int, alone: int, together: int) -> None:
    """However often workers are told to end: no run is lost, done twice, or costs an attempt.

    Each of them exits 0 within its grace and what it takes to give back what it could not finish.
    """
    relay = Relay(plant, 3)
    for count in [1] * alone + [3] * together:
        relay.work(runs // (alone + together))
        relay.replace(count)
    audit = relay.finish()
    print(f"{len(audit.runs())} runs, {len(relay.codes)} SIGTERMs, again: {len(audit.again())}")

    assert {0} == set(relay.codes)
    assert len(audit.runs()) >= runs
    assert audit.again()
    assert_nothing_was_lost(relay, audit)


def test_a_second_signal_under_load(plant: Plant) -> None:
    """A worker that is told twice ends at once; what it held runs again, and nothing twice."""
    relay = Relay(plant, 2, grace="1h")
    relay.work(50)
    first = relay.working.pop(0)
    first.send(signal.SIGTERM)
    waits.until(lambda: bool(first.log("worker_stopping")))
    waits.until(lambda: gone(first), BEHIND)
    code = first.wait()
    relay.start(1)
    relay.work(50)
    audit = relay.finish()
    again = [attempts for attempts in audit.runs().values() if len(attempts) > 1]

    assert 128 + signal.SIGTERM == code
    assert again
    assert {1, 2} == {attempt.attempt for attempt in audit.attempts}
    assert [] == audit.overlaps()
    assert [] == audit.unfenced()


def gone(process: Running) -> bool:
    """Tell whether a process has ended; send it a signal again if not."""
    process.send(signal.SIGTERM)
    return not process.alive
