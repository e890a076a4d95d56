"""Child processes for handlers that would stall the others: started when needed, used again."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence

import msgspec
from structlog.typing import FilteringBoundLogger

from rota.common.job import Retry
from rota.common.message import Failure, JobRequest
from rota.common.progress import Told
from rota.common.store import LEASE_MS
from rota.worker import frame
from rota.worker.context import Context
from rota.worker.held import HeldRun
from rota.worker.tether import Tether

_GRACE = 0.5  # seconds that a child may take to clean up before it is killed
_GONE = (asyncio.IncompleteReadError, ConnectionError)


class RemoteFailure(Exception):
    """A run in a child process failed."""

    def __init__(self, failure: Failure, *, fatal: bool = False, kinds: Sequence[str] = ()) -> None:
        super().__init__(f"{failure.kind}: {failure.message}")
        self.failure = failure  # ChildDied or ChildFailed if it was not the handler that raised
        self.fatal = fatal  # trying again would not help
        self.kinds = kinds or (failure.kind,)  # the names that `retry_on` may call it


class Children:
    """At most `limit` child processes, each of which runs one handler at a time.

    They live no longer than this process, however it ends. Start and stop it on the loop of the
    main thread: the kernel ties a child's life to the thread that started it.
    """

    def __init__(
        self,
        app: str,
        *,
        limit: int,
        log: FilteringBoundLogger,
        grace: float = _GRACE,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._app = app
        self._lease_ms = lease_ms
        self._log = log
        self._grace = grace
        self._places = asyncio.Semaphore(limit)
        self._all: set[_Child] = set()
        self._idle: list[_Child] = []  # the last used is the first used again: its memory is warm
        self._stopped = False

    async def start(self) -> None:
        """Do nothing: a child starts when there is work for it."""

    async def stop(self) -> None:
        """End all children, the busy ones too; return when they are gone. Harmless if repeated."""
        self._stopped = True
        await asyncio.gather(*(self._end(child) for child in list(self._all)))

    async def run(
        self,
        ctx: Context,
        args: bytes,
        grace: Callable[[], float | None] | None = None,
        held: HeldRun | None = None,
    ) -> bytes:
        """Return the result of the handler `ctx.handler`, as msgpack, empty for None.

        `args` is a msgpack map; the child checks it. Raises `RemoteFailure` if the handler does, or
        if its process dies. When the caller is cancelled the child is told to end, and killed after
        `grace()` seconds; it is dead when the cancellation arrives. A second one kills it at once.
        It ends itself if `held` is not renewed in time.
        """
        packed = frame.pack(_run_of(ctx, args))
        async with self._places:
            child = self._take_idle() or await self._start_child()
            child.tie(held)
            try:
                reply = await child.ask(packed, ctx)
            except _GONE:
                code = await self._end(child)
                raise _died("ChildDied", code, overdue=child.overdue) from None
            except BaseException:
                code = await self._end(child, grace() if grace else None)
                killed = code == -signal.SIGKILL
                self._log.info("child_ended", pid=child.pid, job_id=ctx.job_id, killed=killed)
                raise
            child.untie(held)
            self._idle.append(child)
        return _result(reply)

    def _take_idle(self) -> "_Child | None":
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            child.tether.close()
            self._all.discard(child)
        return None

    async def _start_child(self) -> "_Child":
        if self._stopped:
            raise RuntimeError("the child processes are stopped")
        child = await _Child.start(self._app, Tether(self._lease_ms))
        self._all.add(child)
        try:
            reply = await child.hear()
        except _GONE:
            code = await self._end(child)
            raise _died("ChildFailed", code) from None
        except BaseException:
            await self._end(child)
            raise
        if not isinstance(reply, frame.Ready):
            await self._end(child)
            _result(reply)
        self._log.debug("child_started", pid=child.pid, children=len(self._all))
        return child

    async def _end(self, child: "_Child", grace: float | None = None) -> int:
        try:
            return await child.end(self._grace if grace is None else grace)
        finally:
            self._all.discard(child)


class _Child:
    """One child process and the pipes to it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        sink: asyncio.StreamWriter,
        source: asyncio.StreamReader,
        tether: Tether,
    ) -> None:
        self.tether = tether
        self._process = process
        self._sink = sink
        self._source = source

    @classmethod
    async def start(cls, app: str, tether: Tether) -> "_Child":
        # Its own session: Ctrl-C is the worker's business, and the handler's own processes are
        # in its process group. -P: the app's folder comes first for the app, not for our imports.
        command = (sys.executable, "-P", "-m", "rota.worker.child", app, str(tether.child_end))
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
                pass_fds=(tether.child_end,),
            )
        except BaseException:
            tether.close()
            raise
        finally:
            os.close(tether.child_end)
        assert process.stdin is not None
        assert process.stdout is not None
        return cls(process, process.stdin, process.stdout, tether)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        # Its pipe ends before its exit code is known.
        return self._process.returncode is None and not self._source.at_eof()

    @property
    def overdue(self) -> bool:
        """Tell whether it has outlived its tether."""
        return asyncio.get_running_loop().time() > self.tether.until

    def tie(self, held: HeldRun | None) -> None:
        if held is not None:
            held.tether = self.tether  # first: a renewal at this moment is not missed for long
            self.tether.tie(held.renewed_at)

    def untie(self, held: HeldRun | None) -> None:
        if held is not None:
            held.tether = None
            self.tether.untie()

    async def ask(self, packed: bytes, ctx: Context) -> frame.Reply:
        self._sink.write(packed)
        await self._sink.drain()
        while isinstance(reply := await self.hear(), frame.Note):
            if reply.fence == ctx.fence:  # else from a thread that a run has left behind
                self._pass_on(reply, ctx)
        return reply

    def _pass_on(self, note: frame.Note, ctx: Context) -> None:
        loop = asyncio.get_running_loop()
        answer = ctx.line.send(asked=note.asked, progress=note.progress, units=note.units)
        answer.add_done_callback(
            lambda answer: loop.call_soon_threadsafe(self._tell, note.number, answer.result())
        )

    def _tell(self, number: int, told: Told) -> None:
        if not self._sink.is_closing():
            packed = frame.pack(frame.Told(number=number, word=told.word, units=told.units))
            self._sink.write(packed)

    async def hear(self) -> frame.Reply:
        try:
            header = await self._source.readexactly(frame.HEADER_BYTES)
            return frame.reply_of(await self._source.readexactly(frame.size(header)))
        except ValueError as error:
            failure = Failure(kind="ChildFailed", message=f"it wrote something else: {error}")
            raise RemoteFailure(failure) from error

    async def end(self, grace: float) -> int:
        """Tell it to clean up and leave; kill it after `grace` seconds; return its code."""
        if not self._sink.is_closing():
            self._sink.write(frame.pack(frame.End(seconds=grace)))
            self._sink.close()
        try:
            async with asyncio.timeout(grace):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            # In any case: processes that the handler started may outlive the child.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self.tether.close()
        return await self._process.wait()


