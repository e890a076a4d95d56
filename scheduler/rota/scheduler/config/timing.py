"""When a job is due, from what is written: one kind of schedule, what goes with it, and blackouts.

Every check raises `FieldError`.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal, cast

from msgspec import UNSET, UnsetType

from rota.common.job import Blackout, Fold, Gap, Job, Schedule
from rota.scheduler.config import chain, field
from rota.scheduler.config.field import FieldError
from rota.scheduler.config.model import (
    KINDS,
    JobSpec,
)
from rota.scheduler.config.part import (
    BlackoutSpec,
    DstSpec,
    OnSpec,
)

Kind = Literal["cron", "every", "after", "at", "between", "on"]
_CACHED = 4096  # different schedules and sets of blackouts that jobs share
BLACKOUT_ADVICE: Final = (
    'write for example `between: "08:00..18:00"`, or `from: "2026-12-24 00:00"` with'
    ' `to: "2027-01-02 06:00"`'
)
_ONE: Final = "make two of it"
_SPREAD: Final = {  # why a kind needs no jitter
    "after": "delete it; it counts from the end of the last run, which differs anyway",
    "between": "delete it; each job has a place of its own in the window",
    "on": "delete it; it starts when the other job has succeeded",
}


def schedule(spec: JobSpec, dst: DstSpec, zone: str) -> Schedule:
    """Return when a job is due; equal schedules are one object."""
    kind, text = kind_of(spec)
    return _shared(kind, text, (phase(spec), jitter(spec)), dst, zone)


def kind_of(spec: JobSpec) -> tuple[Kind, str]:
    """Return the kind of a job's schedule, and what is written for it."""
    written = [kind for kind in KINDS if getattr(spec, kind) is not UNSET]
    if len(written) != 1:
        raise FieldError("a job has exactly one of cron, every, after, at, between and on")
    text = getattr(spec, written[0])
    return cast("Kind", written[0]), text.completed if isinstance(text, OnSpec) else text


def phase(spec: JobSpec) -> int | None:
    """Return where in its period a job is due, in milliseconds; None if that is not set."""
    if isinstance(spec.phase, UnsetType):
        return None
    kind, text = kind_of(spec)
    ms = field.share(spec.phase)
    if kind != "every":
        raise FieldError(f"phase goes with `every`; this job has `{kind}`", "delete it")
    if ms >= field.period(text):
        raise FieldError(
            f"phase, {spec.phase}, lies outside of the period, {text}",
            "write how long after each full period the job is due: 0s up to the period",
        )
    return ms


def jitter(spec: JobSpec) -> int:
    """Return the length over which a job's occurrences are shifted, in milliseconds."""
    if isinstance(spec.jitter, UnsetType):
        return 0
    kind, text = kind_of(spec)
    ms = field.share(spec.jitter)
    if kind in _SPREAD:
        raise FieldError(f"jitter does not go with `{kind}`", _SPREAD[kind])
    if kind == "every" and ms >= field.period(text):
        raise FieldError(
            f"jitter, {spec.jitter}, is not shorter than the period, {text}",
            "without jitter and phase each job has a place of its own in the whole period",
        )
    return ms


@lru_cache(_CACHED)
def blackouts(specs: tuple[BlackoutSpec, ...]) -> tuple[Blackout, ...]:
    """Return the blackouts that `specs` declare, which leave some time to run in."""
    return field.some_time(tuple(map(blackout, specs)))


def blackout(spec: BlackoutSpec) -> Blackout:
    """Return the blackout that `spec` declares."""
    reason = "" if isinstance(spec.reason, UnsetType) else field.reason(spec.reason)
    ends = [it for it in (spec.start, spec.end) if not isinstance(it, UnsetType)]
    if not isinstance(spec.between, UnsetType):
        if ends:
            raise FieldError("a blackout has `between` or `from` and `to`; this has both", _ONE)
        return Blackout(between=field.window(spec.between), reason=reason)
    if len(ends) < 2:  # noqa: PLR2004 - both
        missing = "`between`, or `from` and `to`" if not ends else "the other of `from` and `to`"
        raise FieldError(f"missing {missing}", BLACKOUT_ADVICE)
    start, end = field.stretch(*ends)
    return Blackout(start=start, end=end, reason=reason)


@lru_cache(_CACHED)
def rule(dst: DstSpec) -> tuple[Gap | None, Fold | None]:
    """Return what becomes of local times that are skipped or repeated; None: as the kind has it."""
    return (
        None if isinstance(dst.gap, UnsetType) else field.gap(dst.gap),
        None if isinstance(dst.fold, UnsetType) else field.fold(dst.fold),
    )


def chains(jobs: Iterable[Job]) -> None:
    """Check that each job that waits for another one waits for one that will run."""
    for _, message, advice in chain.vain({job.name: job.schedule.completed for job in jobs}):
        raise FieldError(message, advice)


@lru_cache(_CACHED)
def _shared(
    kind: Kind, text: str, places: tuple[int | None, int], dst: DstSpec, zone: str
) -> Schedule:
    phase_ms, jitter_ms = places
    gap, fold = rule(dst)
    return Schedule(
        kind=kind,
        cron=field.cron(text) if kind == "cron" else "",
        period_ms=field.period(text) if kind in ("every", "after") else 0,
        phase_ms=phase_ms,
        at=field.moment(text) if kind == "at" else "",
        between=field.window(text) if kind == "between" else "",
        completed=field.name(text) if kind == "on" else "",
        jitter_ms=jitter_ms,
        timezone=zone,
        gap=gap,
        fold=fold,
    )
