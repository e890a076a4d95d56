"""Runs a job now, by hand, and waits for it if asked."""

import asyncio
import sys
from typing import Any

import msgspec

from rota.common import message, worker_info
from rota.common.catalog import Catalog
from rota.common.clock import Clock, SystemClock
from rota.common.errors import NotFound, Refused, StoreUnavailable
from rota.common.job import Job, job_id
from rota.common.link import Link
from rota.common.message import Completion, Failure
from rota.common.run import Occurrence
from rota.common.state import Operation
from rota.common.store import GATED, Store
from rota.scheduler import pausing

KEEP_MS = 3_600_000  # how long the result of a triggered run is kept


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a triggered run ended, as `--wait` prints it."""

    job_id: str
    outcome: str  # succeeded, dead or cancelled
    attempt: int
    took_ms: int  # with all its attempts and phases
    worker: str
    result: Any = None  # what the handler returned
    error: Failure | None = None

    def text(self) -> str:
        """Return it for people."""
        lines = [f"{self.job_id}  {self.outcome}  {self.took_ms}ms  attempt {self.attempt}"]
        if self.error is not None:
            lines += [f"{self.error.kind}: {self.error.message}", self.error.traceback]
        if self.result is not None:
            lines.append(msgspec.json.encode(self.result).decode())
        return "\n".join(line for line in lines if line)


async def start(
    ref: str, link: Link, *, wait: bool, timeout_ms: int = 0
) -> tuple[str, Ended | None]:
    """Trigger TENANT/JOB; return the job_id and, if `wait`, how the run ended.

    That is None of one that is not over after `timeout_ms`, if that is not 0; it goes on.
    """
    store, catalog = Store(link), Catalog(link)
    job = await find(ref, catalog)
    after = await store.last_completion(job.group)
    run_id = await trigger(job, store=store, clock=SystemClock())
    if told := await pausing.tell(ref, link):
        sys.stderr.write(f"{told}; this run is carried out all the same\n")
    if not wait:
        return run_id, None
    try:
        async with asyncio.timeout(timeout_ms / 1000 if timeout_ms else None):
            completion, result = await wait_for(job, run_id, after, store=store, catalog=catalog)
    except TimeoutError:
        return run_id, None
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{run_id} was triggered, but {error}") from None
    return run_id, Ended(
        job_id=run_id,
        outcome=completion.outcome,
        attempt=completion.attempt,
        took_ms=completion.whole_ms,
        worker=completion.worker,
        result=msgspec.msgpack.decode(result) if result else None,
        error=completion.error,
    )


async def trigger(job: Job, *, store: Store, clock: Clock) -> str:
    """Enqueue one run of `job` outside its schedule; return its job_id.

    Raises `Refused` when a run of it is in flight, or the tenant's backlog is full.
    """
    run_id = job_id(job.ref, clock.now_ms(), manual=True)
    body = message.encode(message.request_for(job))
    run = Occurrence.of(job, run_id, due_ms=0, keep_ms=KEEP_MS, body=body)
    word, detail = (await store.enqueue({job.group: [run]}))[job.group][0]
    if word == GATED:
        raise Refused("not triggered: the store was restarted and opens in a few seconds")
    if word == "busy":
        raise Refused(
            f"not triggered: {detail} is not over, and a trigger never cancels;"
            f" `sched cancel {detail}` ends it"
        )
    if word == "shed":
        raise Refused(
            f"not triggered: {job.tenant} has as many queued runs as its max_backlog allows;"
            " try again when some have started"
        )
    return detail


async def find(ref: str, catalog: Catalog) -> Job:
    """Return the published job TENANT/JOB; raises `NotFound` with what to do."""
    job = await catalog.find(ref)
    if job is None:
        raise NotFound(
            f"no job {ref} is known to the store; a job is known once `sched run` has read it"
            " (`sched status` lists the groups and tenants)"
        )
    return job


async def wait_for(
    job: Job, run_id: str, after: str, *, store: Store, catalog: Catalog
) -> tuple[Completion, bytes]:
    """Return the completion that ends `run_id`, and its result as msgpack.

    `after` is the stream id from before the run was enqueued. Says on standard error when no
    worker serves the job's handler, and goes on waiting. Raises `NotFound` when the store has lost
    the run.
    """
    told = await _tell_unserved(job, catalog)
    lost = ""
    while True:
        after, completions = await store.completions(job.group, after)
        ended = [c for c, _ in completions if c.job_id == run_id and c.outcome != "retrying"]
        record = await catalog.run(job.group, run_id)
        if not ended and "completion" in record:
            ended = [message.decode_completion(record["completion"])]
        if ended:
            return ended[0], record.get("result", b"")
        if lost and not record:
            raise NotFound(lost)
        # Said when the next look finds nothing either: its end may have come behind this one.
        lost = "" if record else await _loss(job, run_id, store, catalog)
        if not completions and not told:
            told = await _tell_unserved(job, catalog)


async def _loss(job: Job, run_id: str, store: Store, catalog: Catalog) -> str:
    """Return what is known of a run without a record; empty while a worker may bring it back."""
    # To ask is to bear witness, too: a store that was emptied opens its gate now.
    (answer,) = await store.ask([(Operation.CLAIM, job.group, ("", 0, 0, 0))])
    if answer.wait_ms:
        return ""
    slot = (await catalog.slots(job.group, [job.ref]))[0]
    if slot.last == run_id:
        return f"{run_id} has ended ({slot.outcome}); the store has lost what it reported"
    return (
        f"the store has lost {run_id}: it was restarted, or a replica took over, without this run;"
        f" whether it was carried out is unknown, so look before you trigger {job.ref} again"
    )


async def _tell_unserved(job: Job, catalog: Catalog) -> bool:
    if job.handler in worker_info.served(await catalog.workers(job.group)):
        return False
    sys.stderr.write(f"waiting: no worker serves {job.handler} in group {job.group} yet\n")
    return True
