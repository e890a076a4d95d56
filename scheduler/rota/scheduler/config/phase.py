"""What a job does, from what is written: one handler or several phases, and what binds its tasks.

Every check raises `FieldError`.
"""

import math
import re
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from rota.common.job import FREE, Phase, Tasks
from rota.scheduler.config import field
from rota.scheduler.config.diagnostic import quoted
from rota.scheduler.config.field import FieldError
from rota.scheduler.config.layer import first, over, retry
from rota.scheduler.config.model import (
    DefaultsSpec,
    JobSpec,
)
from rota.scheduler.config.part import (
    PhaseSpec,
)

MOST: Final = 50  # phases of one job
ERRORS_ADVICE: Final = "write the names of error classes, such as [ConnectionError, Timeout]"
BOTH: Final = "a job has `handler` or `phases`; this has both"
BOTH_ADVICE: Final = "delete one of them; each phase names its own handler"
_ERROR = re.compile(r"[^\W\d]\w{0,99}")
_SHARED: Final = PhaseSpec.__struct_fields__[1:]  # what a job says for all its phases


def steps(spec: JobSpec, usual: DefaultsSpec) -> tuple[Phase, tuple[Phase, ...], Phase | None]:
    """Return the first phase of a job, those behind it, and what is called when one has failed."""
    begin, *later = phases(spec, usual)
    mend = failure_handler(spec, usual)
    return begin, tuple(_apart(each, begin) for each in later), mend and _apart(mend, begin)


def phases(spec: JobSpec, usual: DefaultsSpec) -> tuple[Phase, ...]:
    """Return the phases of a job, one for a job that has a handler."""
    own = {name: getattr(spec, name) for name in _SHARED}
    usual_args = {} if isinstance(spec.args, UnsetType) else spec.args
    if isinstance(spec.phases, UnsetType):
        if isinstance(spec.handler, UnsetType):
            raise FieldError("missing field handler")
        return (phase(PhaseSpec(handler=spec.handler, **own), usual),)
    if spec.handler is not UNSET:
        raise FieldError(BOTH, BOTH_ADVICE)
    ground = PhaseSpec(handler="", **own)
    written = count(spec.phases)
    fit([first(each.args, {}) for each in written])
    return tuple(phase(over(_with_args(each, usual_args), ground), usual) for each in written)


def failure_handler(spec: JobSpec, usual: DefaultsSpec) -> Phase | None:
    """Return what is called when a phase has failed."""
    if isinstance(spec.on_failure, UnsetType):
        return None
    called = PhaseSpec(
        handler=spec.on_failure, timeout=spec.timeout, retry=spec.retry, args=spec.args
    )
    return phase(called, usual)


def _apart(later: Phase, begin: Phase) -> Phase:
    """Return a phase without its args where they are those of the first one."""
    return msgspec.structs.replace(later, args=None) if later.args == begin.args else later


def phase(spec: PhaseSpec, usual: DefaultsSpec) -> Phase:
    """Return what is called in one phase, and how."""
    return Phase(
        handler=field.handler(spec.handler),
        timeout_ms=field.length(first(spec.timeout, usual.timeout)),
        retry=retry(spec.retry, usual.retry),
        retry_on=error_names(first(spec.retry_on, ())),
        tasks=tasks(spec),
        args=field.args(first(spec.args, {})),
    )


def fit(own: list[Any]) -> None:
    """Check that the args which phases have of their own fit into a message together."""
    size = sum(len(msgspec.msgpack.encode(each)) for each in own if each)
    if size > field.MAX_ARGS_BYTES:
        limit = f"the limit is {field.MAX_ARGS_BYTES // 1024} KiB"
        raise FieldError(f"args of the phases take {size:,} bytes; {limit}", field.LARGE_ADVICE)


def _with_args(spec: PhaseSpec, usual: dict[str, Any]) -> PhaseSpec:
    """Return a phase with its own args over the usual ones, if it has any."""
    if isinstance(spec.args, UnsetType):
        return spec
    return msgspec.structs.replace(spec, args=usual | spec.args)


def tasks(spec: PhaseSpec) -> Tasks:
    """Return what the tasks of a phase must keep to."""
    found = Tasks(
        max_size=size(first(spec.max_task_size, 0)),
        time_ms=0 if isinstance(spec.task_time, UnsetType) else field.length(spec.task_time),
        alone=unsplittable(first(spec.unsplittable, "error")),
        early=flag(first(spec.start_while_planning, False)),
        at_once=dead_task(first(spec.dead_task, "go_on")),
        stagger_ms=field.share(first(spec.stagger, "0s")),
    )
    return FREE if found == FREE else found


def count(written: Any) -> tuple[PhaseSpec, ...]:
    """Return as many phases as a job may have."""
    if not 1 <= len(written) <= MOST:
        raise FieldError(f"a job has 1 to {MOST} phases; this has {len(written)}", "mend the list")
    return tuple(written)


def error_names(value: Any) -> tuple[str, ...]:
    """Return the names of errors, in Python."""
    good = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    if not good:
        raise FieldError(f"expected a list of names of errors, got {field.kind(value)}")
    for name in value:
        if not _ERROR.fullmatch(name):
            raise FieldError(f"{quoted(name)} is no name of an error", ERRORS_ADVICE)
    return tuple(value)


def size(value: Any) -> float:
    """Return the size that no task may exceed; 0 is no limit."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not 0 <= value < math.inf:
        raise FieldError(
            f"expected the largest size of a task, got {field.kind(value)}",
            "write a number, in the unit of the sizes that the planner tells",
        )
    return float(value)


def flag(value: Any) -> bool:
    """Return whether something is to be."""
    if not isinstance(value, bool):
        raise FieldError(f"expected true or false, got {field.kind(value)}")
    return value


def unsplittable(text: str) -> bool:
    """Return whether a spec that is too large and can't be split is a task of its own."""
    return _one_of(text, "unsplittable", ("error", "alone")) == "alone"


def dead_task(text: str) -> bool:
    """Return whether the first dead task stops the others."""
    return _one_of(text, "dead_task", ("go_on", "stop")) == "stop"


def _one_of(text: str, name: str, known: tuple[str, str]) -> str:
    if text not in known:
        raise FieldError(f"unknown {name} {quoted(text)}", f"write `{known[0]}` or `{known[1]}`")
    return text
