"""How a handler's context reaches the store: what it tells, and what it is answered."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from rota.common.progress import Told
from rota.worker.failure import Cancelled

_LOOK = 0.2  # seconds between looks, of a thread that waits, at whether it is to end


class Line(Protocol):
    """The way of one attempt to the store. Any thread may use it."""

    def send(self, *, asked: bool = False, progress: bytes = b"", units: bytes = b"") -> "Answer":
        """Send what `rota.common.noting.Note` describes; return at once.

        The answer comes when the store has it, as soon as there is one.
        """
        ...


class Answer(Future[Told]):
    """What the store will have answered. Whoever waits can't cancel it: others may wait, too."""

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()

    def give(self, told: Told) -> None:
        """Answer, unless that was done before."""
        if not self.done():
            self.set_result(told)

    async def heard(self) -> Told:
        """Return the answer; raises `Cancelled` if the run is not ours any more."""
        return _accepted(await asyncio.wrap_future(self))

    def awaited(self, check: Callable[[], None]) -> Told:
        """Return the same in a thread; `check` raises when the thread is to end."""
        while True:
            try:
                return _accepted(self.result(_LOOK))
            except TimeoutError:
                check()


class Deaf:
    """A line without a store behind it, for a context that a test has made."""

    def send(self, *, asked: bool = False, progress: bytes = b"", units: bytes = b"") -> Answer:
        """Send nothing; nothing was there before."""
        answer = Answer()
        answer.give(Told("noted"))
        return answer


def _accepted(told: Told) -> Told:
    if told.word == "stale":
        raise Cancelled("the lease was lost; another attempt goes on behind the last checkpoint")
    return told
