"""The messages between scheduler and workers: msgspec structs, msgpack on the wire.

A field may be added with a default; nothing is renamed or given another meaning under one version.
"""

from typing import Any, Literal

import msgspec

from rota.common.job import FREE, KILL_AFTER_MS, RETRY, TIMEOUT_MS, Job, Phase, Retry, Tasks

VERSION = 1
MAX_REQUEST_BYTES = 64 * 1024
MAX_RESULT_BYTES = 16 * 1024

EXPIRED = "Expired"  # the kind of failure of a call whose time was over before it had ended

Outcome = Literal["succeeded", "retrying", "dead", "cancelled"]


class Task(msgspec.Struct, frozen=True, array_like=True):
    """What distinguishes a task from the others that its run has planned."""

    args: msgspec.Raw  # a msgpack map, decoded by the handler's own types
    key: str = ""  # the shard that it belongs to
    size: float = 0.0  # in the unit of the planner's sizes


class FailedTask(msgspec.Struct, frozen=True, array_like=True):
    """A task whose attempts are spent."""

    job_id: str  # RUN#PHASE.NUMBER
    key: str  # the shard that it belongs to
    kind: str  # of its last error
    message: str  # at most 100 bytes


class PhaseFailure(msgspec.Struct, frozen=True, array_like=True):
    """What failed, for the handler that is called for it. `phases.lua` writes it."""

    phase: int  # from 1 on
    handler: str
    kind: str  # of the error that ended it: a class's name, or such as Timeout, TasksFailed
    message: str  # its text
    planned: int = 0  # tasks of that phase
    dead: int = 0  # of these
    tasks: tuple[FailedTask, ...] = ()  # the first ten that are dead


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all tasks of a planner. `plan.lua` reads it."""

    handler: str  # that is called for each
    attempts: int
    early: bool
    at_once: bool
    stagger_ms: int
    paced: bool  # whether it is to be learnt how long tasks take, by their size


class JobRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worker is asked to do. It is encoded once per job and sent with every occurrence.

    One that makes up for others has a request of its own.
    What differs between runs (job_id, due time, attempt, fence) travels beside it in the claim.
    """

    v: int = 1  # version, absent means 1; a worker refuses one that it does not know
    tenant: str
    job: str  # the job's name within the tenant
    handler: str  # the name that a worker registered
    args: msgspec.Raw = msgspec.Raw(b"\x80")  # a msgpack map, decoded by the handler's own types
    timeout_ms: int = TIMEOUT_MS  # how long one attempt may run
    kill_after_ms: int = KILL_AFTER_MS  # how long it may take to end when it is told to
    retry: Retry = RETRY  # how often and how soon to try again
    beside: bool = False  # whether other runs of the job may be under way meanwhile
    missed: tuple[int, ...] = ()  # due times that this run makes up for, too, ms; in order
    retry_on: tuple[str, ...] = ()  # names of errors; others are final. None: all are tried again
    tasks: Tasks = FREE  # for a planner
    phases: tuple[Phase, ...] = ()  # behind the first one
    on_failure: Phase | None = None
    called_ms: int = 0  # of a call: when, since 1970, by its caller's clock
    in_time: bool = False  # a call that somebody waits for: it ends when it might begin no more
    # These are told beside the request, in front and behind: see `decode_request`.
    phase: int = 1
    task: Task | None = None
    failure: PhaseFailure | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an attempt failed: plain text, never a class to rebuild."""

    kind: str  # the exception's class name, or WorkerLost, Timeout, Cancelled, BadArguments, ...
    message: str = ""  # its text, at most 2,000 characters
    traceback: str = ""  # the last 4,000 characters


class Completion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an attempt ended. Published on the group's stream, keyed by `job_id`.

    `retrying` tells that this attempt failed and another follows; the other outcomes end the run.
    """

    v: int = 1  # version, absent means 1
    job_id: str  # the run
    tenant: str
    job: str
    outcome: Outcome
    attempt: int  # 1 for the first; 0 if it was cancelled before that
    worker: str  # who ran it, or who held the lease that ended
    # From the attempt's begin to its end, by its worker's monotonic clock; if lost, from its claim.
    took_ms: int = 0
    # From the run's first start to its end, if other attempts or phases were before; by the store.
    run_ms: int = 0
    next_ms: int = 0  # for `retrying`: the rest before the next attempt, in milliseconds
    error: Failure | None = None
    beside: bool = False  # as in the request

    @property
    def ref(self) -> str:
        """Return `TENANT/JOB`."""
        return f"{self.tenant}/{self.job}"

    @property
    def whole_ms(self) -> int:
        """Return how long the run took; of an attempt that others follow, how long that one did."""
        return self.run_ms or self.took_ms


