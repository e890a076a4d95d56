"""Shares and entitlements as people read them."""

from typing import Any

from rota.scheduler import output
from rota.scheduler.fairness import GroupShare, Report, TenantShare
from rota.scheduler.history import span

_SHOWN = 30  # tenants; the rest is counted


def show(report: Report) -> None:
    """Print groups, tenants, who lacks most first, and in words what can't be compared."""
    if not report.groups:
        output.write_line("nothing here yet: no scheduler has published jobs (`sched run CONFIG`)")
        return
    output.write_line(f"service of workers {_period(report)}\n")
    output.write_table(
        "GROUPS",
        ("GROUP", "WEIGHT", "SERVICE", "SHARE", "ENTITLED", "RUNS", "WAIT P50", "P99", "QUEUED",
         "JAIN"),
        [_group(group) for group in report.groups],
    )  # fmt: skip
    output.write_table(
        "TENANTS",
        ("TENANT", "GROUP", "WEIGHT", "SERVICE", "SHARE", "ENTITLED", "LACKS", "RUNS",
         "WAIT P50", "P99", "QUEUED", "OLDEST", "NOTE"),
        [_tenant(line) for line in report.tenants[:_SHOWN]],
    )  # fmt: skip
    if len(report.tenants) > _SHOWN:
        more = output.counted(len(report.tenants) - _SHOWN, "more tenant")
        output.write_line(f"  ... and {more} (`-o json` has all)\n")
    for text in words(report):
        output.write_line(text)


def words(report: Report) -> list[str]:
    """Return what the tables can't tell."""
    found = []
    for group in report.groups:
        if not group.service_s and group.queued:
            runs = output.counted(group.queued, "run")
            told = f"nothing ran, and {runs} queued (`sched status` tells which workers there are)"
            found.append(f"group {group.group}: {told}")
        elif not group.service_s:
            found.append(f"group {group.group}: nothing ran, and nothing is queued")
        elif group.jain is None and report.seconds:
            who = "only one tenant" if group.compared else "no tenant"
            found.append(
                f"group {group.group}: no Jain index, as {who} had runs queued all the time; who"
                " had none queued got what it wanted"
            )
    return found


def _period(report: Report) -> str:
    if report.seconds is None:
        return "since the counters began; `--for 10s` tells how it is now, and Jain's index"
    return f"in {span(round(report.seconds * 1000))}"


def _group(line: GroupShare) -> tuple[Any, ...]:
    index = line.jain
    return (
        *(line.group, line.weight, _seconds(line.service_s), _percent(line.share)),
        *(_percent(line.entitled), line.runs, _span(line.wait_p50_ms), _span(line.wait_p99_ms)),
        *(line.queued, None if index is None else f"{index:.3f} of {line.compared}"),
    )


def _tenant(line: TenantShare) -> tuple[Any, ...]:
    return (
        *(line.tenant, line.group, line.weight, _seconds(line.service_s), _percent(line.share)),
        *(_percent(line.entitled), _seconds(line.lacks_s), line.runs),
        *(_span(line.wait_p50_ms), _span(line.wait_p99_ms), line.queued),
        *(_span(line.oldest_ms) if line.queued else None, _note(line)),
    )


def _note(line: TenantShare) -> str:
    if line.limited:
        return "at its limit"
    return "waits" if line.backlogged else ""


def _seconds(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}s"  # no -0.0


def _percent(part: float) -> str:
    return f"{100 * part:.1f}%"


def _span(ms: int | None) -> str | None:
    return None if ms is None else span(ms)
