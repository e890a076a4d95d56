"""The tasks of one run as commands show them."""

from typing import Any

import msgspec

from rota.common import fan_out, keys
from rota.common.catalog import Catalog
from rota.common.errors import NotFound
from rota.common.fan_out import FanOut
from rota.common.ledger import Ledger
from rota.common.link import Link
from rota.scheduler import output
from rota.scheduler.history import span


async def read(job_id: str, link: Link) -> FanOut:
    """Return the tasks of a run; raises `NotFound` if it has none, or none any more."""
    groups = await Catalog(link).groups()
    group = await Ledger(link).group(job_id.partition(":")[0], groups)
    found = await fan_out.read(group, job_id, link) if group else None
    if group is None or found is None:
        known = group and await link.command("EXISTS", keys.run(group, job_id))
        what = "has no tasks now" if known else "is in flight or dead no more, or there is no such"
        raise NotFound(f"run {job_id} {what} (`sched runs TENANT/JOB` tells how runs ended)")
    return found


def write(found: FanOut, most: int) -> None:
    """Print how far the tasks are, at most so many that run, and why some are dead."""
    output.write_line(summary(found))
    output.write_line("")
    running = [task for task in found.live if task.state == "running"]
    output.write_table(
        f"RUNNING ({len(running)}, the longest first)",
        ("TASK", "SIZE", "ATTEMPT", "FOR", "WORKER"),
        [
            (name_of(t.job_id), f"{t.size:g}", t.attempt, span(max(0, found.now_ms - t.started_ms)),
             t.worker)
            for t in running[:most]
        ],
    )  # fmt: skip
    output.write_table(
        f"DEAD ({found.dead})",
        ("TASK", "KEY", "ATTEMPTS", "ERROR", "MESSAGE", "WORKER"),
        [
            (name_of(t.job_id), t.key, t.attempt, t.kind, t.message, t.worker)
            for t in found.failures[:most]
        ],
    )


def summary(found: FanOut) -> str:
    """Return in one line how far the tasks are."""
    ended = found.succeeded + found.dead + found.cancelled
    share = f" ({ended / found.planned:.0%})" if found.planned and found.whole else ""
    so_far = "" if found.whole else " so far"
    cancelled = f", {found.cancelled:,} cancelled" if found.cancelled else ""
    return (
        f"{found.job_id}  phase {found.phase}: {found.planned:,} tasks planned{so_far}, "
        f"{ended:,} over{share}: {found.succeeded:,} succeeded, {found.dead:,} dead{cancelled}; "
        f"{found.running:,} running, {found.waiting:,} waiting"
    )


def name_of(job_id: str) -> str:
    """Return how a task is called within its run, such as `#1.17`."""
    return f"#{job_id.rpartition('#')[2]}"


def as_data(found: FanOut) -> dict[str, Any]:
    """Return all of it as plain data."""
    told: dict[str, Any] = msgspec.to_builtins(found)
    told["live"] = [task._asdict() for task in found.live]
    told["failures"] = [task._asdict() for task in found.failures]
    return told | {"running": found.running, "waiting": found.waiting}