class _Step(msgspec.Struct, frozen=True, array_like=True):
    request: JobRequest
    phase: int
    task: Task | None = None
    failure: PhaseFailure | None = None


_encoder = msgspec.msgpack.Encoder()
_request = msgspec.msgpack.Decoder(JobRequest)
_step = msgspec.msgpack.Decoder(_Step)
_ARRAYS = (b"\x92", b"\x93", b"\x94")  # what a msgpack array of two to four begins with
_completion = msgspec.msgpack.Decoder(Completion)


def encode(message: Any) -> bytes:
    """Return `message` as msgpack."""
    return _encoder.encode(message)


def decode_request(body: bytes) -> JobRequest:
    """Return the request in `body`; raises `ValueError` if malformed or of another version.

    A body is a request; or an array of a request, the number of a phase, and perhaps a task, or
    what failed. The request is returned as it is for that phase or task.
    """
    try:
        stepped = body.startswith(_ARRAYS)
        request = _stepped(_step.decode(body)) if stepped else _request.decode(body)
    except RecursionError:
        raise ValueError("request is nested too deeply") from None
    if request.v != VERSION:
        raise ValueError(f"request of version {request.v}; this worker knows version {VERSION}")
    return request


def decode_phase(body: bytes, number: int) -> JobRequest:
    """Return the request in `body` as it is for another phase, from 1 on; raises as above."""
    request = _step.decode(body).request if body.startswith(_ARRAYS) else decode_request(body)
    return request if number == 1 else _stepped(_Step(request, number))


def _stepped(step: _Step) -> JobRequest:
    request, number, task = step.request, step.phase, step.task
    if task is not None:
        return msgspec.structs.replace(request, phase=number, task=task, args=task.args)
    later = (*request.phases, *([request.on_failure] if request.on_failure else []))
    if not 1 < number <= len(later) + 1:
        raise ValueError(f"request without a phase {number}")
    phase = later[number - 2]
    return msgspec.structs.replace(
        request,
        phase=number,
        failure=step.failure,
        handler=phase.handler,
        args=request.args if phase.args is None else msgspec.Raw(_encoder.encode(phase.args)),
        timeout_ms=phase.timeout_ms,
        retry=phase.retry,
        retry_on=phase.retry_on,
        tasks=phase.tasks,
    )


def decode_completion(body: bytes) -> Completion:
    """Return the completion in `body`; raises `ValueError` if it is malformed."""
    return _completion.decode(body)


def request_for(job: Job, missed: tuple[int, ...] = ()) -> JobRequest:
    """Return the request that every occurrence of `job` is sent with; one may make up for others.

    `missed` has their due times in ms.
    """
    return JobRequest(
        tenant=job.tenant,
        job=job.name,
        handler=job.handler,
        args=msgspec.Raw(_encoder.encode(job.args)),
        timeout_ms=job.timeout_ms,
        kill_after_ms=job.kill_after_ms,
        retry=job.retry,
        beside=job.overlap == "allow",
        missed=missed,
        retry_on=job.retry_on,
        tasks=job.tasks,
        phases=job.phases,
        on_failure=job.on_failure,
    )
