"""Words how an attempt ended: for the store, for the schedulers, and in the log."""

from collections.abc import Collection
from random import Random

from structlog.typing import FilteringBoundLogger

from rota.common import backoff, message
from rota.common.clock import Clock
from rota.common.message import Completion, Failure, JobRequest
from rota.common.run import Ended, Resting
from rota.worker.held import HeldRun


class Verdicts:
    """Says of each attempt whether its run is over, and if not, when it is tried again."""

    def __init__(
        self,
        *,
        worker_id: str,
        clock: Clock,
        log: FilteringBoundLogger,
        random: Random | None = None,
    ) -> None:
        self._worker_id = worker_id
        self._clock = clock
        self._log = log
        self._random = random or Random()

    def failed(
        self,
        held: HeldRun,
        request: JobRequest,
        error: Failure,
        kinds: Collection[str] | None,
        *,
        late: bool = False,
    ) -> Ended | Resting:
        """Return what follows from an error; its `kinds` are None if it is final in any case.

        `late`: the time of who waits for a call was over, which is no failure of its handler.
        """
        run = held.run
        if held.cancelled or late:
            return self.ended(held, request, "cancelled", error, b"")
        final = kinds is None or not _is_tried_again(request, kinds)
        if final or run.attempt >= request.retry.attempts:
            return self.ended(held, request, "dead", error, b"")
        rest = backoff.rest_ms(request.retry, run.attempt, self._random)
        completion = self._completion(held, request, "retrying", error, rest)
        self._tell(completion)
        return Resting(run, rest, message.encode(completion), held.waited_ms)

    def ended(
        self,
        held: HeldRun,
        request: JobRequest,
        outcome: message.Outcome,
        error: Failure | None,
        result: bytes,
    ) -> Ended:
        """Return the end of a run, or of its phase or task."""
        completion = self._completion(held, request, outcome, error, 0)
        self._tell(completion)
        # Nothing follows a task: its run counts it.
        more = held.planned or request.phases or request.phase > 1
        goes_on = outcome == "succeeded" and more and request.task is None
        tasks = held.planned if goes_on else None
        told = message.encode(completion)
        return Ended(held.run, outcome, told, result, tasks, held.waited_ms)

    def unreadable(self, held: HeldRun, error: Exception) -> Ended:
        """Return the end of a run whose request can't be read."""
        tenant, _, rest = held.run.job_id.partition("/")
        unknown = JobRequest(tenant=tenant, job=rest.partition(":")[0], handler="")
        failure = Failure(kind="BadRequest", message=str(error))
        return self.ended(held, unknown, "dead", failure, b"")

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
            took_ms=int(held.took(self._clock.monotonic()) * 1000),
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


def _is_tried_again(request: JobRequest, kinds: Collection[str]) -> bool:
    return not request.retry_on or not set(request.retry_on).isdisjoint(kinds)
