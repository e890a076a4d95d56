"""The states of a run and the lawful moves between them, as data.

The scripts in `lua/` make the moves; a contract test walks every (state, operation) pair against a
real store and compares it with `TRANSITIONS`.
"""

from enum import StrEnum


class State(StrEnum):
    """Where a run is. A run that succeeded is forgotten unless somebody waits for its result."""

    QUEUED = "queued"
    """Waits in its tenant's queue; a worker's claim moves it out."""
    HELD = "held"
    """Waits until a worker serves its handler; that worker's claim queues it again, in front."""
    RUNNING = "running"
    """A worker holds the lease; its completion, or the end of the lease, moves it out."""
    RETRYING = "retrying"
    """Failed, rests before the next attempt; the scheduler's sweep moves it out when due."""
    FANNED = "fanned"
    """Waits for its tasks, without a lease; the end of the last one moves it out."""
    SUCCEEDED = "succeeded"
    """Final. Kept only as long as the request asked."""
    DEAD = "dead"
    """Final, unless it is replayed: all attempts are spent. Kept with its payload for a week."""
    CANCELLED = "cancelled"
    """Final: somebody cancelled it. Kept only as long as the request asked."""


IN_FLIGHT = frozenset({State.QUEUED, State.HELD, State.RUNNING, State.RETRYING, State.FANNED})


class Operation(StrEnum):
    """What can be done to a run; each is one script of the same name."""

    ENQUEUE = "enqueue"
    CALL = "call"
    CLAIM = "claim"
    RENEW = "renew"
    PROGRESS = "progress"
    ADOPT = "adopt"
    PLAN = "plan"
    ADVANCE = "advance"
    COMPLETE = "complete"
    RETRY = "retry"
    RELEASE = "release"
    PROMOTE = "promote"
    RESCUE = "rescue"
    CANCEL = "cancel"
    REPLAY = "replay"
    PURGE = "purge"


TRANSITIONS: dict[tuple[State | None, Operation], tuple[State, ...]] = {
    (None, Operation.ENQUEUE): (State.QUEUED,),
    (None, Operation.CALL): (State.QUEUED,),
    (State.QUEUED, Operation.CLAIM): (State.RUNNING, State.HELD, State.CANCELLED),
    (State.HELD, Operation.CLAIM): (State.RUNNING, State.HELD, State.QUEUED),
    (State.RUNNING, Operation.RENEW): (State.RUNNING,),
    (State.RUNNING, Operation.PROGRESS): (State.RUNNING,),
    (None, Operation.ADOPT): (State.RUNNING,),
    (State.QUEUED, Operation.ADOPT): (State.RUNNING,),
    (State.HELD, Operation.ADOPT): (State.RUNNING,),
    (State.RUNNING, Operation.ADOPT): (State.RUNNING,),
    (State.RETRYING, Operation.ADOPT): (State.RUNNING,),
    (State.FANNED, Operation.ADOPT): (State.RUNNING,),
    (State.RUNNING, Operation.PLAN): (State.RUNNING,),
    (State.RUNNING, Operation.ADVANCE): (
        *(State.FANNED, State.QUEUED, State.SUCCEEDED, State.DEAD, State.CANCELLED),
    ),
    (State.RUNNING, Operation.COMPLETE): (
        *(State.SUCCEEDED, State.DEAD, State.CANCELLED, State.QUEUED, State.FANNED),
    ),
    (State.RUNNING, Operation.RETRY): (
        *(State.RETRYING, State.CANCELLED, State.FANNED, State.DEAD),
    ),
    (State.RUNNING, Operation.RELEASE): (
        *(State.QUEUED, State.RETRYING, State.CANCELLED, State.FANNED),
    ),
    (State.RUNNING, Operation.RESCUE): (State.QUEUED, State.DEAD, State.CANCELLED, State.FANNED),
    (State.RETRYING, Operation.PROMOTE): (State.QUEUED,),
    (State.QUEUED, Operation.CANCEL): (State.CANCELLED,),
    (State.HELD, Operation.CANCEL): (State.CANCELLED,),
    (State.RETRYING, Operation.CANCEL): (State.CANCELLED,),
    (State.RUNNING, Operation.CANCEL): (State.RUNNING,),
    (State.FANNED, Operation.CANCEL): (State.FANNED, State.CANCELLED),
    (State.DEAD, Operation.REPLAY): (State.QUEUED, State.FANNED),
    (State.DEAD, Operation.PURGE): (),
}
"""(state before, operation) -> the states it may lead to; every other pair changes nothing.
After a purge nothing is left. A `fanned` run is moved by what ends its last task, too: `queued`
for its next phase, or final. A run that ends while tasks of it run is `fanned` until they are over.

While a group's gate is open nothing is enqueued, claimed, promoted, rescued,
cancelled or replayed, and a completion
that the store has forgotten is accepted in any state but the final ones.
"""
