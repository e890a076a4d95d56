"""Every pair of state and operation, on a real store, against the table in `state.py`."""

from collections.abc import Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from rota.common import keys
from rota.common.job import Tasks
from rota.common.state import TRANSITIONS, Operation, State
from rota.common.store import Store
from tests.support import builders, calls, fans
from tests.support.builders import GROUP, HOUR_MS, WORKER


class Move(NamedTuple):
    """One lawful move, and what leads to it where a pair has two."""

    before: State | None
    operation: Operation
    after: State
    worker: str = WORKER  # who claims
    attempts: int = 3
    outcome: str = "succeeded"
    cancelled: bool = False  # whether somebody has cancelled the run before
    rest_ms: int = 0  # that a run which is given back rests
    limited: bool = False  # whether its tenant has as many runs as it may
    request: Mapping[str, Any] = MappingProxyType({})  # fields of its request beside the usual ones
    mending: bool = False  # whether it has failed, and is in the hands of the handler for that
    planned: int = 0  # tasks that it planned
    busy: bool = False  # whether one of those is running
    failed: bool = False  # whether one of those is dead, and with it the run
    late: bool = False  # whether its time is over, as that of a call may be


PHASES: dict[str, Any] = {"phases": (fans.LATER,)}
MENDED: dict[str, Any] = {"on_failure": fans.MEND}
EARLY: dict[str, Any] = {"request": {"tasks": Tasks(early=True)}, "planned": 1, "busy": True}
MOVES = [
    Move(None, Operation.ENQUEUE, State.QUEUED),
    Move(None, Operation.CALL, State.QUEUED),
    Move(State.QUEUED, Operation.CLAIM, State.CANCELLED, late=True),
    Move(State.RUNNING, Operation.RETRY, State.DEAD, late=True),
    Move(State.QUEUED, Operation.CLAIM, State.RUNNING),
    Move(State.QUEUED, Operation.CLAIM, State.HELD, worker="other"),
    Move(State.HELD, Operation.CLAIM, State.RUNNING),
    Move(State.HELD, Operation.CLAIM, State.HELD, worker="other"),
    Move(State.HELD, Operation.CLAIM, State.QUEUED, limited=True),
    Move(State.RUNNING, Operation.RENEW, State.RUNNING),
    Move(State.RUNNING, Operation.PROGRESS, State.RUNNING),
    Move(None, Operation.ADOPT, State.RUNNING),
    Move(State.QUEUED, Operation.ADOPT, State.RUNNING),
    Move(State.HELD, Operation.ADOPT, State.RUNNING),
    Move(State.RUNNING, Operation.ADOPT, State.RUNNING),
    Move(State.RETRYING, Operation.ADOPT, State.RUNNING),
    Move(State.FANNED, Operation.ADOPT, State.RUNNING),
    Move(State.RUNNING, Operation.PLAN, State.RUNNING),
    Move(State.RUNNING, Operation.ADVANCE, State.SUCCEEDED),
    Move(State.RUNNING, Operation.ADVANCE, State.QUEUED, request=PHASES),
    Move(State.RUNNING, Operation.ADVANCE, State.CANCELLED, request=PHASES, cancelled=True),
    Move(State.RUNNING, Operation.ADVANCE, State.FANNED, planned=1),
    Move(State.RUNNING, Operation.ADVANCE, State.DEAD, request=MENDED, mending=True),
    Move(State.RUNNING, Operation.COMPLETE, State.QUEUED, request=MENDED, outcome="dead"),
    Move(State.RUNNING, Operation.COMPLETE, State.FANNED, **EARLY, outcome="dead"),
    Move(State.RUNNING, Operation.RETRY, State.FANNED, **EARLY, cancelled=True),
    Move(State.RUNNING, Operation.RELEASE, State.FANNED, **EARLY, cancelled=True),
    Move(State.RUNNING, Operation.RESCUE, State.FANNED, **EARLY, attempts=1),
    Move(State.FANNED, Operation.CANCEL, State.CANCELLED),
    Move(State.FANNED, Operation.CANCEL, State.FANNED, busy=True),
    Move(State.DEAD, Operation.REPLAY, State.FANNED, failed=True),
    Move(State.RUNNING, Operation.COMPLETE, State.SUCCEEDED),
    Move(State.RUNNING, Operation.COMPLETE, State.DEAD, outcome="dead"),
    Move(State.RUNNING, Operation.RETRY, State.RETRYING),
    Move(State.RUNNING, Operation.RELEASE, State.QUEUED),
    Move(State.RUNNING, Operation.RELEASE, State.RETRYING, rest_ms=1_000),
    Move(State.RUNNING, Operation.RESCUE, State.QUEUED),
    Move(State.RUNNING, Operation.RESCUE, State.DEAD, attempts=1),
    Move(State.RETRYING, Operation.PROMOTE, State.QUEUED),
    Move(State.RUNNING, Operation.COMPLETE, State.CANCELLED, outcome="cancelled"),
    Move(State.RUNNING, Operation.RETRY, State.CANCELLED, cancelled=True),
    Move(State.RUNNING, Operation.RELEASE, State.CANCELLED, cancelled=True),
    Move(State.RUNNING, Operation.RESCUE, State.CANCELLED, cancelled=True),
    Move(State.QUEUED, Operation.CANCEL, State.CANCELLED),
    Move(State.HELD, Operation.CANCEL, State.CANCELLED),
    Move(State.RETRYING, Operation.CANCEL, State.CANCELLED),
    Move(State.RUNNING, Operation.CANCEL, State.RUNNING),
    Move(State.DEAD, Operation.REPLAY, State.QUEUED),
]
REFUSED = sorted(set(product([None, *State], Operation)) - TRANSITIONS.keys(), key=str)


