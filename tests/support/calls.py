"""What each script is called with to act on one run, and its raw reply."""

from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

from rota.common import keys, message, scripts
from rota.common.link import Call
from rota.common.message import Plan
from rota.common.state import Operation
from rota.common.store import LEASE_MS, Store
from tests.support import builders
from tests.support.builders import GROUP, HANDLER, WORKER, Seeded

_PLAN = Plan(handler=HANDLER, attempts=1, early=False, at_once=False, stagger_ms=0, paced=False)
_LUA = resources.files("rota.common") / "lua"
_APART = {*scripts.LIBRARY, scripts.SWITCH, scripts.PAUSE, scripts.BACKFILL}  # these stand alone
SCRIPTS = sorted({file.name.removesuffix(".lua") for file in _LUA.iterdir()} - _APART)


class Reply(NamedTuple):
    """What a script answered."""

    epoch: int
    wait_ms: int  # until the gate closes; 0 if it is closed
    values: list[Any]


def arguments(
    operation: str,
    seeded: Seeded,
    worker: str = WORKER,
    outcome: str = "succeeded",
    rest_ms: int = 0,
    *,
    tasks: int = 0,
) -> Sequence[Any]:
    """Return what `operation` is called with, behind the epoch, to act on the run.

    `rest_ms` is for a run that is given back, `tasks` for one that has planned so many.
    """
    run = seeded.run
    body = builders.completion(run, outcome)
    ended = (run.job_id, run.fence, run.due_ms, outcome, body, b"", 0)
    table: dict[str, Sequence[Any]] = {
        Operation.ENQUEUE: (0, *seeded.occurrence),
        Operation.CALL: (
            *(run.job_id, "acme", "import", HANDLER, 3, 0, seeded.occurrence.body),
            *("normal", 0, ""),
        ),
        Operation.CLAIM: (worker, 1, LEASE_MS, 1),
        Operation.RENEW: (LEASE_MS, run.job_id, run.fence),
        Operation.PROGRESS: (run.job_id, run.fence, 1, b"how far", b"what is committed"),
        # Of a claim that came after all that the store knows of.
        Operation.ADOPT: (
            *(worker, LEASE_MS, run.job_id, run.fence + 1, "acme", "import", HANDLER),
            *(run.due_ms, 2, 3, run.body),
        ),
        Operation.PLAN: (run.job_id, run.fence, 0, message.encode(_PLAN), run.body),
        Operation.ADVANCE: (run.job_id, run.fence, run.due_ms, body, b"", run.body, tasks, 0),
        Operation.COMPLETE: ended,
        scripts.TURN: (worker, 1, LEASE_MS, 1, *ended),
        Operation.RETRY: (run.job_id, run.fence, 10_000, body, 0),
        Operation.RELEASE: (run.job_id, run.fence, rest_ms),
        Operation.PROMOTE: (100,),
        Operation.RESCUE: (100,),
        Operation.CANCEL: (run.job_id,),
        Operation.REPLAY: (run.job_id,),
        Operation.PURGE: (run.job_id,),
    }
    return table[operation]


async def call(
    store: Store, operation: Operation, args: Sequence[Any], epoch: int | None = None
) -> Reply:
    """Run one script as one who knows `epoch`: None for what `store` knows, 0 for nothing."""
    known = store.epochs.known(GROUP) if epoch is None else epoch
    ((heard, wait_ms, *values),) = await store.link.batch(
        [Call(operation, keys.root(GROUP), (known, *args))]
    )
    return Reply(heard, wait_ms, values)
