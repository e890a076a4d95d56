"""A worker, scheduler or caller that is killed between any two of its round trips costs nothing.

By default at some of the points, at all of them with `-m long`.
"""

import asyncio
import faulthandler
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rota.common.embedded import EmbeddedStore
from rota.common.link import Link
from rota.common.scripts import script
from rota.worker.daemon import WorkerOptions
from tests.kills import caller_story, scheduler_story, victims, worker_story
from tests.kills.enumeration import Enumeration
from tests.kills.trial import Lane
from tests.kills.victims import Victim
from tests.support import calls
from tests.support.builders import GROUP
from tests.support.processes import ROOT

pytestmark = pytest.mark.system
EVERYWHERE = pytest.mark.parametrize("executed", [False, True], ids=["before", "after"])

LANES = 6  # trials at a time: they mostly wait
SOME = 10  # points
FEWEST = 25  # points before or after a round trip; fewer mean that the story was not told
# Of what both roles can send, and in every story do.
OF_WORKER = {"PING", "BLPOP", "RPUSH", "DEL"}
OF_WORKER |= {"register", "claim", "turn", "renew", "retry", "release", "progress"}
OF_SCHEDULER = {"PING", "SADD", "HMGET", "XREVRANGE", "XREAD", "SCAN"}
OF_SCHEDULER |= {"lead", "enqueue", "record", "promote", "rescue", "cancel", "reconcile", "recount"}
OF_SCHEDULER |= {"limits"}
OF_CALLER = {"call", "attend", "forgo", "BLMPOP"}


@pytest.fixture
def lanes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: asyncio.Runner
) -> Iterator[list[Lane]]:
    """Return stores, each for one trial at a time."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")  # for the process that forks
    with ExitStack() as stack:
        urls = [stack.enter_context(EmbeddedStore()).url for _ in range(LANES)]
        lanes = [Lane(url, tmp_path / str(n)) for n, url in enumerate(urls)]
        for lane in lanes:
            lane.folder.mkdir()
            runner.run(know_scripts(lane.url))
        yield lanes


@pytest.fixture
def no_hurry() -> None:
    """Let a test last longer than others may: nothing in it waits for ever."""
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def staffed(lanes: list[Lane]) -> Iterator[list[Lane]]:
    """Return stores with a worker each, which nobody kills."""
    options = WorkerOptions(app="tests.kills.handlers", groups=[GROUP])
    workers = [
        Victim("worker", victims.worker, url, folder, folder / "audit", options, False)
        for url, folder in lanes
    ]
    yield lanes
    for worker in workers:
        worker.end()


async def know_scripts(url: str) -> None:
    """Let a store know all scripts, as one does that was not started just now."""
    link = Link(url)
    await link.pipeline([("SCRIPT", "LOAD", script(name)[0]) for name in calls.SCRIPTS])
    await link.close()


def struck(enumeration: Enumeration) -> set[str]:
    """Return the scripts and commands at which the process was killed."""
    return {word for point in enumeration.struck for word in point.trip.split()}


async def test_worker_killed_somewhere(lanes: list[Lane]) -> None:
    """Whatever a worker was about to send or to hear: its runs are done, none beside itself."""
    enumeration = Enumeration(worker_story.play, lanes)
    await enumeration.run_some(SOME)
    print(enumeration.told())

    assert [] == enumeration.against()
    assert SOME / 2 <= len(enumeration.struck)


async def test_scheduler_killed_somewhere(staffed: list[Lane]) -> None:
    """Whatever a scheduler was about to send or to hear: no occurrence is lost or run twice."""
    enumeration = Enumeration(scheduler_story.play, staffed)
    await enumeration.run_some(SOME)
    print(enumeration.told())

    assert [] == enumeration.against()
    assert SOME / 2 <= len(enumeration.struck)


async def test_caller_killed_somewhere(staffed: list[Lane]) -> None:
    """Whatever a caller was about to send or hear: who calls again gets each reply, made once."""
    enumeration = Enumeration(caller_story.play, staffed, caller_story.against)
    await enumeration.run_some(SOME)
    print(enumeration.told())

    assert [] == enumeration.against()
    assert SOME / 2 <= len(enumeration.struck)


@pytest.mark.long
@pytest.mark.usefixtures("no_hurry")
@EVERYWHERE
async def test_caller_killed_everywhere(staffed: list[Lane], executed: bool) -> None:
    """The same at each of a caller's round trips."""
    enumeration = Enumeration(caller_story.play, staffed, caller_story.against)
    await enumeration.run(executed=executed)
    print(enumeration.told())

    assert [] == enumeration.against()
    assert OF_CALLER <= struck(enumeration)


@pytest.mark.long
@pytest.mark.usefixtures("no_hurry")
@EVERYWHERE
async def test_worker_killed_everywhere(lanes: list[Lane], executed: bool) -> None:
    """The same at each of a worker's round trips."""
    enumeration = Enumeration(worker_story.play, lanes)
    await enumeration.run(executed=executed)
    print(enumeration.told())

    assert [] == enumeration.against()
    assert FEWEST <= len(enumeration.struck)
    assert OF_WORKER <= struck(enumeration)


@pytest.mark.long
@pytest.mark.usefixtures("no_hurry")
@EVERYWHERE
async def test_scheduler_killed_everywhere(staffed: list[Lane], executed: bool) -> None:
    """The same at each of a scheduler's round trips."""
    enumeration = Enumeration(scheduler_story.play, staffed)
    await enumeration.run(executed=executed)
    print(enumeration.told())

    assert [] == enumeration.against()
    assert FEWEST <= len(enumeration.struck)
    assert OF_SCHEDULER <= struck(enumeration)
