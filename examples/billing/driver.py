"""Bill orders on real processes, and print what became of them: `python3 examples/billing`.

units: the same documents with a commit for each, and in units of a hundred
phases: create, distribute, post; with --kill N, while workers and schedulers are killed
broken: the same, with a carrier that does not recover until somebody mends it
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from examples.billing import checker, fleet, page, schema
from examples.billing.database import BadDatabase, Database, opened
from examples.billing.fleet import Fleet
from examples.billing.measured import compared
from rota.common.clock import SystemClock

JOBS = [f"{tenant}/billing" for tenant in schema.TENANTS]
_FEWEST = 50  # orders
_CLOCK = SystemClock()


def main() -> None:
    """Run what the command line asks for; exit 1 if an order is not billed exactly once."""
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # in order: nothing is left behind
    with tempfile.TemporaryDirectory(prefix="rota-billing-") as folder:
        url = given.database or f"sqlite:///{folder}/billing.db"
        try:
            with opened(url) as db, schema.made(db):
                sys.exit(0 if _run(given, db, url, Path(folder)) else 1)
        except (BadDatabase, ConnectionError) as error:
            sys.exit(f"--database: {error}")
        except KeyboardInterrupt:
            sys.exit(130)


def _arguments() -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("billing", description=__doc__, formatter_class=form)
    parser.add_argument("stage", nargs="*", help="units, phases, broken; all if none is given")
    parser.add_argument("--database", metavar="URL", help="sqlite:///FILE, postgresql://...; empty")
    parser.add_argument("--orders", type=int, default=50_000)
    parser.add_argument("--carriers", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill", type=int, default=0, metavar="N", help="SIGKILLs during phases")
    parser.add_argument("--seed", type=int, default=1, help="for who is killed")
    given = parser.parse_args()
    if given.orders < _FEWEST or given.carriers < 1:
        parser.error(f"there must be {_FEWEST} orders and a carrier at least")
    if unknown := set(given.stage) - STAGES.keys():
        parser.error(f"no such stage: {', '.join(unknown)}; there are {', '.join(STAGES)}")
    return given


def _run(given: argparse.Namespace, db: Database, url: str, folder: Path) -> bool:
    schema.fill(db, orders=given.orders, carriers=given.carriers, now_ms=_CLOCK.now_ms())
    page.say(f"{given.orders:,} orders of {len(JOBS)} tenants for {given.carriers} carriers")
    sound = True
    for name in given.stage or STAGES:
        schema.clear(db)
        (folder / name).mkdir()
        with Fleet(folder / name, url, given.workers) as processes:
            page.say(f"{name}, with ROTA_REDIS_URL={processes.store_url}")
            sound &= STAGES[name](db, processes, given)
    return sound


def units(db: Database, processes: Fleet, _given: argparse.Namespace) -> bool:
    """Make the documents both ways, tenant by tenant; print commits, times and their ratio."""
    for durable in (True, False):
        found = compared(db, processes, durable=durable)
        page.say(page.comparison(found, durable=durable))
    return True


def phases(db: Database, processes: Fleet, given: argparse.Namespace) -> bool:
    """Bill all orders, and kill as many processes meanwhile as were asked for."""
    random, began = Random(given.seed), _CLOCK.monotonic()
    commands = [processes.asking("trigger", job, "--wait") for job in JOBS]
    for number in range(given.kill):
        enough = 2 * given.orders * number // given.kill
        while checker.done(db) < enough and any(each.poll() is None for each in commands):
            time.sleep(0.02)
        time.sleep(random.random() / 5)  # also between two steps
        processes.kill_one(random)
    outcomes = fleet.ended(commands)
    page.say(f"{_seconds(began)}, {processes.killed_text}; {_outcomes(outcomes)}")
    return report(db)


def broken(db: Database, processes: Fleet, _given: argparse.Namespace) -> bool:
    """Bill with a carrier that always fails; then mend it, and replay what is dead."""
    schema.fail(db, 0, schema.FOREVER)
    outcomes = processes.run(JOBS)
    page.say(f"carrier 0 is broken: {_outcomes(outcomes)}")
    page.say(page.numbers(checker.counts(db)))
    schema.fail(db, 0, 0)
    dead = [each["job_id"] for each in outcomes if each["outcome"] == "dead"]
    processes.ask("dead", "replay", *dead, "--yes")
    outcomes = fleet.ended([processes.asking("runs", "show", run, "--follow") for run in dead])
    page.say(f"carrier 0 is mended, and the dead letters are replayed: {_outcomes(outcomes)}")
    return report(db)


def report(db: Database) -> bool:
    """Print what was done, and what should not be; return whether there is none of that."""
    faults = checker.faults(db)
    page.say(page.numbers(checker.counts(db)))
    page.say(page.numbers(faults))
    return not any(faults.values())


def _seconds(began: float) -> str:
    return f"{_CLOCK.monotonic() - began:.1f} s"


def _outcomes(ended: list[Any]) -> str:
    return ", ".join(f"{each['job_id'].partition('/')[0]} {each['outcome']}" for each in ended)


STAGES: dict[str, Callable[[Database, Fleet, argparse.Namespace], bool]] = {
    "units": units,
    "phases": phases,
    "broken": broken,
}


if __name__ == "__main__":
    main()
