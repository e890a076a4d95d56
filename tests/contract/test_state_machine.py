"""Every pair of state and operation, on a real store, against the table in `state.py`."""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import pytest

from rota.common import keys
from rota.common.link import Call
from rota.common.state import TRANSITIONS, Operation, State
from rota.common.store import LEASE_MS, Store
from tests.support import builders
from tests.support.builders import GROUP, HOUR_MS, WORKER, Seeded


class Move(NamedTuple):
    """One lawful move, and what leads to it where a pair has two."""

    before: State | None
    operation: Operation
    after: State
    worker: str = WORKER  # who claims
    attempts: int = 3
    outcome: str = "succeeded"
    rest_ms: int = 0  # that a run which is given back rests


MOVES = [
    Move(None, Operation.ENQUEUE, State.QUEUED),
    Move(State.QUEUED, Operation.CLAIM, State.RUNNING),
    Move(State.QUEUED, Operation.CLAIM, State.HELD, worker="other"),
    Move(State.HELD, Operation.CLAIM, State.RUNNING),
    Move(State.HELD, Operation.CLAIM, State.HELD, worker="other"),
    Move(State.RUNNING, Operation.RENEW, State.RUNNING),
    Move(None, Operation.ADOPT, State.RUNNING),
    Move(State.QUEUED, Operation.ADOPT, State.RUNNING),
    Move(State.HELD, Operation.ADOPT, State.RUNNING),
    Move(State.RUNNING, Operation.ADOPT, State.RUNNING),
    Move(State.RETRYING, Operation.ADOPT, State.RUNNING),
    Move(State.RUNNING, Operation.COMPLETE, State.SUCCEEDED),
    Move(State.RUNNING, Operation.COMPLETE, State.DEAD, outcome="dead"),
    Move(State.RUNNING, Operation.RETRY, State.RETRYING),
    Move(State.RUNNING, Operation.RELEASE, State.QUEUED),
    Move(State.RUNNING, Operation.RELEASE, State.RETRYING, rest_ms=1_000),
    Move(State.RUNNING, Operation.RESCUE, State.QUEUED),
    Move(State.RUNNING, Operation.RESCUE, State.DEAD, attempts=1),
    Move(State.RETRYING, Operation.PROMOTE, State.QUEUED),
]
REFUSED = sorted(set(product([None, *State], Operation)) - TRANSITIONS.keys(), key=str)


def arguments(operation: Operation, seeded: Seeded, move: Move | None = None) -> Sequence[Any]:
    """Return what `operation` is called with to act on the run."""
    run = seeded.run
    worker, outcome = (move.worker, move.outcome) if move else (WORKER, "succeeded")
    body = builders.completion(run, outcome)
    table: dict[Operation, Sequence[Any]] = {
        Operation.ENQUEUE: (0, *seeded.occurrence),
        Operation.CLAIM: (worker, 1, LEASE_MS, 1),
        Operation.RENEW: (LEASE_MS, run.job_id, run.fence),
        # Of a claim that came after all that the store knows of.
        Operation.ADOPT: (
            *(WORKER, LEASE_MS, run.job_id, run.fence + 1, "acme", "import", builders.HANDLER),
            *(run.due_ms, 2, 3, run.body),
        ),
        Operation.COMPLETE: (run.job_id, run.fence, run.due_ms, outcome, body, b""),
        Operation.RETRY: (run.job_id, run.fence, 10_000, body),
        Operation.RELEASE: (run.job_id, run.fence, move.rest_ms if move else 0),
        Operation.PROMOTE: (100,),
        Operation.RESCUE: (100,),
    }
    return table[operation]


def refusal(state: State | None, operation: Operation, job_id: str) -> list[Any]:
    """Return the reply by which `operation` refuses a run in `state`."""
    over = state in (State.SUCCEEDED, State.DEAD)
    # The fence of a run that nobody has claimed yet is one that the store must have lost.
    unclaimed = state in (None, State.QUEUED, State.HELD)
    words: dict[Operation, list[Any]] = {
        Operation.ENQUEUE: [b"past" if over else b"duplicate", job_id.encode()],
        Operation.CLAIM: [b"claimed", 0],
        Operation.RENEW: [b"unknown" if unclaimed else b"lost"],
        Operation.ADOPT: [b"lost"],
        # The fence is that of the accepted report: this is the same one, sent again.
        Operation.COMPLETE: [b"completed" if over else b"stale"],
        Operation.RETRY: [b"retrying" if state is State.RETRYING else b"stale"],
        Operation.RELEASE: [b"stale"],
        Operation.PROMOTE: [0, -1],
        Operation.RESCUE: [-1],
    }
    return words[operation]


async def act(store: Store, operation: Operation, args: Sequence[Any]) -> Any:
    """Run one script, with the gate closed, and return its raw reply behind the epoch."""
    epoch = store.epochs.known(GROUP)
    ((_, wait, *reply),) = await store.link.batch(
        [Call(operation, keys.root(GROUP), (epoch, *args))]
    )
    assert 0 == wait
    return reply


def test_moves_are_complete() -> None:
    """The moves tried here are exactly those that the table allows."""
    allowed = {(pair, after) for pair, states in TRANSITIONS.items() for after in states}

    assert allowed == {((move.before, move.operation), move.after) for move in MOVES}


@pytest.mark.parametrize("move", MOVES, ids=lambda m: f"{m.before}-{m.operation}-{m.after}")
async def test_lawful_move(store: Store, move: Move) -> None:
    """A lawful operation brings the run into the state that the table says."""
    seeded = await builders.seed(store, move.before, attempts=move.attempts)
    if move.operation in (Operation.PROMOTE, Operation.RESCUE):
        await builders.shift(store, HOUR_MS)
    await act(store, move.operation, arguments(move.operation, seeded, move))

    assert move.after == await builders.state_of(store, seeded.occurrence.job_id)


@pytest.mark.parametrize(("state", "operation"), REFUSED, ids=str)
async def test_unlawful_move(store: Store, state: State | None, operation: Operation) -> None:
    """An unlawful operation says so and changes no key, however much time has passed."""
    seeded = await builders.seed(store, state)
    await builders.shift(store, HOUR_MS)
    before = await builders.snapshot(store, virtual=False)
    reply = await act(store, operation, arguments(operation, seeded))

    assert refusal(state, operation, seeded.occurrence.job_id) == reply
    assert before == await builders.snapshot(store, virtual=False)
