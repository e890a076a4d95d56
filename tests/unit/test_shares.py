"""A worker's shares: no place stays empty while there is work, and groups get equal service."""

import heapq
from collections import Counter

import pytest

from rota.worker.shares import Shares

MINUTE = 60_000.0


class Fleet:
    """Simulated places: runs of each group take `took_ms`, and the queues of ready groups are long.

    `batch_ms` is how long the end of a run waits for the round trip that brings the next ones.
    """

    def __init__(self, places: int, took_ms: dict[str, float], batch_ms: float = 1.0) -> None:
        self.shares = Shares()
        self.service: Counter[str] = Counter()
        self._took_ms = took_ms
        self._batch_ms = batch_ms
        self._free = places
        self._now = 0.0
        self._running: list[tuple[float, str, float]] = []  # end, group, charged

    def work(self, until: float, *ready: str) -> None:
        """Let time pass to `until` while the queues of the groups `ready` are never empty."""
        for group in self._took_ms:
            self.shares.set_ready(group, group in ready)
        while self._now < until:
            self._claim()
            ends = self._running[0][0] if self._running else until
            self._now = max(self._now + self._batch_ms, min(ends, until))
            self._settle()

    def _claim(self) -> None:
        for group, n in self.shares.split(self._free).items():
            for _ in range(n):
                charged = self.shares.charge(group)
                end = self._now + self._took_ms[group]
                heapq.heappush(self._running, (end, group, charged))
            self._free -= n

    def _settle(self) -> None:
        while self._running and self._running[0][0] <= self._now:
            _, group, charged = heapq.heappop(self._running)
            took = self._took_ms[group]
            self.shares.settle(group, charged, took)
            self.service[group] += round(took)
            self._free += 1


def ready(*groups: str) -> Shares:
    """Return shares in which `groups` have work."""
    shares = Shares()
    for group in groups:
        shares.set_ready(group, True)
    return shares


@pytest.mark.parametrize("free", [1, 2, 7, 250])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_every_place_is_given_away(free: int, count: int) -> None:
    """Whatever the number of groups that have work, all free places are offered to them."""
    split = ready(*(f"g{i}" for i in range(count))).split(free)

    assert free == sum(split.values())
    assert 0 not in split.values()


def test_equal_groups_get_equal_places() -> None:
    """Groups of which nothing is known yet get the same number of places, one more or less."""
    split = ready("gold", "silver", "bronze").split(8)

    assert [2, 3, 3] == sorted(split.values())


def test_only_groups_with_work_get_places() -> None:
    """A group without work takes no place from those that have some."""
    shares = ready("gold", "silver")
    shares.set_ready("gold", False)

    assert {"silver": 5} == shares.split(5)
    assert ["gold", "silver"] == sorted(shares.groups)


@pytest.mark.parametrize("free", [0, 3])
def test_nothing_to_split(free: int) -> None:
    """Without a group that has work, or without a free place, nothing is claimed."""
    shares = Shares()
    if not free:
        shares.set_ready("gold", True)

    assert {} == shares.split(free)


@pytest.mark.parametrize("places", [1, 2, 10, 50])
@pytest.mark.parametrize("batch_ms", [1.0, 50.0])
def test_long_and_short_jobs_get_equal_service(places: int, batch_ms: float) -> None:
    """Over time a group of long jobs and one of short jobs get the same service."""
    fleet = Fleet(places, {"long": 5_000.0, "short": 20.0}, batch_ms)
    fleet.work(2 * MINUTE, "long", "short")  # what the jobs take is learned
    before = fleet.service.copy()
    fleet.work(8 * MINUTE, "long", "short")
    given = fleet.service - before

    assert given["short"] == pytest.approx(given["long"], rel=0.1)


def test_idle_group_banks_no_credit() -> None:
    """A group that was idle for long gets its share from now on, and no more."""
    fleet = Fleet(10, {"busy": 100.0, "idle": 100.0})
    fleet.work(5 * MINUTE, "busy")
    before = fleet.service.copy()
    fleet.work(6 * MINUTE, "busy", "idle")
    given = fleet.service - before

    assert given["busy"] == pytest.approx(given["idle"], rel=0.1)


def test_no_credit_while_the_others_pause() -> None:
    """A group banks no credit even if it comes when the busy one's queue happens to be empty."""
    shares = ready("busy")
    for _ in range(100):
        shares.settle("busy", shares.charge("busy"), 1_000.0)
    shares.set_ready("busy", False)
    shares.set_ready("idle", True)
    shares.set_ready("busy", True)
    given: Counter[str] = Counter()
    for _ in range(20):
        (group,) = shares.split(1)
        given[group] += 1
        shares.settle(group, shares.charge(group), 1_000.0)

    assert given["busy"] == pytest.approx(given["idle"], abs=2)


def test_busy_group_owes_nothing_for_an_empty_fleet() -> None:
    """A group that used all places while nobody else wanted them is not punished for it."""
    fleet = Fleet(4, {"first": 100.0, "second": 100.0})
    fleet.work(10 * MINUTE, "first")
    before = fleet.service.copy()
    fleet.work(10 * MINUTE + 2_000, "first", "second")
    given = fleet.service - before

    assert given["first"] == pytest.approx(given["second"], rel=0.15)


def test_settling_corrects_the_guess() -> None:
    """A run is charged what it took in the end, and the next one what such runs take."""
    shares = ready("gold", "silver")
    charged = shares.charge("gold")
    shares.settle("gold", charged, 10_000.0)

    assert shares.charge("gold") > charged
    assert {"silver": 1} == shares.split(1)


def test_without_a_group() -> None:
    """Places are not offered to a group that is left out, however little it was served."""
    shares = ready("gold", "silver")
    shares.charge("gold")

    assert {"gold": 1} == shares.split(1, without={"silver"})
    assert {} == shares.split(1, without={"gold", "silver"})


def test_weighted_groups() -> None:
    """A group of weight 3 gets three times the service of one of weight 1, whatever runs take."""
    fleet = Fleet(12, {"gold": 2_000.0, "silver": 150.0})
    fleet.shares.set_ready("gold", True)
    fleet.shares.set_weight("gold", 3.0)
    fleet.work(2 * MINUTE, "gold", "silver")
    before = fleet.service.copy()
    fleet.work(10 * MINUTE, "gold", "silver")
    given = fleet.service - before

    assert given["gold"] == pytest.approx(3 * given["silver"], rel=0.1)


def test_weight_of_a_group_that_is_not_served() -> None:
    """A group does not come to be served because its weight is known."""
    shares = ready("gold")
    shares.set_weight("silver", 2.0)

    assert ["gold"] == shares.groups
