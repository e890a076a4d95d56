"""A call that somebody in this process waits for."""

import asyncio
from dataclasses import dataclass

from rota.common.calling import CallRun, Reply
from rota.common.names import split_job_id


@dataclass(slots=True, eq=False)
class Pending:
    """One call, from when it is asked for until its reply is there."""

    job_id: str
    reply: "asyncio.Future[Reply | None]"  # None: it is accepted, and there will be no reply
    asked_at: float  # monotonic seconds when we asked the store for it last
    run: CallRun | None = None  # None if somebody else has placed it
    deadline: float = 0.0  # monotonic seconds at which nobody waits any more
    placed: bool = False  # whether the store is known to have it
    tried: bool = False  # whether it may have it
    missing: int = 0  # how often in a row the store did not know it

    @property
    def ref(self) -> str:
        """Return `TENANT/@HANDLER`."""
        return split_job_id(self.job_id)[0]

    def fail(self, error: Exception) -> None:
        """Let who waits have this error; harmless if nobody does any more."""
        if not self.reply.done():
            self.reply.set_exception(error)

    def answer(self, reply: Reply | None) -> None:
        """Let who waits have the reply; harmless if nobody does any more."""
        if not self.reply.done():
            self.reply.set_result(reply)
