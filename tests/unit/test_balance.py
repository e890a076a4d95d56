"""Schedulers share the groups evenly, and a group is given up only for one that has fewer."""

import pytest

from rota.scheduler.balance import Balance


def balance(groups: int, schedulers: int, led: int = 0) -> Balance:
    """Return what one scheduler knows that leads some of the groups."""
    known = Balance(groups)
    known.led = {f"g{n}" for n in range(led)}
    known.note("g0", schedulers)
    return known


def test_alone() -> None:
    """A scheduler that has heard of no other takes every group, from its very start."""
    known = Balance(3)
    for group in ("a", "b", "c"):
        assert known.may_take()
        known.led.add(group)

    assert not known.may_take()
    assert not known.should_give()


@pytest.mark.parametrize(
    ("groups", "schedulers", "share"),
    [(4, 2, 2), (5, 2, 3), (1, 2, 1), (7, 3, 3), (2, 5, 1), (0, 3, 0), (6, 1, 6)],
)
def test_share(groups: int, schedulers: int, share: int) -> None:
    """The shares of all schedulers cover all groups, and are even but for one group."""
    known = balance(groups, schedulers)

    assert share == known.share
    assert groups <= share * schedulers


def test_gives_what_is_too_much() -> None:
    """Who leads more than its share gives up just the surplus, and takes none back."""
    known = balance(4, 2, led=4)
    given = 0
    while known.should_give():
        known.led.pop()
        given += 1

    assert 2 == given
    assert not known.may_take()


def test_does_not_give_for_nothing() -> None:
    """Where the groups can't be shared evenly none is passed to and fro."""
    assert not balance(3, 2, led=2).should_give()
    assert not balance(3, 2, led=1).should_give()


def test_does_not_ask_for_more_than_it_may_take() -> None:
    """Groups that it has asked for count as taken: several are asked for at the same time."""
    known = balance(4, 2, led=1)
    known.asked = {"g1"}

    assert not known.may_take()

    known.asked = {"g0"}

    assert known.may_take()


def test_the_most_that_is_seen_counts() -> None:
    """A scheduler that has just given up one group is still counted where it takes part."""
    known = balance(4, 2)
    known.note("g1", 1)

    assert 2 == known.share

    known.note("g0", 1)

    assert 4 == known.share


@pytest.mark.parametrize("groups", range(1, 9))
@pytest.mark.parametrize("schedulers", range(1, 5))
def test_comes_to_rest(groups: int, schedulers: int) -> None:
    """However many join one that leads all, every group is led in the end, and all is quiet."""
    names = {f"g{n}" for n in range(groups)}
    all_known = [balance(groups, schedulers) for _ in range(schedulers)]
    all_known[0].led = set(names)
    free: set[str] = set()
    for _ in range(groups):
        for known in all_known:
            if known.should_give():
                free.add(known.led.pop())
            elif free and known.may_take():
                known.led.add(free.pop())

    assert names == set().union(*(known.led for known in all_known))
    assert groups == sum(len(known.led) for known in all_known)
    assert not any(known.should_give() for known in all_known)
