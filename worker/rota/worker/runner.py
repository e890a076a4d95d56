"""Runs one claimed run: decodes it, calls its handler within its timeout, words the outcome."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from rota.common import backoff, message
from rota.common.clock import Clock
from rota.common.message import Completion, Failure, JobRequest
from rota.common.metrics import Histogram
from rota.common.run import Ended, Resting
from rota.worker import thread
from rota.worker.arguments import BadArguments
from rota.worker.children import Children, RemoteFailure
from rota.worker.context import Context
from rota.worker.failure import Expired, Fatal, failure_of, kinds_of, overtime
from rota.worker.held import HeldRun
from rota.worker.invoke import encode_result, invoke
from rota.worker.planner import Planner
from rota.worker.registry import Handler, Jobs
from rota.worker.scribe import Scribe
from rota.worker.stall import Stall

_BOUNDS = (0.01, 0.05, 0.25, 1, 5, 30, 60, 300, 1800, 3600, 14400)  # seconds
_SLACK = 1.0  # seconds within which a child process that was killed is gone

Report = Callable[[HeldRun, "Ended | Resting | None"], None]


class Runner:
    """Executes runs as tasks of the event loop and reports how each attempt ended."""

    def __init__(
        self,
        *,
        worker_id: str,
        jobs: Jobs,
        children: Children,
        threads: ThreadPoolExecutor,
        stall: Stall,
        scribe: Scribe,
        planner: Planner,
        clock: Clock,
        log: FilteringBoundLogger,
        random: Random | None = None,
    ) -> None:
        self._worker_id = worker_id
        self._jobs = jobs
        self._children = children
        self._threads = threads
        self._stall = stall
        self._scribe = scribe
        self._planner = planner
        self._clock = clock
        self._log = log
        self._random = random or Random()
        self.seconds = Histogram("rota_attempt_seconds", "How long attempts took.", _BOUNDS)
        self.counts: Counter[str] = Counter()  # of attempts, by outcome; or as lost, or released

    def begin(self, held: HeldRun, report: Report) -> None:
        """Start the handler; `report` is called once, when the attempt has ended."""
        held.task = asyncio.create_task(self._attempt(held), name=held.run.job_id)
        # Not within the task: one that is cancelled before its first step never runs at all.
        held.task.add_done_callback(partial(self._over, held, report))

    def lose(self, held: HeldRun) -> None:
        """Stop a run whose lease has ended; nothing is written for it."""
        if not held.lost and held.task is not None and not held.task.done():
            held.lost = True
            self._log.warning("lease_lost", job_id=held.run.job_id, attempt=held.run.attempt)
            held.task.cancel()

    def cancel(self, held: HeldRun) -> None:
        """End a run that somebody cancelled, and report that; harmless if it has ended."""
        if not held.cancelled and not held.lost and held.task is not None and not held.task.done():
            held.cancelled = True
            self._log.info("run_cancelling", job_id=held.run.job_id)
            held.task.cancel()
            asyncio.get_running_loop().call_later(held.kill_after + _SLACK, self._tell_stuck, held)

    def _over(self, held: HeldRun, report: Report, task: "asyncio.Task[Ended | Resting]") -> None:
        outcome = None
        if not task.cancelled():
            if error := task.exception():
                self._log.error("attempt_failed", job_id=held.run.job_id, exc_info=error)
            else:
                outcome = task.result()
        self.counts[_word(held, outcome)] += 1
        self.seconds.observe(self._clock.monotonic() - held.started_at)
        report(held, None if held.lost or held.given_back else outcome)

    async def _attempt(self, held: HeldRun) -> Ended | Resting:
        run = held.run
        try:
            request = message.decode_request(run.body)
        except (ValueError, msgspec.DecodeError) as error:
            return self._unreadable(held, error)
        request = self._within_deadline(held, request)
        structlog.contextvars.bind_contextvars(
            tenant=request.tenant, job=request.job, job_id=run.job_id, attempt=run.attempt
        )
        line = self._scribe.line(run)
        context = Context(run, request, self._log, line=line, clock=self._clock)
        held.kill_after = request.kill_after_ms / 1000
        stuck = asyncio.get_running_loop().call_later(
            request.timeout_ms / 1000 + held.kill_after + _SLACK, self._tell_stuck, held
        )
        try:
            result = await self._call(held, context, request)
        except asyncio.CancelledError as error:
            if held.lost or not held.cancelled:
                raise
            trace = failure_of(error).traceback
            failure = Failure(kind="Cancelled", message="cancelled on request", traceback=trace)
            return self._failed(held, request, failure, fatal=False)
        except (Fatal, BadArguments, Expired) as error:
            return self._failed(held, request, failure_of(error), fatal=True)
        except RemoteFailure as error:
            fatal = error.fatal or not _is_tried_again(request, error.kinds)
            return self._failed(held, request, error.failure, fatal=fatal)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is a failed attempt
            fatal = not _is_tried_again(request, kinds_of(error))
            return self._failed(held, request, failure_of(error), fatal=fatal)
        finally:
            stuck.cancel()
        return self._ended(held, request, "succeeded", None, result)

    def _within_deadline(self, held: HeldRun, request: JobRequest) -> JobRequest:
        """Return the request of a call that somebody waits for with no more time than is left."""
        if not request.in_time or not held.run.left_ms:
            return request
        spent_ms = int((self._clock.monotonic() - held.started_at) * 1000)
        left_ms = max(0, held.run.left_ms - spent_ms)
        return msgspec.structs.replace(request, timeout_ms=min(request.timeout_ms, left_ms))

    async def _call(self, held: HeldRun, context: Context, request: JobRequest) -> bytes:
        """Call the handler; what it told of its run is written before its end is."""
        try:
            return await self._call_in_time(held, context, request)
        finally:
            context.finish()
            await self._scribe.settle(held.run, lost=held.lost)

    async def _call_in_time(self, held: HeldRun, context: Context, request: JobRequest) -> bytes:
        handler = self._jobs.handlers[request.handler]
        seconds = request.timeout_ms / 1000
        if not seconds:
            raise overtime(request)
        if handler.isolation == "thread" and not handler.tasks:
            return await self._call_in_thread(held, handler, context, request)
        try:
            async with asyncio.timeout(seconds) as scope:
                if handler.isolation == "process":
                    return await self._children.run(
                        context, bytes(request.args), lambda: _grace(held), held
                    )
                kwargs = handler.arguments.decode(bytes(request.args))
                if handler.tasks:
                    plan = self._planner.plan(held.run, request, handler, context, kwargs)
                    held.planned = await plan
                    return b""
                with self._stall.handling(context.job_id):
                    return encode_result(await invoke(handler, context, kwargs, self._threads))
        except TimeoutError as error:
            if scope.expired():
                raise overtime(request) from error
            raise

    async def _call_in_thread(
        self, held: HeldRun, handler: Handler, context: Context, request: JobRequest
    ) -> bytes:
        """Call a handler in a thread. A thread can't be killed: it is told, and waited for.

        Reporting it as ended while it runs would let the next attempt overlap it. Only a second
        cancellation ends the wait: then the process ends.
        """
        kwargs = handler.arguments.decode(bytes(request.args))
        call = asyncio.create_task(invoke(handler, context, kwargs, self._threads))
        call.add_done_callback(thread.hear)
        seconds = request.timeout_ms / 1000
        loop = asyncio.get_running_loop()
        timer = loop.call_later(seconds, self._overdue, context, seconds)
        try:
            await thread.wait(call, held, context)
        finally:
            timer.cancel()
        if loop.time() >= timer.when():
            raise overtime(request)
        return encode_result(call.result())

    def _tell_stuck(self, held: HeldRun) -> None:
        # Not reported as failed: the next attempt would overlap it.
        if held.task is not None and not held.task.done():
            self._log.warning("run_stuck", job_id=held.run.job_id, kill_after_s=held.kill_after)

    def _overdue(self, context: Context, seconds: float) -> None:
        context.request_cancel()
        self._log.warning("run_overdue", job_id=context.job_id, timeout_s=seconds)

    def _failed(
        self, held: HeldRun, request: JobRequest, error: Failure, *, fatal: bool
    ) -> Ended | Resting:
        run = held.run
        if held.cancelled:
            return self._ended(held, request, "cancelled", error, b"")
        if fatal or run.attempt >= request.retry.attempts:
            return self._ended(held, request, "dead", error, b"")
        rest = backoff.rest_ms(request.retry, run.attempt, self._random)
        completion = self._completion(held, request, "retrying", error, rest)
        self._tell(completion)
        return Resting(run, rest, message.encode(completion))

    def _ended(
        self,
        held: HeldRun,
        request: JobRequest,
        outcome: message.Outcome,
        error: Failure | None,
        result: bytes,
    ) -> Ended:
        completion = self._completion(held, request, outcome, error, 0)
        self._tell(completion)
        # Nothing follows a task: its run counts it.
        more = held.planned or request.phases or request.phase > 1
        goes_on = outcome == "succeeded" and more and request.task is None
        tasks = held.planned if goes_on else None
        return Ended(held.run, outcome, message.encode(completion), result, tasks)

    def _unreadable(self, held: HeldRun, error: Exception) -> Ended:
        tenant, _, rest = held.run.job_id.partition("/")
        unknown = JobRequest(tenant=tenant, job=rest.partition(":")[0], handler="")
        failure = Failure(kind="BadRequest", message=str(error))
        return self._ended(held, unknown, "dead", failure, b"")

    def _completion(
        self,
        held: HeldRun,
        request: JobRequest,
        outcome: message.Outcome,
        error: Failure | None,
        next_ms: int,
    ) -> Completion:
        return Completion(
            job_id=held.run.job_id,
            tenant=request.tenant,
            job=request.job,
            outcome=outcome,
            attempt=held.run.attempt,
            worker=self._worker_id,
            took_ms=int((self._clock.monotonic() - held.started_at) * 1000),
            next_ms=next_ms,
            error=error,
            beside=request.beside,
        )

    def _tell(self, completion: Completion) -> None:
        if completion.outcome == "succeeded":
            self._log.debug("run_succeeded", took_ms=completion.took_ms)
            return
        error = completion.error or Failure(kind="")
        fields = {"error": error.kind, "reason": error.message, "took_ms": completion.took_ms}
        if completion.outcome == "cancelled":
            self._log.info("run_cancelled", job_id=completion.job_id, **fields)
            return
        fields["traceback"] = error.traceback  # as bounded as in the completion
        if completion.outcome == "retrying":
            self._log.warning("run_failed", retry_in_ms=completion.next_ms, **fields)
        else:
            self._log.error("run_dead", job_id=completion.job_id, **fields)


def _word(held: HeldRun, outcome: Ended | Resting | None) -> str:
    """Return what an attempt counts as: nothing is written of one that is lost or given back."""
    if held.lost:
        return "lost"
    if held.given_back:
        return "released"
    if outcome is None:
        return "cancelled" if held.cancelled else "failed"
    return outcome.outcome if isinstance(outcome, Ended) else "retrying"


def _is_tried_again(request: JobRequest, kinds: Collection[str]) -> bool:
    return not request.retry_on or not set(request.retry_on).isdisjoint(kinds)


def _grace(held: HeldRun) -> float | None:
    return None if held.lost else held.kill_after
