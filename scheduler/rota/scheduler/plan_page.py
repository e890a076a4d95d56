"""A plan, and the list of revisions, as people read them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from rota.common import clock
from rota.common.revisions import Revision
from rota.scheduler import output
from rota.scheduler.plan import Field, JobPlan, Plan

_SHOWN = 10  # overrides
_LONGEST = 100  # characters of a value


def show(plan: Plan, against: Revision | None) -> None:
    """Print a plan: counts first, then what is added (+), changed (~) and removed (-)."""
    if not plan.changes:
        output.write_line(f"nothing to change: {_named(against)} says the same")
        _show_overrides(plan)
        return
    output.write_line(f"against {_named(against)}")
    for line in _counts(plan):
        output.write_line(line)
    _show_overrides(plan)
    output.write_line("")
    for line in _lines(plan):
        output.write_line(output.printable(line))


def show_revisions(kept: Sequence[Revision], current: str) -> None:
    """Print the revisions that are kept; the current one is marked."""
    rows = [
        (
            f"{revision.number}{' *' if revision.name == current else ''}",
            clock.iso_seconds(revision.at_ms),
            *(revision.by, revision.command, revision.groups, revision.tenants, revision.jobs),
        )
        for revision in kept
    ]
    columns = ("REVISION", "APPLIED", "BY", "COMMAND", "GROUPS", "TENANTS", "JOBS")
    output.write_table("REVISIONS", columns, rows)
    if not kept:
        output.write_line("nothing was applied yet: sched apply CONFIG")


def _show_overrides(plan: Plan) -> None:
    """Print what stays whatever is applied: what operators have paused."""
    if plan.overrides:
        output.write_line("  overrides that stay")
    for each in plan.overrides[:_SHOWN]:
        why = f": {each.why}" if each.why else ""
        line = f"    {each.paused} is paused, since {each.since} by {each.by}{why}"
        output.write_line(output.printable(line))
    if (left := len(plan.overrides) - _SHOWN) > 0:
        output.write_line(f"    ... and {left} more; `sched status` shows them")


def _named(revision: Revision | None) -> str:
    if revision is None:
        return "an empty store: nothing was applied yet"
    when = clock.iso_seconds(revision.at_ms)
    return output.printable(
        f"revision {revision.number}, applied {when} by {revision.by} ({revision.command})"
    )


def _counts(plan: Plan) -> list[str]:
    n = plan.counts
    lines = [f"  jobs     {n.jobs_added:,} added, {n.jobs_changed:,} changed,"]
    lines[0] += f" {n.jobs_removed:,} removed, {n.jobs_unchanged:,} unchanged"
    if n.tenants_added or n.tenants_changed or n.tenants_removed:
        lines.append(
            f"  tenants  {n.tenants_added:,} added, {n.tenants_changed:,} changed,"
            f" {n.tenants_removed:,} removed"
        )
    if n.groups_added or n.groups_changed or n.groups_removed:
        lines.append(
            f"  groups   {n.groups_added:,} added, {n.groups_changed:,} changed,"
            f" {n.groups_removed:,} removed"
        )
    if n.handlers_changed:
        lines.append(f"  handlers {n.handlers_changed:,} changed")
    if n.in_flight:
        lines.append(f"  runs     {n.in_flight:,} in flight, which go on as they were sent")
    return lines


def _lines(plan: Plan) -> list[str]:
    n = plan.counts
    lines = _names("+", "group", plan.groups_added, n.groups_added)
    groups = [(each.group, each.fields) for each in plan.groups_changed]
    lines += _changes("group", groups, n.groups_changed)
    lines += _names("-", "group", plan.groups_removed, n.groups_removed)
    lines += [f"~ {field.field}  {_change(field)}" for field in plan.settings]
    lines += _more(n.settings_changed, plan.settings, "settings changed")
    handlers = [(each.handler, each.fields) for each in plan.handlers_changed]
    lines += _changes("handler", handlers, n.handlers_changed)
    lines += _names("+", "tenant", plan.tenants_added, n.tenants_added)
    tenants = [(each.tenant, each.fields) for each in plan.tenants_changed]
    lines += _changes("tenant", tenants, n.tenants_changed)
    lines += _names("-", "tenant", plan.tenants_removed, n.tenants_removed)
    for sign, jobs, count, word in (
        ("+", plan.added, n.jobs_added, "added"),
        ("~", plan.changed, n.jobs_changed, "changed"),
        ("-", plan.removed, n.jobs_removed, "removed"),
    ):
        for job in jobs:
            lines += _job(sign, job)
        lines += _more(count, jobs, f"jobs {word}")
    return lines


def _names(sign: str, kind: str, names: Sequence[str], count: int) -> list[str]:
    word = "added" if sign == "+" else "removed"
    return [f"{sign} {kind} {name}" for name in names] + _more(count, names, f"{kind}s {word}")


def _changes(kind: str, rows: Sequence[tuple[str, Sequence[Field]]], count: int) -> list[str]:
    lines = [line for name, fields in rows for line in (f"~ {kind} {name}", *_table(fields))]
    return lines + _more(count, rows, f"{kind}s changed")


def _job(sign: str, job: JobPlan) -> list[str]:
    lines = [f"{sign} {job.job}"]
    if not job.fields:
        lines[0] += f"  {job.schedule}  {job.handler}"
    lines += _table(job.fields)
    before, after = ", ".join(job.next_before), ", ".join(job.next_after)
    if before and after:
        lines += [f"    next before  {before}", f"    next after   {after}"]
    elif before or after:
        lines.append(f"    next  {after or 'none; it would have been ' + before}")
    if job.running:
        lines.append(f"    in flight  {job.running}")
    return lines


def _table(fields: Sequence[Field]) -> list[str]:
    width = max((len(field.field) for field in fields), default=0)
    return [f"    {field.field.ljust(width)}  {_change(field)}" for field in fields]


def _change(field: Field) -> str:
    return f"{_text(field.old)} -> {_text(field.new)}"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _more(count: int, shown: Sequence[Any], what: str) -> list[str]:
    left = count - len(shown)
    return [f"  ... and {left:,} more {what}; --all shows them"] if left else []