def _run_of(ctx: Context, args: bytes) -> frame.Run:
    return frame.Run(
        job_id=ctx.job_id,
        group=ctx.group,
        attempt=ctx.attempt,
        due_ms=ctx.due_ms,
        fence=ctx.fence,
        request=JobRequest(
            tenant=ctx.tenant,
            job=ctx.job,
            handler=ctx.handler,
            args=msgspec.Raw(args),
            retry=Retry(attempts=ctx.attempts),
            missed=ctx.missed_ms,
            phase=ctx.phase,
            task=ctx.task,
        ),
        deadline_ms=ctx.deadline_ms,
    )


def _result(reply: frame.Reply) -> bytes:
    if isinstance(reply, frame.Done):
        return reply.result
    if isinstance(reply, frame.Failed):
        raise RemoteFailure(reply.failure, fatal=reply.fatal, kinds=reply.kinds)
    raise RemoteFailure(Failure(kind="ChildFailed", message="it answered out of turn"))


def _died(kind: str, code: int, *, overdue: bool = False) -> RemoteFailure:
    how = f"ended with exit code {code}"
    if code < 0:
        how = f"was killed by {_signal_name(-code)}"
        if code == -signal.SIGKILL and overdue:
            how += ", as it was not renewed in time,"
        elif code == -signal.SIGKILL:
            how += ", as happens when memory runs out"
    when = "while the handler ran" if kind == "ChildDied" else "before it had loaded the app"
    return RemoteFailure(Failure(kind=kind, message=f"the child process {how} {when}"))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
