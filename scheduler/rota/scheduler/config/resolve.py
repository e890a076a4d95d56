"""From what is written to jobs: a job stands on its template, its tenant and the defaults.

Fast, and blind to places: it stops at the first thing that is wrong, by a `FieldError`. For what it
refuses, `inspection` finds everything that is wrong, and where.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from rota.common import duration
from rota.common.job import Job, Retry, Schedule
from rota.common.limits import GroupLimits, TenantLimits
from rota.scheduler.config import field, rate
from rota.scheduler.config.field import FieldError
from rota.scheduler.config.model import (
    BUILT_IN,
    KINDS,
    DefaultsSpec,
    GroupSpec,
    HandlerSpec,
    JobSpec,
    RetrySpec,
    TenantSpec,
)

Kind = Literal["cron", "every", "after"]
JobSpecs = dict[str, JobSpec]
_T = TypeVar("_T")
_S = TypeVar("_S", bound=msgspec.Struct)
_CACHED = 4096  # different schedules and retries that jobs share


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What tenants stand on."""

    groups: frozenset[str] = frozenset()
    templates: dict[str, JobSpecs] = {}  # checked
    broken: frozenset[str] = frozenset()  # templates that are declared and were refused
    defaults: DefaultsSpec = BUILT_IN  # checked, every field set


def defaults(data: Any) -> DefaultsSpec:
    """Return the defaults that `data` declares over the built-in ones."""
    written = msgspec.convert(data, DefaultsSpec)
    ground = Ground(defaults=_over(written, BUILT_IN))
    _job(_PROBE, ground, tenant="", group="", name="", zone=first(ground.defaults.timezone))
    limits(TenantSpec(group="probe"), ground.defaults)
    return ground.defaults


def group(data: Any) -> GroupLimits:
    """Return the limits that `data` declares for a group."""
    spec = msgspec.convert(data, GroupSpec | None) or GroupSpec()
    return GroupLimits(
        weight=field.weight(first(spec.weight, 1.0)),
        max_concurrency=first(spec.max_concurrency, 0),
    )


def handler(data: Any) -> int:
    """Return how many runs of a handler may run at a time in each group; 0 is no limit."""
    return first(msgspec.convert(data, HandlerSpec).max_concurrency, 0)


def limits(spec: TenantSpec, base: DefaultsSpec) -> TenantLimits:
    """Return the share and the limits of a tenant that stands on defaults."""
    written = first(spec.rate_limit, base.rate_limit, None)
    if spec.burst is not UNSET and not written:
        raise FieldError(field.BURST_ALONE, field.BURST_ADVICE)
    count, period_ms = field.rate_limit(written) if written else (1, 0)
    return TenantLimits(
        weight=field.weight(first(spec.weight, base.weight, 1.0)),
        max_concurrency=first(spec.max_concurrency, base.max_concurrency, None) or 0,
        interval_ms=period_ms / count,
        burst=first(spec.burst, base.burst, rate.default_burst(count, period_ms) if written else 1),
        max_backlog=first(spec.max_backlog, base.max_backlog, None) or 0,
    )


def template(data: Any, ground: Ground) -> JobSpecs:
    """Return the jobs of a template, each complete and correct by itself."""
    specs = msgspec.convert(data, JobSpecs)
    zone = first(ground.defaults.timezone)
    for name, spec in specs.items():
        _job(spec, ground, tenant="", group="", name=name, zone=zone)
    return specs


def tenant(name: str, data: Any, ground: Ground) -> tuple[str, list[Job], TenantLimits]:
    """Return the group of a tenant, its jobs, ordered by name, and its limits."""
    spec = msgspec.convert(data, TenantSpec)
    if spec.group not in ground.groups:
        raise FieldError(f"unknown group {spec.group}")
    zone = field.zone(first(spec.timezone, ground.defaults.timezone))
    specs = specs_of(spec.jobs, inherited(spec.use, ground.templates))
    jobs = [
        _job(specs[job], ground, tenant=name, group=spec.group, name=job, zone=zone)
        for job in sorted(specs)
    ]
    return spec.group, jobs, limits(spec, ground.defaults)


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
        lower = msgspec.structs.replace(lower, cron=UNSET, every=UNSET, after=UNSET)
    return _over(upper, lower)


def first(*choices: _T | UnsetType) -> _T:
    """Return the first that is set; the last always is."""
    return next(choice for choice in choices if not isinstance(choice, UnsetType))


@lru_cache(_CACHED)
def retry(spec: RetrySpec | UnsetType, base: RetrySpec | UnsetType) -> Retry:
    """Return what `spec` says, and `base` where that says nothing."""
    full = base if isinstance(spec, UnsetType) else _over(spec, first(base))
    assert isinstance(full, RetrySpec)
    backoff = field.length(first(full.backoff))
    longest = field.length(first(full.max_backoff))
    if longest < backoff:
        raise FieldError(
            f"max_backoff, {duration.text(longest)}, is shorter than backoff, "
            f"{duration.text(backoff)}",
            "max_backoff bounds the rest that doubles from backoff on; set both",
        )
    return Retry(
        attempts=field.attempts(first(full.attempts)),
        backoff_ms=backoff,
        max_backoff_ms=longest,
    )


def _over(upper: _S, lower: _S) -> _S:
    """Return a struct with the fields of `upper`, and of `lower` where those are not set."""
    fields: dict[str, Any] = {}
    for name in upper.__struct_fields__:
        high, low = getattr(upper, name), getattr(lower, name)
        if isinstance(high, RetrySpec) and isinstance(low, RetrySpec):
            high = _over(high, low)
        fields[name] = low if high is UNSET else high
    return type(upper)(**fields)


def _job(spec: JobSpec, ground: Ground, *, tenant: str, group: str, name: str, zone: str) -> Job:
    base = ground.defaults
    if isinstance(spec.handler, UnsetType):
        raise FieldError("missing field handler")
    args = {} if isinstance(spec.args, UnsetType) else field.args(spec.args)
    return Job(
        tenant=tenant,
        name=field.name(name) if name else name,
        group=group,
        handler=field.handler(spec.handler),
        schedule=_schedule(
            spec.cron, spec.every, spec.after, field.zone(first(spec.timezone, zone))
        ),
        args=args,
        timeout_ms=field.length(first(spec.timeout, base.timeout)),
        kill_after_ms=field.length(first(spec.kill_after, base.kill_after)),
        retry=retry(spec.retry, base.retry),
        overlap=field.overlap(first(spec.overlap, base.overlap)),
        priority=field.priority(first(spec.priority, "normal")),
    )


@lru_cache(_CACHED)
def _schedule(
    cron: str | UnsetType, every: str | UnsetType, after: str | UnsetType, zone: str
) -> Schedule:
    written = [value for value in (cron, every, after) if not isinstance(value, UnsetType)]
    if len(written) != 1:
        raise FieldError("a job has exactly one of cron, every and after")
    if cron is not UNSET:
        return Schedule(kind="cron", cron=field.cron(written[0]), timezone=zone)
    kind: Kind = "after" if every is UNSET else "every"
    return Schedule(kind=kind, period_ms=field.period(written[0]), timezone=zone)


_PROBE: Final = JobSpec(handler="probe", every="1s")  # a job that stands on nothing but defaults
