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


class Comparison(NamedTuple):
    """What was measured for one tenant."""

    one_by_one: Took
    in_units: Took
    commit_ms: float  # of a transaction that changes one row, and nothing else


def compared(db: Database, processes: Fleet, *, durable: bool) -> list[Comparison]:
    """Let each tenant have its documents made both ways, each way first in turn."""
    found = []
    for number, tenant in enumerate(schema.TENANTS):
        ways = (ONE_BY_ONE, IN_UNITS) if number % 2 else (IN_UNITS, ONE_BY_ONE)
        took = {way: _took(db, processes, f"{tenant}/{way}", durable) for way in ways}
        bare = _commit_ms(processes.database, durable)
        found.append(Comparison(took[ONE_BY_ONE], took[IN_UNITS], bare))
    return found


def _took(db: Database, processes: Fleet, job: str, durable: bool) -> Took:
    schema.clear(db)
    (ended,) = processes.run([job if durable else f"{job}-unsynced"])
    if ended["outcome"] != "succeeded":
        raise RuntimeError(f"{job} did not succeed: {ended}")
    result = ended["result"]
    return Took(result["documents"], result["commits"], max(1, ended["took_ms"]) / 1000)


def _commit_ms(url: str, durable: bool) -> float:
    took = []
    with opened(url, durable=durable) as db:
        for _ in range(_COMMITS):
            began = _CLOCK.monotonic()
            with db.transaction():
                db.run("UPDATE carriers SET calls = calls + 1 WHERE carrier = 0")
            took.append(_CLOCK.monotonic() - began)
    return median(took) * 1000
