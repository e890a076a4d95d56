"""Lanes: so many runs at a time, in order, each apart from the others."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

import pytest

from rota.common.run import Claimed
from rota.worker.held import HeldRun
from rota.worker.lanes import Lanes
from tests.support import probe
from tests.support.logbook import Logbook

Handler = Callable[[str], Awaitable[None]]


def run(name: str, received_at: float = 0.0) -> HeldRun:
    """Return a run that is held."""
    claimed = Claimed("gold", name, 7, 1, 0, b"")
    return HeldRun(claimed, 0.0, 0.0, 0.0, received_at)


class Track:
    """Lanes whose runs do what the test says, and what has become of those."""

    def __init__(self, places: int, handler: Handler) -> None:
        self.logbook = Logbook()
        self.begun: list[str] = []
        self.over: dict[str, str | None] = {}
        self.tasks: list[asyncio.Task[object] | None] = []
        self._handler = handler
        self.lanes: Lanes[str] = Lanes(
            places, attempt=self._attempt, over=self._note, log=self.logbook.log
        )

    def add(self, *names: str) -> list[HeldRun]:
        """Add a run of each name."""
        added = [run(name) for name in names]
        for held in added:
            self.lanes.add(held)
        return added

    async def ends(self, *names: str) -> None:
        """Return when these runs are over."""
        await probe.until(lambda: set(names) <= self.over.keys())

    async def _attempt(self, held: HeldRun) -> str:
        self.begun.append(held.run.job_id)
        self.tasks.append(asyncio.current_task())
        await self._handler(held.run.job_id)
        return f"{held.run.job_id} ended"

    def _note(self, held: HeldRun, outcome: str | None) -> None:
        self.over[held.run.job_id] = outcome


async def nothing(name: str) -> None:
    """Wait for nothing."""


async def test_order() -> None:
    """Runs begin in the order in which they came, and each is told over once, with its outcome."""
    track = Track(2, nothing)
    names = [f"run-{n}" for n in range(100)]
    track.add(*names)
    await track.ends(*names)

    assert names == track.begun
    assert {name: f"{name} ended" for name in names} == track.over


async def test_places() -> None:
    """Of runs that wait for something no more are under way than there are places."""
    gate = asyncio.Event()

    async def handler(name: str) -> None:
        await gate.wait()

    track = Track(2, handler)
    first, _, last = track.add("a", "b", "c")
    await probe.until(lambda: len(track.begun) == 2)
    waiting = track.lanes.waiting
    assert first.task is not None
    first.task.cancel()
    await track.ends("a")
    await probe.until(lambda: len(track.begun) == 3)
    gate.set()
    await track.ends("b", "c")

    assert 1 == waiting
    assert {"a": None, "b": "b ended", "c": "c ended"} == track.over
    assert last.task is not first.task


async def test_others_have_their_turn() -> None:
    """However many runs wait for nothing, the rest of the program goes on meanwhile."""
    turns = 0
    track = Track(1, nothing)
    track.add(*(f"run-{n}" for n in range(1_000)))
    while len(track.over) < 1_000:
        turns += 1
        await asyncio.sleep(0)

    assert turns > 10


async def test_contexts() -> None:
    """What a handler sets in its context is there behind each wait, and not for the next run."""
    mark = contextvars.ContextVar("mark", default="clean")
    seen: list[str] = []

    async def handler(name: str) -> None:
        seen.append(mark.get())
        mark.set(name)
        if name == "waits":
            await asyncio.sleep(0)
            await asyncio.create_task(asyncio.sleep(0))
            seen.append(mark.get())

    track = Track(1, handler)
    track.add("ends", "waits", "last")
    await track.ends("ends", "waits", "last")

    assert ["clean", "clean", "waits", "clean"] == seen


async def test_one_that_waits_has_a_task_for_itself() -> None:
    """A handler that waits never shares its task: to cancel it touches no other."""

    async def handler(name: str) -> None:
        if name.startswith("waits"):
            await asyncio.sleep(0)

    track = Track(4, handler)
    track.add("a", "waits-1", "waits-2", "b", "waits-3")
    await track.ends("a", "waits-1", "waits-2", "b", "waits-3")
    tasks = dict(zip(track.begun, track.tasks, strict=True))
    waited = {tasks[name] for name in tasks if name.startswith("waits")}

    assert 3 == len(waited)


async def test_cancelled_by_itself() -> None:
    """A handler that cancels the task in which it is called does nothing to the next one."""

    async def handler(name: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        if name == "cancels":
            task.cancel()
        else:
            await asyncio.sleep(0)

    track = Track(1, handler)
    track.add("cancels", "next")
    await track.ends("cancels", "next")

    assert {"cancels": "cancels ended", "next": "next ended"} == track.over


@pytest.mark.parametrize("waits", [False, True])
async def test_fault(waits: bool) -> None:
    """An attempt that raises is over without an outcome, which is logged; the next one begins."""

    async def handler(name: str) -> None:
        if waits:
            await asyncio.sleep(0)
        if name == "fails":
            raise OSError

    track = Track(1, handler)
    track.add("fails", "next")
    await track.ends("fails", "next")

    assert {"fails": None, "next": "next ended"} == track.over
    assert ["fails"] == [each["job_id"] for each in track.logbook.events("attempt_failed")]


async def test_withdraw() -> None:
    """What has waited too long is withdrawn with all behind it, and never begins."""
    gate = asyncio.Event()

    async def handler(name: str) -> None:
        await gate.wait()

    track = Track(1, handler)
    runs = [run("begun", 1.0), run("a", 1.0), run("b", 3.0)]
    for held in runs:
        track.lanes.add(held)
    await probe.until(lambda: track.begun)
    too_early = track.lanes.withdraw(1.0)
    withdrawn = track.lanes.withdraw(2.0)
    gate.set()
    await track.ends("begun")
    await asyncio.sleep(0)

    assert [] == too_early
    assert runs[1:] == withdrawn
    assert ["begun"] == track.begun


async def test_drop() -> None:
    """A run that has not begun can be dropped; one that has can't."""
    gate = asyncio.Event()

    async def handler(name: str) -> None:
        await gate.wait()

    track = Track(1, handler)
    begun, waiting, _ = track.add("begun", "waiting", "other")
    await probe.until(lambda: track.begun)
    dropped = [track.lanes.drop(held) for held in (begun, waiting, waiting)]
    gate.set()
    await track.ends("begun", "other")

    assert [False, True, False] == dropped
    assert ["begun", "other"] == track.begun
