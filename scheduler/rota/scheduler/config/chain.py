"""Jobs that start on the success of others: which of them wait in vain."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from msgspec import UnsetType

from rota.common import names
from rota.scheduler.config import field
from rota.scheduler.config.diagnostic import quoted
from rota.scheduler.config.model import KINDS, JobSpec


class Vain(NamedTuple):
    """A job that would wait for ever, and why."""

    job: str
    message: str
    advice: str


def vain(awaited: Mapping[str, str], *, complete: bool = True) -> Iterator[Vain]:
    """Yield those of a tenant's jobs that wait in vain; a circle once, at the first of it.

    `awaited` has for each job the one that it waits for, empty if for none. Unless it is `complete`
    there may be other jobs.
    """
    told: set[str] = set()
    for name, other in awaited.items():
        if other and other not in awaited and complete:
            advice = field.did_you_mean(other, frozenset(awaited)) or "name a job of the tenant"
            yield Vain(name, f"job {name} waits for {quoted(other)}: no such job", advice)
        circle = _circle(awaited, name)
        if circle and told.isdisjoint(circle):
            told.update(circle)
            text = ", ".join(f"{one} for {two}" for one, two in pairwise([*circle, name]))
            yield Vain(name, f"jobs wait in a circle: {text}", "give one of them a schedule")


def _circle(awaited: Mapping[str, str], name: str) -> list[str]:
    """Return the jobs on the way from `name` back to it; none if there is no such way."""
    way = [name]
    while (other := awaited.get(way[-1], "")) and other not in way:
        way.append(other)
    return way if other == name else []


def as_written(own: Mapping[str, Any], base: Mapping[str, JobSpec | None]) -> dict[str, str]:
    """Return what each job waits for, of plain data that may be wrong, over what it stands on."""
    left_out = {name for name, job in own.items() if job is None}
    jobs = sorted({*base, *own} - left_out)
    return {name: _awaited(own.get(name), base.get(name)) for name in jobs}


def _awaited(own: Any, base: JobSpec | None) -> str:
    if isinstance(own, dict) and any(kind in own for kind in KINDS):
        on = own.get("on")
        written = on.get("completed") if isinstance(on, dict) else ""
        return written if isinstance(written, str) and names.is_name(written) else ""
    on = base.on if base else None
    return "" if on is None or isinstance(on, UnsetType) else on.completed
