"""What the name of a run says: a `job_id` is TENANT/JOB:NAME, the name of a due time for most."""

from datetime import UTC, datetime
from functools import lru_cache

from rota.common import clock

_STAMP = "%Y%m%dT%H%M%S"


def is_triggered(run_id: str) -> bool:
    """Tell whether the run stands for no occurrence: it was triggered, or is a backfill's."""
    return due_of(run_id.partition(":")[2]) == 0


def backfilled_ms(run_id: str) -> int:
    """Return when the occurrence was due that a backfill runs with this run; 0 if it is not one."""
    name = run_id.partition(":")[2]
    return due_of(name.rpartition("-")[2]) if name.startswith("backfill-") else 0


def due_of(name: str) -> int:
    """Return when a run was due whose job_id ends in `name`; 0 if somebody triggered it."""
    stamp, _, ms = name.removesuffix("Z").partition(".")
    try:
        return _second(stamp) + int(ms or 0)
    except ValueError:
        return 0


@lru_cache(maxsize=256)
def _second(stamp: str) -> int:
    # What was due together is heard of together.
    return clock.epoch_ms(datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC))
