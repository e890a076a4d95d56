"""What a worker reports and claims, as few scripts; and what those answer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rota.common.run import Claim, Claimed, Ended, Resting
from rota.common.scripts import TURN
from rota.common.state import Operation


class Part(NamedTuple):
    """One script of an exchange, on one group."""

    operation: str
    group: str
    args: list[Any]
    job_ids: list[str]  # the runs that it reports; a word for each comes first in the answer
    claims: bool  # whether a claim's answer is behind those


def parts(
    ended: Iterable[Ended], resting: Iterable[Resting], claims: Mapping[str, Sequence[Any]]
) -> list[Part]:
    """Return the scripts that report runs and, behind them, claim.

    `claims` has what each group's claim is told. What has completed is reported by the script that
    claims in its group, if one does.
    """
    grouped: dict[tuple[str, str], Part] = {}
    for end in ended:
        part = _part(
            grouped, Operation.COMPLETE if end.tasks is None else Operation.ADVANCE, end.run
        )
        part.args.extend(end.values)
    for rest in resting:
        part = _part(grouped, Operation.RETRY, rest.run)
        part.args.extend(rest.values)
    last: list[Part] = []
    for group, told in claims.items():
        both = grouped.pop((Operation.COMPLETE, group), None)
        if both:
            last.append(Part(TURN, group, [*told, *both.args], both.job_ids, True))
        else:
            last.append(Part(Operation.CLAIM, group, [*told], [], True))
    return [*grouped.values(), *last]


def _part(grouped: dict[tuple[str, str], Part], operation: str, run: Claimed) -> Part:
    part = grouped.setdefault((operation, run.group), Part(operation, run.group, [], [], False))
    part.job_ids.append(run.job_id)
    return part


def claim(group: str, wait_s: float, values: Sequence[Any]) -> Claim:
    """Return what a claim was answered; `wait_s` is how long the group's gate is open."""
    if not values or values[0] == b"unregistered":
        return Claim(wait_s=wait_s, registered=not values, more=False, runs=[])
    columns = (values[2 + k :: 6] for k in range(6))
    runs = [
        Claimed(group, i.decode(), int(fence), int(attempt), int(due), body, left)
        for i, fence, attempt, due, body, left in zip(*columns, strict=True)
    ]
    return Claim(wait_s=wait_s, registered=True, more=values[1] == 1, runs=runs)
