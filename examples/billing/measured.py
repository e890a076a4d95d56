"""The same documents with a commit for each, and in units: what each took, tenant by tenant."""

from statistics import median
from typing import NamedTuple

from examples.billing import schema
from examples.billing.database import Database, opened
from examples.billing.fleet import Fleet
from rota.common.clock import SystemClock

ONE_BY_ONE, IN_UNITS = "one-by-one", "in-units"
_COMMITS = 200  # to learn what a bare one takes
_CLOCK = SystemClock()


class Took(NamedTuple):
    """What a run reported."""

    documents: int
    commits: int
    seconds: float


def compared(db: Database, processes: Fleet, *, durable: bool) -> list[dict[str, Took]]:
    """Let each tenant have its documents made both ways, each way first in turn."""
    found = []
    for number, tenant in enumerate(schema.TENANTS):
        ways = (ONE_BY_ONE, IN_UNITS) if number % 2 else (IN_UNITS, ONE_BY_ONE)
        found.append({way: _took(db, processes, f"{tenant}/{way}", durable) for way in ways})
    return found


def _took(db: Database, processes: Fleet, job: str, durable: bool) -> Took:
    schema.clear(db)
    (ended,) = processes.run([job if durable else f"{job}-unsynced"])
    if ended["outcome"] != "succeeded":
        raise RuntimeError(f"{job} did not succeed: {ended}")
    result = ended["result"]
    return Took(result["documents"], result["commits"], max(1, ended["took_ms"]) / 1000)


def commit_ms(url: str, *, durable: bool) -> float:
    """Return what a transaction that changes one row takes: milliseconds, the median of many."""
    took = []
    with opened(url, durable=durable) as db:
        for _ in range(_COMMITS):
            began = _CLOCK.monotonic()
            with db.transaction():
                db.run("UPDATE carriers SET calls = calls + 1 WHERE carrier = 0")
            took.append(_CLOCK.monotonic() - began)
    return median(took) * 1000
