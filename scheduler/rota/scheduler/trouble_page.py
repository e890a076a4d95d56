"""What is paused, rests or is stale, as people read it."""

from rota.scheduler import output
from rota.scheduler.trouble import Trouble

_SHOWN = 30  # rows of a table; the rest is counted


def show(found: Trouble) -> None:
    """Print a table of each kind that there is."""
    _show(
        f"PAUSED ({output.counted(_paused_jobs(found), 'job')})",
        ("TENANT OR JOB", "JOBS", "SINCE", "BY", "WHY"),
        [(row.paused, row.jobs, row.since, row.by, row.why or None) for row in found.paused],
    )
    _show(
        "BREAKERS OPEN",
        ("JOB", "DEAD IN A ROW", "THE LAST", "TRIED AGAIN FROM"),
        [(row.job, row.failures, row.last, row.probe) for row in found.breakers],
    )
    _show(
        "STALE",
        ("JOB", "FRESH WITHIN", "LAST SUCCESS", "STALE SINCE"),
        [(row.job, row.fresh_within, row.last or "never", row.since) for row in found.stale],
    )


def _show(title: str, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    output.write_table(title, columns, rows[:_SHOWN])
    if len(rows) > _SHOWN:
        output.write_line(f"  ... and {len(rows) - _SHOWN} more; -o json has them all\n")


def _paused_jobs(found: Trouble) -> int:
    """Return how many jobs are paused; one that is so by itself, and with its tenant, is one."""
    names = {row.paused for row in found.paused}
    by_tenant = {row.paused for row in found.paused if row.paused.rpartition("/")[0] in names}
    return sum(row.jobs for row in found.paused if row.paused not in by_tenant)
