"""What a configuration would change against what is applied: for people, and for programs."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec

from rota.common import clock, duration
from rota.common.catalog import Catalog
from rota.common.job import Job
from rota.common.pauses import PauseSet
from rota.scheduler import difference
from rota.scheduler.applied import timing
from rota.scheduler.applier import Standing
from rota.scheduler.config import Config
from rota.scheduler.difference import Change, Difference
from rota.scheduler.preview import describe, preview

SHOWN = 20  # of each kind, unless all are asked for
_FIRES = 3  # coming fire times that are shown
_NOTHING = Config(groups=[], jobs=[], tenants={}, files=[])
_T = TypeVar("_T")


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field that would change, as one writes it; None where there is none."""

    field: str
    old: Any = None
    new: Any = None


class GroupPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one group."""

    group: str
    fields: list[Field]


class HandlerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of the limits of one handler."""

    handler: str
    fields: list[Field]


class TenantPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one tenant."""

    tenant: str
    fields: list[Field]


class JobPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one job."""

    job: str  # TENANT/JOB
    group: str
    handler: str
    schedule: str  # as one writes it; of a removed job what it was
    fields: list[Field] = []  # of a changed one
    next_before: list[str] = []  # in the job's zone; empty if they stay as they are
    next_after: list[str] = []
    running: str | None = None  # job_id of its run in flight, which goes on as it was sent


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator did, and no configuration undoes."""

    paused: str  # TENANT or TENANT/JOB
    since: str
    by: str
    why: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much would change."""

    jobs_added: int
    jobs_removed: int
    jobs_changed: int
    jobs_unchanged: int
    tenants_added: int
    tenants_removed: int
    tenants_changed: int
    groups_added: int
    groups_removed: int
    groups_changed: int
    handlers_changed: int
    settings_changed: int
    in_flight: int  # runs of jobs that are removed or changed


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What would change. Of each kind the first are told, or all."""

    revision: int  # the one that is applied, 0 if there is none
    changes: bool  # whether anything would change
    counts: Counts
    groups_added: list[str]
    groups_removed: list[str]
    groups_changed: list[GroupPlan]
    handlers_changed: list[HandlerPlan]
    tenants_added: list[str]
    tenants_removed: list[str]
    tenants_changed: list[TenantPlan]
    settings: list[Field]
    added: list[JobPlan]
    changed: list[JobPlan]
    removed: list[JobPlan]
    overrides: list[Override] = []  # that stay


async def make(
    before: Standing | None,
    config: Config,
    catalog: Catalog,
    *,
    now_ms: int,
    everything: bool,
) -> Plan:
    """Return what `config` would change against `before`."""
    old = before.applied.config if before else _NOTHING
    found = difference.compare(old, config)
    running = await _running([*found.removed, *(was for was, _ in found.changed)], catalog)

    def some(items: Iterable[_T]) -> list[_T]:
        return list(items if everything else islice(items, SHOWN))

    def named(changed: dict[str, list[Change]]) -> list[tuple[str, list[Field]]]:
        return [(name, _fields(changes)) for name, changes in some(changed.items())]

    return Plan(
        revision=before.revision.number if before else 0,
        changes=bool(found),
        counts=_counts(found, len(config.jobs), len(running)),
        groups_added=some(found.groups_added),
        groups_removed=some(found.groups_removed),
        groups_changed=[GroupPlan(group=n, fields=f) for n, f in named(found.groups_changed)],
        handlers_changed=[
            HandlerPlan(handler=n, fields=f) for n, f in named(found.handlers_changed)
        ],
        tenants_added=some(found.tenants_added),
        tenants_removed=some(found.tenants_removed),
        tenants_changed=[TenantPlan(tenant=n, fields=f) for n, f in named(found.tenants_changed)],
        settings=_fields(some(found.settings)),
        added=[_job(job, next_after=_fires(job, now_ms)) for job in some(found.added)],
        changed=[_changed(was, job, running, now_ms) for was, job in some(found.changed)],
        removed=[
            _job(job, next_before=_fires(job, now_ms), running=running.get(job.ref))
            for job in some(found.removed)
        ],
    )


def with_overrides(plan: Plan, pauses: PauseSet) -> Plan:
    """Return `plan` with what stays whatever is applied."""
    overrides = [
        Override(
            paused=name,
            since=clock.iso_seconds(pause.since_ms),
            by=pause.by,
            why=pause.why,
        )
        for name, pause in pauses.all_lasting.items()
    ]
    return msgspec.structs.replace(plan, overrides=overrides)


async def _running(jobs: Sequence[Job], catalog: Catalog) -> dict[str, str]:
    """Return the runs in flight of these jobs, by TENANT/JOB."""
    refs: dict[str, list[str]] = {}
    for job in jobs:
        refs.setdefault(job.group, []).append(job.ref)
    found: dict[str, str] = {}
    for group, names in refs.items():
        slots = await catalog.slots(group, names)
        found |= {ref: slot.run for ref, slot in zip(names, slots, strict=True) if slot.run}
    return found


def _counts(found: Difference, jobs: int, running: int) -> Counts:
    return Counts(
        jobs_added=len(found.added),
        jobs_removed=len(found.removed),
        jobs_changed=len(found.changed),
        jobs_unchanged=jobs - len(found.added) - len(found.changed),
        tenants_added=len(found.tenants_added),
        tenants_removed=len(found.tenants_removed),
        tenants_changed=len(found.tenants_changed),
        groups_added=len(found.groups_added),
        groups_removed=len(found.groups_removed),
        groups_changed=len(found.groups_changed),
        handlers_changed=len(found.handlers_changed),
        settings_changed=len(found.settings),
        in_flight=running,
    )


def _changed(was: Job, job: Job, running: dict[str, str], now_ms: int) -> JobPlan:
    moved = timing(was) != timing(job)
    return _job(
        job,
        fields=_fields(difference.fields(was, job)),
        next_before=_fires(was, now_ms) if moved else [],
        next_after=_fires(job, now_ms) if moved else [],
        running=running.get(job.ref),
    )


def _job(job: Job, **over: Any) -> JobPlan:
    return JobPlan(
        job=job.ref, group=job.group, handler=job.handler, schedule=describe(job), **over
    )


def _fires(job: Job, now_ms: int) -> list[str]:
    if job.schedule.kind == "after":
        return [f"{duration.text(job.schedule.period_ms)} after its last run has ended"]
    shown = preview(job, now_ms, _FIRES)
    times = [f"{time.local}{' (blackout)' if time.blackout else ''}" for time in shown.times]
    return times or [shown.note]


def _fields(changes: Sequence[Change]) -> list[Field]:
    return [Field(field=change.field, old=change.old, new=change.new) for change in changes]
