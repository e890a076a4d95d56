"""What a client has in one group: a post that places calls, an inbox for the replies."""

import asyncio
from typing import cast

from structlog.typing import FilteringBoundLogger

from rota.client.errors import CallFailed, CallTimeout
from rota.client.inbox import Inbox
from rota.client.pending import Pending
from rota.client.post import Post
from rota.common.calling import Calling, CallRun, Reply
from rota.common.clock import Clock
from rota.common.errors import NotFound
from rota.common.message import EXPIRED

_WORTH_IT = 0.1  # seconds left, with which a call is made again


class Desk:
    """Places calls in one group and waits for them."""

    def __init__(
        self,
        group: str,
        *,
        calling: Calling,
        keep_ms: int,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self.group = group
        self._calling = calling
        self._keep_ms = keep_ms
        self._clock = clock
        self._inbox = Inbox(group, calling=calling, keep_ms=keep_ms, clock=clock, log=log)
        self._post = Post(group, calling=calling, inbox=self._inbox, clock=clock, log=log)

    async def start(self) -> None:
        """Begin to work."""
        await self._post.start()
        await self._inbox.start()

    async def stop(self) -> None:
        """End; who waits goes on waiting until its time is over."""
        await self._inbox.stop()
        await self._post.stop()

    async def ask(self, run: CallRun, timeout: float) -> bytes:
        """Return the result of a call as msgpack; raises as `Client.call` does.

        Under a key it may have ended with the time of another caller: then it is made again.
        """
        deadline = self._clock.monotonic() + timeout
        while True:
            reply = await self._ask(run, timeout)
            timeout = deadline - self._clock.monotonic()
            if not _is_expired(reply) or timeout < _WORTH_IT:
                return _result(reply)
            run = run._replace(timeout_ms=int(timeout * 1000))

    async def _ask(self, run: CallRun, timeout: float) -> Reply:
        pending = self._pending(run.job_id, run._replace(inbox=self._inbox.name), timeout)
        self._inbox.expect(pending)
        self._post.send(pending)
        try:
            reply = await self._reply(pending, timeout)
        except (CallTimeout, asyncio.CancelledError):
            if pending.tried and not self._inbox.expects(run.job_id):
                self._post.forgo(run.job_id)
            raise
        return cast("Reply", reply)

    async def leave(self, run: CallRun, timeout: float) -> None:
        """Place a call that nobody waits for; return when the store has it."""
        pending = self._pending(run.job_id, run, timeout)
        self._post.send(pending)
        await self._reply(pending, timeout)

    async def wait(self, job_id: str, timeout: float) -> bytes:
        """Return the result of a call that somebody placed, as `ask` does, or `NotFound`."""
        pending = self._pending(job_id, None, timeout)
        pending.placed = True
        self._inbox.expect(pending)  # first: the reply may come before the answer
        try:
            found = await self._calling.attend(
                self.group, self._inbox.name, [job_id], self._keep_ms
            )
            if found.unknown:
                raise NotFound(f"no call {job_id} is known, or no longer")
            for reply in found.replies:
                pending.answer(reply)
            return _result(cast("Reply", await self._reply(pending, timeout)))
        finally:
            self._inbox.forget(pending)

    def _pending(self, job_id: str, run: CallRun | None, timeout: float) -> Pending:
        now = self._clock.monotonic()
        future = asyncio.get_running_loop().create_future()
        return Pending(job_id, future, asked_at=now, run=run, deadline=now + timeout)

    async def _reply(self, pending: Pending, timeout: float) -> Reply | None:
        try:
            async with asyncio.timeout(timeout):
                return await pending.reply
        except TimeoutError:
            where = "" if pending.placed else "; the store has not answered"
            raise CallTimeout(f"{pending.job_id}: no reply in {timeout:g} s{where}") from None
        finally:
            self._inbox.forget(pending)


def _result(reply: Reply) -> bytes:
    completion = reply.completion
    if completion.outcome == "succeeded":
        return reply.result
    if _is_expired(reply) and completion.error is not None:
        raise CallTimeout(f"{reply.job_id}: {completion.error.message}")
    raise CallFailed(completion)


def _is_expired(reply: Reply) -> bool:
    """Tell whether a call ended with its caller's time; a handler's own `Expired` is a failure."""
    completion = reply.completion
    kind = completion.error.kind if completion.error else ""
    return (completion.outcome, kind) == ("cancelled", EXPIRED)
