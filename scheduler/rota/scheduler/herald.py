"""Logs what becomes of occurrences that are not run at once."""

from typing import Any

from structlog.typing import FilteringBoundLogger

from rota.common import clock
from rota.common.job import Job
from rota.common.ledger import Outcome
from rota.scheduler.line import Kind, Stretch


def tell(log: FilteringBoundLogger, job: Job, what: Stretch, *, waiting: bool) -> None:
    """Log what was found; `waiting` tells that the run in the way is not enqueued yet."""
    fields = _fields(job, what)
    last = {"waiting" if waiting else "running": what.way}
    if what.kind is Kind.OVERLAPS:
        _overlaps(log, job, fields, last)
    elif what.outcome == Outcome.SKIPPED:
        log.warning("occurrence_skipped", **fields, reason=what.detail, **last)
    else:
        log.info("occurrence_skipped", **fields, reason=what.outcome, detail=what.detail)


def shed(log: FilteringBoundLogger, job: Job, due_ms: int) -> None:
    """Log that an occurrence is over as its tenant has too many queued runs."""
    fields = {"tenant": job.tenant, "job": job.name, "due": clock.iso(due_ms)}
    log.warning("occurrence_shed", **fields, reason="max_backlog")


def _overlaps(
    log: FilteringBoundLogger, job: Job, fields: dict[str, Any], last: dict[str, str]
) -> None:
    if job.overlap == "cancel":
        log.info("run_superseded", **fields, **last)
    elif job.overlap == "skip" or job.schedule.kind == "after":
        reason = "not enqueued" if "waiting" in last else "overlap"
        log.warning("occurrence_skipped", **fields, reason=reason, **last)
    else:
        log.info("occurrence_waits", **fields, **last)


def _fields(job: Job, what: Stretch) -> dict[str, Any]:
    fields: dict[str, Any] = {"tenant": job.tenant, "job": job.name, "due": clock.iso(what.to_ms)}
    if what.times != 1:
        fields |= {"since": clock.iso(what.from_ms), "times": what.times}
    return fields
