"""The child process: loads the app, then runs one handler after another for its worker.

It ends when its standard input does: then its worker wants it to, or is gone; and when its tether
does: then its worker is stopped. Ctrl-C is left to the worker to act upon.
"""

import asyncio
import contextvars
import inspect
import os
import signal
import sys
import threading
from queue import SimpleQueue
from types import FrameType
from typing import BinaryIO, NoReturn

import structlog
from structlog.typing import FilteringBoundLogger

from rota.common import embedded, log, settings
from rota.common.clock import SystemClock
from rota.common.errors import UsageError
from rota.common.message import Failure
from rota.common.progress import Told
from rota.worker import frame, registry, tether
from rota.worker.arguments import BadArguments
from rota.worker.context import Context
from rota.worker.failure import Fatal, failure_of, kinds_of
from rota.worker.invoke import encode_result
from rota.worker.line import Answer

_GRACE = 2.0  # seconds to clean up when the worker is gone without a word


class Ended(KeyboardInterrupt):
    """Raised in the main thread, in whatever the handler does there: clean up and leave.

    An event loop stops for this kind alone: it would log any other that hits one of its callbacks.
    """


class Child:
    """One child process: a thread reads the runs, the main thread carries them out."""

    def __init__(self, source: int, sink: BinaryIO) -> None:
        self._source = source  # read without a buffer, whose lock could outlive the thread
        self._sink = sink
        self._runs: SimpleQueue[frame.Run] = SimpleQueue()
        self._ctx: Context | None = None
        self._saying = threading.Lock()  # a handler may tell its progress from threads
        self._notes = 0
        self._answers: dict[int, Answer] = {}  # that the worker owes us, by number of the note
        self._ending = False
        self._grace = _GRACE

    def listen(self) -> None:
        """Begin to read; from now on the end of the input ends this process."""
        signal.signal(signal.SIGINT, self._on_interrupt)
        # A process that the handler forks must not hold our pipe open when we are gone.
        os.register_at_fork(after_in_child=self._sink.close)
        threading.Thread(target=self._read, name="rota-child-reader", daemon=True).start()

    def say(self, reply: frame.Reply) -> None:
        """Send one reply to the worker."""
        packed = frame.pack(reply)
        with self._saying:
            self._sink.write(packed)
            self._sink.flush()

    def tell(self, fence: int, *, asked: bool, progress: bytes, units: bytes) -> Answer:
        """Send a note on the run under `fence`; return what will be answered."""
        answer = Answer()
        with self._saying:
            self._notes += 1
            number = self._notes
        self._answers[number] = answer
        self.say(
            frame.Note(number=number, fence=fence, asked=asked, progress=progress, units=units)
        )
        return answer

    def serve(self, jobs: registry.Jobs, logger: FilteringBoundLogger) -> NoReturn:
        """Carry out runs until `Ended` is raised."""
        with asyncio.Runner() as runner:
            while True:
                run = self._runs.get()
                line = _RunLine(self, run.fence)
                self._ctx = Context(
                    run, run.request, logger, line=line, deadline_ms=run.deadline_ms
                )
                self.say(_reply(jobs, run, self._ctx, runner))
                self._ctx = None
                self._answers.clear()
                if self._ending:  # a handler may catch `Ended`, clean up and return
                    raise Ended

    def _read(self) -> None:
        try:
            while header := self._read_exactly(frame.HEADER_BYTES):
                order = frame.order_of(self._read_exactly(frame.size(header)))
                if isinstance(order, frame.End):
                    self._grace = order.seconds
                    break
                if isinstance(order, frame.Run):
                    self._runs.put(order)
                elif answer := self._answers.pop(order.number, None):
                    answer.give(Told(order.word, order.units))
        finally:
            self._end()

    def _read_exactly(self, count: int) -> bytes:
        """Return `count` bytes, fewer at the end of the input."""
        body = bytearray()
        while len(body) < count and (part := os.read(self._source, count - len(body))):
            body += part
        return bytes(body)

    def _end(self) -> None:
        self._ending = True
        if self._ctx is not None:
            self._ctx.request_cancel()
        main = threading.main_thread()
        signal.pthread_kill(main.ident or 0, signal.SIGINT)  # interrupts a sleep, too
        main.join(self._grace)
        os._exit(1)

    def _on_interrupt(self, _number: int, _at: FrameType | None) -> None:
        if self._ending:
            raise Ended


class _RunLine:
    """The line of one run, through its worker."""

    def __init__(self, child: Child, fence: int) -> None:
        self._child = child
        self._fence = fence

    def send(self, *, asked: bool = False, progress: bytes = b"", units: bytes = b"") -> Answer:
        return self._child.tell(self._fence, asked=asked, progress=progress, units=units)


def main(app: str, tether_end: int) -> None:
    """Run the handlers of `app` that the worker asks for, until it ends our input."""
    if sys.platform == "linux":
        embedded.die_with_parent()
    os.set_inheritable(tether_end, False)
    threading.Thread(
        target=tether.hold, args=(tether_end, SystemClock()), name="rota-child-tether", daemon=True
    ).start()
    child = Child(*_take_pipes())
    try:
        child.listen()
        _serve(child, app)
    except (Ended, BrokenPipeError):
        return


def _serve(child: Child, app: str) -> None:
    try:
        logger = log.configure(settings.read())
        jobs = registry.load_app(app)
    except UsageError as error:
        failure = Failure(
            kind="ChildFailed", message=str(error), traceback=failure_of(error).traceback
        )
        child.say(frame.Failed(failure=failure))
        return
    child.say(frame.Ready())
    child.serve(jobs, logger)


def _take_pipes() -> tuple[int, BinaryIO]:
    """Keep standard input and output for the worker; a handler that reads or prints gets others."""
    source, sink = os.dup(0), os.dup(1)  # both closed in whatever the handler executes
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return source, os.fdopen(sink, "wb")


def _reply(
    jobs: registry.Jobs, run: frame.Run, ctx: Context, runner: asyncio.Runner
) -> frame.Done | frame.Failed:
    context = contextvars.copy_context()
    try:
        return frame.Done(result=context.run(_call, jobs, run, ctx, runner))
    except Ended:
        raise
    except BaseException as error:  # noqa: BLE001 - even sys.exit() in a handler is its failure
        fatal = isinstance(error, (Fatal, BadArguments))
        return frame.Failed(failure=failure_of(error), fatal=fatal, kinds=kinds_of(error))
    finally:
        ctx.finish()


def _call(jobs: registry.Jobs, run: frame.Run, ctx: Context, runner: asyncio.Runner) -> bytes:
    structlog.contextvars.bind_contextvars(
        tenant=ctx.tenant, job=ctx.job, job_id=ctx.job_id, attempt=ctx.attempt
    )
    handler = jobs.handlers[ctx.handler]
    result = handler.function(ctx, **handler.arguments.decode(bytes(run.request.args)))
    if inspect.iscoroutine(result):
        result = runner.run(result, context=contextvars.copy_context())
    return encode_result(result)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
