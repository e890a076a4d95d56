"""From what is written to jobs: a job stands on its template, its tenant and the defaults.

Fast, and blind to places: it stops at the first thing that is wrong, by a `FieldError`. For what it
refuses, `inspection` finds everything that is wrong, and where.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from rota.common.job import Blackout, Job, Schedule
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.retention import Retention
from rota.scheduler.config import field, limit, phase, rate, timing
from rota.scheduler.config.field import FieldError
from rota.scheduler.config.layer import first
from rota.scheduler.config.layer import over as lay
from rota.scheduler.config.model import (
    BUILT_IN,
    KINDS,
    SCHEDULE,
    DefaultsSpec,
    GroupSpec,
    HandlerSpec,
    JobSpec,
    LedgerSpec,
    TenantSpec,
)
from rota.scheduler.config.part import (
    DstSpec,
)

JobSpecs = dict[str, JobSpec]


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What tenants stand on."""

    groups: frozenset[str] = frozenset()
    templates: dict[str, JobSpecs] = {}  # checked
    broken: frozenset[str] = frozenset()  # templates that are declared and were refused
    defaults: DefaultsSpec = BUILT_IN  # checked, every field set


class Footing(NamedTuple):
    """What the jobs of one tenant, or of a template, stand on beside the defaults."""

    zone: str
    dst: DstSpec
    blackouts: tuple[Blackout, ...]


def defaults(data: Any) -> DefaultsSpec:
    """Return the defaults that `data` declares over the built-in ones."""
    written = msgspec.convert(data, DefaultsSpec)
    ground = Ground(defaults=lay(written, BUILT_IN))
    job(_PROBE, ground, footing(ground))
    limits(TenantSpec(group="probe"), ground.defaults)
    group({}, ground.defaults)
    return ground.defaults


def group(data: Any, base: DefaultsSpec) -> GroupLimits:
    """Return the limits that `data` declares for a group, over defaults."""
    spec = msgspec.convert(data, GroupSpec | None) or GroupSpec()
    return GroupLimits(
        weight=limit.weight(first(spec.weight, 1.0)),
        max_concurrency=first(spec.max_concurrency, 0),
        ledger=retention(spec.ledger, base.ledger),
        catch_up_concurrency=first(spec.catch_up_concurrency, GroupLimits().catch_up_concurrency),
    )


def retention(spec: LedgerSpec | UnsetType, base: LedgerSpec | UnsetType) -> Retention:
    """Return how much is kept of each job: what `spec` says, and `base` where that says nothing."""
    full = first(base) if isinstance(spec, UnsetType) else lay(spec, first(base))
    return Retention(runs=limit.entries(first(full.runs)), days=limit.days(first(full.days)))


def handler(data: Any) -> int:
    """Return how many runs of a handler may run at a time in each group; 0 is no limit."""
    return first(msgspec.convert(data, HandlerSpec).max_concurrency, 0)


def limits(spec: TenantSpec, base: DefaultsSpec) -> TenantLimits:
    """Return the share and the limits of a tenant that stands on defaults."""
    written = first(spec.rate_limit, base.rate_limit, None)
    if spec.burst is not UNSET and not written:
        raise FieldError(limit.BURST_ALONE, limit.BURST_ADVICE)
    count, period_ms = limit.rate_limit(written) if written else (1, 0)
    return TenantLimits(
        weight=limit.weight(first(spec.weight, base.weight, 1.0)),
        max_concurrency=first(spec.max_concurrency, base.max_concurrency, None) or 0,
        interval_ms=period_ms / count,
        burst=first(spec.burst, base.burst, rate.default_burst(count, period_ms)) if written else 1,
        max_backlog=first(spec.max_backlog, base.max_backlog, None) or 0,
    )


def template(data: Any, ground: Ground) -> JobSpecs:
    """Return the jobs of a template, each complete and correct by itself."""
    specs = msgspec.convert(data, JobSpecs)
    base = footing(ground)
    for name, spec in specs.items():
        job(spec, ground, base, name=name)
    return specs


def tenant(name: str, data: Any, ground: Ground) -> tuple[str, list[Job], TenantLimits]:
    """Return the group of a tenant, its jobs, ordered by name, and its limits."""
    spec = msgspec.convert(data, TenantSpec)
    if spec.group not in ground.groups:
        raise FieldError(f"unknown group {spec.group}")
    base = footing(ground, spec)
    specs = specs_of(spec.jobs, inherited(spec.use, ground.templates))
    jobs = [
        job(specs[each], ground, base, tenant=name, group=spec.group, name=each)
        for each in sorted(specs)
    ]
    timing.chains(jobs)
    return spec.group, jobs, limits(spec, ground.defaults)


