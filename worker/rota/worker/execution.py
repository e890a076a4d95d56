"""Carries out one attempt: decodes its request, calls its handler within its timeout."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from rota.common import message
from rota.common.clock import Clock
from rota.common.message import Failure, JobRequest
from rota.common.run import Ended, Resting
from rota.worker import steps, thread
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
from rota.worker.verdict import Verdicts

SLACK = 1.0  # seconds within which a child process that was killed is gone


class Execution:
    """Calls handlers, each as its isolation asks for."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        children: Children,
        threads: ThreadPoolExecutor,
        stall: Stall,
        scribe: Scribe,
        planner: Planner,
        verdicts: Verdicts,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._handlers = jobs.handlers
        self._children = children
        self._threads = threads
        self._stall = stall
        self._scribe = scribe
        self._planner = planner
        self._verdicts = verdicts
        self._clock = clock
        self._log = log

    async def attempt(self, held: HeldRun) -> Ended | Resting:
        """Carry out a run; return what is to be written for it.

        Raises `CancelledError` if it was ended by somebody who did not ask for that to be written.
        """
        held.began_at = self._clock.monotonic()
        run = held.run
        try:
            request = message.decode_request(run.body)
        except (ValueError, msgspec.DecodeError) as error:
            return self._verdicts.unreadable(held, error)
        request = self._within_deadline(held, request)
        structlog.contextvars.bind_contextvars(
            tenant=request.tenant, job=request.job, job_id=run.job_id, attempt=run.attempt
        )
        line = self._scribe.line(run)
        context = Context(run, request, self._log, line=line, clock=self._clock)
        held.kill_after = request.kill_after_ms / 1000
        try:
            result = await self._call(held, context, request)
        except asyncio.CancelledError as error:
            if held.lost or not held.cancelled:
                raise
            trace = failure_of(error).traceback
            failure = Failure(kind="Cancelled", message="cancelled on request", traceback=trace)
            return self._verdicts.failed(held, request, failure, ())
        except (Fatal, BadArguments, Expired) as error:
            late = isinstance(error, Expired)
            return self._verdicts.failed(held, request, failure_of(error), None, late=late)
        except RemoteFailure as error:
            kinds = None if error.fatal else error.kinds
            return self._verdicts.failed(held, request, error.failure, kinds)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is a failed attempt
            return self._verdicts.failed(held, request, failure_of(error), kinds_of(error))
        return self._verdicts.ended(held, request, "succeeded", None, result)

    def _within_deadline(self, held: HeldRun, request: JobRequest) -> JobRequest:
        """Return the request of a call that somebody waits for with no more time than is left."""
        if not request.in_time or not held.run.left_ms:
            return request
        spent_ms = int((self._clock.monotonic() - held.started_at) * 1000)
        left_ms = max(0, held.run.left_ms - spent_ms)
        return msgspec.structs.replace(request, timeout_ms=min(request.timeout_ms, left_ms))

    def tell_stuck(self, held: HeldRun) -> None:
        """Warn if a run goes on that was told to end."""
        # Not reported as failed: the next attempt would overlap it.
        if held.task is not None and not held.task.done():
            self._log.warning("run_stuck", job_id=held.run.job_id, kill_after_s=held.kill_after)

    async def _call(self, held: HeldRun, context: Context, request: JobRequest) -> bytes:
        """Call the handler; what it told of its run is written before its end is."""
        if held.cancelled:
            raise asyncio.CancelledError("cancelled before its handler was called")
        if not request.timeout_ms:
            raise overtime(request)
        handler = self._handlers[request.handler]
        try:
            if handler.isolation == "loop" and not handler.tasks:
                return await self._call_on_loop(held, handler, context, request)
            with self._watched(held, request):
                if handler.isolation == "thread" and not handler.tasks:
                    return await self._call_in_thread(held, handler, context, request)
                return await self._call_apart(held, handler, context, request)
        finally:
            context.finish()
            if self._scribe.heard(held.run):
                await self._scribe.settle(held.run, lost=held.lost)

    async def _call_on_loop(
        self, held: HeldRun, handler: Handler, context: Context, request: JobRequest
    ) -> bytes:
        """Call a handler here. Timers are set only for one that waits: no other can be ended."""
        kwargs = handler.arguments.decode(bytes(request.args))
        began = self._clock.monotonic()
        call = invoke(handler, context, kwargs, self._threads)
        with self._stall.handling(context.job_id):
            try:
                waits_for = call.send(None)
            except StopIteration as end:
                return encode_result(end.value)
            seconds = request.timeout_ms / 1000
            try:
                with self._watched(held, request):
                    left = seconds - (self._clock.monotonic() - began)
                    async with asyncio.timeout(left) as scope:
                        return encode_result(await steps.rest(call, waits_for))
            except TimeoutError as error:
                if scope.expired():
                    raise overtime(request) from error
                raise

    async def _call_apart(
        self, held: HeldRun, handler: Handler, context: Context, request: JobRequest
    ) -> bytes:
        """Call a planner, or a handler in a child process."""
        seconds = request.timeout_ms / 1000
        try:
            async with asyncio.timeout(seconds) as scope:
                if handler.isolation == "process":
                    return await self._children.run(
                        context, bytes(request.args), lambda: _grace(held), held
                    )
                kwargs = handler.arguments.decode(bytes(request.args))
                plan = self._planner.plan(held.run, request, handler, context, kwargs)
                held.planned = await plan
                return b""
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

    @contextmanager
    def _watched(self, held: HeldRun, request: JobRequest) -> Iterator[None]:
        """Warn if a run is not over although its timeout is, and its time to end."""
        seconds = request.timeout_ms / 1000 + held.kill_after + SLACK
        stuck = asyncio.get_running_loop().call_later(seconds, self.tell_stuck, held)
        try:
            yield
        finally:
            stuck.cancel()

    def _overdue(self, context: Context, seconds: float) -> None:
        context.request_cancel()
        self._log.warning("run_overdue", job_id=context.job_id, timeout_s=seconds)


def _grace(held: HeldRun) -> float | None:
    return None if held.lost else held.kill_after