def refusal(state: State | None, operation: Operation, job_id: str) -> list[Any]:
    """Return the reply by which `operation` refuses a run in `state`."""
    over = state in (State.SUCCEEDED, State.DEAD, State.CANCELLED)
    # The fence of a run that nobody has claimed yet is one that the store must have lost.
    unclaimed = state in (None, State.QUEUED, State.HELD)
    words: dict[Operation, list[Any]] = {
        Operation.ENQUEUE: [b"past" if over else b"duplicate", job_id.encode()],
        Operation.CALL: [b"past" if over else b"duplicate"],
        Operation.CLAIM: [b"claimed", 0],
        Operation.RENEW: [b"unknown" if unclaimed else b"lost"],
        Operation.PROGRESS: [b"unknown" if unclaimed else b"stale", b""],
        Operation.ADOPT: [b"lost"],
        # The fence is that of the accepted report: this is the same one, sent again.
        Operation.COMPLETE: [b"completed" if over else b"stale"],
        Operation.PLAN: [b"stale", 0],
        Operation.ADVANCE: [b"completed" if over or state is State.FANNED else b"stale"],
        Operation.RETRY: [b"retrying" if state is State.RETRYING else b"stale"],
        Operation.RELEASE: [b"stale"],
        Operation.PROMOTE: [0, -1],
        Operation.RESCUE: [-1],
        Operation.CANCEL: [b"over" if over else b"unknown"],
        Operation.REPLAY: [b"unknown", job_id.encode()],
        Operation.PURGE: [b"unknown"],
    }
    return words[operation]


def _extras(move: Move) -> dict[str, Any]:
    names = ("mending", "planned", "busy", "failed")
    return {name: getattr(move, name) for name in names}


def test_moves_are_complete() -> None:
    """The moves tried here are exactly those that the table allows."""
    allowed = {(pair, after) for pair, states in TRANSITIONS.items() for after in states}

    assert allowed == {((move.before, move.operation), move.after) for move in MOVES}


@pytest.mark.parametrize("move", MOVES, ids=lambda m: f"{m.before}-{m.operation}-{m.after}")
async def test_lawful_move(store: Store, move: Move) -> None:
    """A lawful operation brings the run into the state that the table says."""
    seeded = await fans.seed(store, move.before, move.attempts, move.request, **_extras(move))
    if move.cancelled:
        await calls.call(
            store, Operation.CANCEL, calls.arguments(Operation.CANCEL, seeded, move.worker)
        )
    if move.late:
        record = keys.run(GROUP, seeded.occurrence.job_id)
        await store.link.command("HSET", record, "latest", 1)
    if move.limited:
        await store.link.command(
            "HSET", keys.tenant(GROUP, "acme"), "limits", "1 0 1 0", "running", 1
        )
    if move.operation in (Operation.PROMOTE, Operation.RESCUE):
        await builders.shift(store, HOUR_MS)
    args = calls.arguments(
        move.operation, seeded, move.worker, move.outcome, move.rest_ms, tasks=move.planned
    )
    await calls.call(store, move.operation, args)

    assert move.after == await builders.state_of(store, seeded.occurrence.job_id)


@pytest.mark.parametrize(("state", "operation"), REFUSED, ids=str)
async def test_unlawful_move(store: Store, state: State | None, operation: Operation) -> None:
    """An unlawful operation says so and changes no key, however much time has passed."""
    seeded = await builders.seed(store, state)
    await builders.shift(store, HOUR_MS)
    before = await builders.snapshot(store, virtual=False)
    reply = await calls.call(store, operation, calls.arguments(operation, seeded))

    assert (0, refusal(state, operation, seeded.occurrence.job_id)) == reply[1:]
    assert before == await builders.snapshot(store, virtual=False)
