"""Plays a story once for each point at which its process can be killed."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import SystemRandom
from typing import NamedTuple

from tests.kills.checkpoint import Point
from tests.kills.findings import findings, left_behind
from tests.kills.trial import Lane, Trial

Story = Callable[[Lane, Point | None], Awaitable[Trial]]
Judge = Callable[[Trial], Awaitable[list[str]]]

_TRIES = 2  # to reach a point, which depends on what comes first
_CALM = 3  # tries to have a story on a machine that is not too busy for its short leases


class Played(NamedTuple):
    """One playing of a story."""

    point: Point | None
    struck: bool  # whether the process was killed there
    passed: Counter[str]  # how many round trips of each kind were made
    against: list[str]


class Enumeration:
    """All points of a story, and what was found at each.

    Not every story has the same number of round trips of each kind. The points are those of the
    longest of a few; one that is not reached is a story that ended without a kill.
    """

    def __init__(self, story: Story, lanes: Sequence[Lane], judge: Judge | None = None) -> None:
        self._story = story
        self._judge = judge or _all_findings
        self._lanes = lanes
        self._most = Counter[str]()  # round trips of each kind
        self.played: list[Played] = []
        self.missed: list[Point] = []

    def points(self, *executed: bool) -> list[Point]:
        """Return all points, before or after the store has `executed` what is sent."""
        return [
            Point(trip, number, each)
            for trip, most in sorted(self._most.items())
            for number in range(1, most + 1)
            for each in executed
        ]

    @property
    def struck(self) -> list[Point]:
        """Return the points at which the process was killed."""
        return [played.point for played in self.played if played.point and played.struck]

    def against(self) -> list[str]:
        """Return all that was found."""
        return [f"{played.point}: {each}" for played in self.played for each in played.against]

    def told(self) -> str:
        """Return how many points there were, of which kinds, and what was found."""
        kinds = Counter(point.trip for point in self.struck)
        lines = [f"killed at {len(self.struck)} points: {dict(sorted(kinds.items()))}"]
        lines += [f"not reached: {', '.join(map(str, self.missed))}"] if self.missed else []
        return "\n".join([*lines, *self.against()])

    async def run(self, *, executed: bool) -> None:
        """Kill the process at each point of one kind."""
        await self._measure()
        await self._play(self.points(executed))

    async def run_some(self, count: int) -> None:
        """Kill the process at so many of the points, evenly spread."""
        await self._measure()
        points = self.points(False, True)
        stride = max(1, len(points) // count)
        await self._play(points[SystemRandom().randrange(stride) :: stride])

    async def _measure(self) -> None:
        """Play the story to its end, to see how many round trips there are."""
        await self._play([None] * len(self._lanes))
        for played in self.played:
            self._most |= played.passed

    async def _play(self, points: Sequence[Point | None]) -> None:
        left = list(reversed(points))

        async def work(lane: Lane) -> None:
            while left:
                await self._reach(lane, left.pop())

        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(work(lane))

    async def _reach(self, lane: Lane, point: Point | None) -> None:
        for _ in range(_TRIES):
            played = await self._once(lane, point)
            self.played.append(played)
            if played.struck or point is None:
                return
        assert point is not None
        self.missed.append(point)

    async def _once(self, lane: Lane, point: Point | None) -> Played:
        try:
            for _ in range(_CALM):
                trial = await self._story(lane, point)
                against = await self._judge(trial)
                await trial.store.link.close()
                if not trial.stalled():
                    break
        except Exception as error:
            error.add_note(f"killed {point}")
            raise
        assert trial.checkpoint is not None
        return Played(point, trial.checkpoint.struck, trial.checkpoint.passed, against)


async def _all_findings(trial: Trial) -> list[str]:
    return findings(trial) + await left_behind(trial)
