"""Handlers that take their time: it passes when the test moves its clock."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rota.common.errors import UsageError
from rota.worker.held import HeldRun

# Of the handler that runs; also in the tasks that it starts.
_RUN: ContextVar[HeldRun | None] = ContextVar("rota_testing_run", default=None)


class Naps:
    """Which runs sleep, and until when."""

    def __init__(self) -> None:
        self._asleep: dict[HeldRun, list[tuple[int, asyncio.Future[None]]]] = {}
        self._fell = asyncio.Event()

    def __contains__(self, held: HeldRun) -> bool:
        return held in self._asleep

    @contextmanager
    def of(self, held: HeldRun) -> Iterator[None]:
        """Let what is started in the context sleep as `held`."""
        token = _RUN.set(held)
        try:
            yield
        finally:
            _RUN.reset(token)

    async def nap(self, until_ms: int) -> None:
        """Return when it is `until_ms`; raises `UsageError` if no handler calls it."""
        held = _RUN.get()
        if held is None:
            raise UsageError("only an async handler can sleep; a test advances the clock")
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asleep.setdefault(held, []).append((until_ms, over))
        self._fell.set()
        await over

    async def next(self) -> None:
        """Return when somebody has fallen asleep, or was forgotten, since the last time."""
        await self._fell.wait()
        self._fell.clear()

    @property
    def until_ms(self) -> int | None:
        """Return when the first is to wake; None if nobody sleeps."""
        return min((until for naps in self._asleep.values() for until, _ in naps), default=None)

    def wake(self, now_ms: int) -> None:
        """Wake those whose time it is, the first first."""
        due = sorted(
            (
                (until, number, over, held)
                for held, naps in self._asleep.items()
                for number, (until, over) in enumerate(naps)
                if until <= now_ms
            ),
            key=lambda nap: nap[0],
        )
        for _, _, over, held in due:
            self._asleep.pop(held, None)
            if not over.done():
                over.set_result(None)

    def forget(self, held: HeldRun) -> None:
        """Count a run as awake: it was cancelled, or has ended."""
        self._asleep.pop(held, None)
        self._fell.set()
