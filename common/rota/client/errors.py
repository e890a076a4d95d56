"""How a call can fail, beside being refused or not reaching the store."""

from rota.common.errors import RotaError
from rota.common.message import Completion, Failure


class CallFailed(RotaError):
    """The handler failed, or the call was cancelled. It carries text, never the error itself."""

    def __init__(self, completion: Completion) -> None:
        failure = completion.error or Failure(kind="Unknown")
        super().__init__(f"{completion.job_id}: {failure.kind}: {failure.message}")
        self.job_id = completion.job_id
        self.outcome = completion.outcome  # dead or cancelled
        self.attempt = completion.attempt  # how often it was tried
        self.kind = failure.kind  # the exception's class name, or as in `Failure`
        self.message = failure.message
        self.traceback = failure.traceback  # the last 4,000 characters


class CallTimeout(RotaError, TimeoutError):
    """There was no reply in time. If nobody had begun the call, nobody will; else it is ended."""


class CallLost(RotaError):
    """The store has lost the call; whether it was carried out is unknown."""