def footing(ground: Ground, spec: TenantSpec | None = None) -> Footing:
    """Return what jobs stand on: the defaults, and what the tenant says over or beside them."""
    base = ground.defaults
    zone, dst, own = base.timezone, first(base.dst), first(base.blackout)
    if spec is not None:
        zone = first(spec.timezone, zone)
        dst = dst if isinstance(spec.dst, UnsetType) else lay(spec.dst, dst)
        own = own if isinstance(spec.blackout, UnsetType) else own + spec.blackout
    timing.rule(dst)  # for a tenant without jobs
    return Footing(field.zone(first(zone)), dst, timing.blackouts(own))


def inherited(use: list[str], templates: Mapping[str, JobSpecs]) -> JobSpecs:
    """Return the jobs of the templates in `use`."""
    found: JobSpecs = {}
    for name in use:
        if name not in templates:
            raise FieldError(f"unknown template {name}")
        if not found.keys().isdisjoint(templates[name]):
            raise FieldError(f"template {name} brings a job that another one brought")
        found.update(templates[name])
    return found


def specs_of(own: Mapping[str, JobSpec | None], base: JobSpecs) -> JobSpecs:
    """Return the jobs of a tenant: its own over those of its templates."""
    specs = dict(base)
    for name, spec in own.items():
        if spec is not None:
            specs[name] = over(spec, base[name]) if name in base else spec
        elif specs.pop(name, None) is None:
            raise FieldError(f"no template has a job {name}")
    return specs


def over(upper: JobSpec, lower: JobSpec) -> JobSpec:
    """Return a job with the fields of `upper`, and of `lower` where that says nothing."""
    if any(getattr(upper, kind) is not UNSET for kind in KINDS):
        lower = msgspec.structs.replace(lower, **dict.fromkeys(SCHEDULE, UNSET))
    if upper.phases is not UNSET or upper.handler is not UNSET:
        lower = msgspec.structs.replace(lower, phases=UNSET, handler=UNSET)
    return lay(upper, lower)


def job(
    spec: JobSpec,
    ground: Ground,
    base: Footing,
    *,
    tenant: str = "",
    group: str = "",
    name: str = "",
) -> Job:
    """Return the job that `spec` comes to, on what it stands on."""
    begin, later, mend = phase.steps(spec, ground.defaults)
    own = spec.blackout
    usual = ground.defaults
    most = first(spec.pause_after_failures, usual.pause_after_failures)
    fresh = first(spec.fresh_within, usual.fresh_within)
    lateness = first(spec.max_lateness, usual.max_lateness, "")
    return Job(
        tenant=tenant,
        name=field.name(name) if name else name,
        group=group,
        handler=begin.handler,
        schedule=_schedule(spec, base),
        blackouts=base.blackouts if isinstance(own, UnsetType) else timing.blackouts(own),
        args=begin.args or {},
        timeout_ms=begin.timeout_ms,
        kill_after_ms=field.length(first(spec.kill_after, usual.kill_after)),
        retry=begin.retry,
        retry_on=begin.retry_on,
        tasks=begin.tasks,
        phases=later,
        on_failure=mend,
        overlap=field.overlap(first(spec.overlap, usual.overlap)),
        pause_after_failures=limit.failures(most) if most is not None else 0,
        probe_after_ms=field.length(first(spec.probe_after, usual.probe_after)),
        fresh_within_ms=field.length(fresh) if fresh is not None else 0,
        misfire=field.misfire(first(spec.misfire, usual.misfire)),
        max_lateness_ms=field.length(lateness) if lateness else 0,
        max_catch_up=limit.catch_up(first(spec.max_catch_up, usual.max_catch_up)),
        priority=field.priority(first(spec.priority, "normal")),
    )


def _schedule(spec: JobSpec, base: Footing) -> Schedule:
    dst = base.dst if isinstance(spec.dst, UnsetType) else lay(spec.dst, base.dst)
    zone = field.zone(first(spec.timezone, base.zone))
    return timing.schedule(spec, dst, zone)


_PROBE: Final = JobSpec(handler="probe", every="1s")  # a job that stands on nothing but defaults
