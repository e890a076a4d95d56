"""Packing specs into tasks: no task too large, none across keys, nothing lost."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.common.job import Tasks
from rota.common.message import Task
from rota.worker import TaskSpec
from rota.worker.packer import MAX_PARTS, OPEN, OPEN_BYTES, Packer
from rota.worker.spec import BadSpec

MOST = 10.0
KEYS = st.sampled_from(["a", "b", "c"])
SMALL = st.floats(0, MOST)


def pack(specs: list[TaskSpec], **rules: Any) -> list[Task]:
    """Return the tasks that these specs give."""
    packer = Packer(Tasks(**{"max_size": MOST} | rules))
    return [task for spec in specs for task in packer.add(spec)] + packer.rest()


def parts(task: Task) -> list[dict[str, Any]]:
    """Return the args of the specs that a task is made of."""
    found: dict[str, list[dict[str, Any]]] = msgspec.msgpack.decode(task.args)
    return found["parts"]


def numbered(sizes: list[tuple[str, float]]) -> list[TaskSpec]:
    """Return specs with these keys and sizes that know their place."""
    return [TaskSpec(key=k, size=s, args={"n": n, "k": k}) for n, (k, s) in enumerate(sizes)]


@given(st.lists(st.tuples(KEYS, SMALL)))
def test_merging_loses_nothing(sizes: list[tuple[str, float]]) -> None:
    """Each small spec is in one task, that of its key, and no task is too large."""
    tasks = pack(numbered(sizes))

    assert list(range(len(sizes))) == sorted(p["n"] for task in tasks for p in parts(task))
    assert all(task.size <= MOST for task in tasks)
    assert all({task.key} == {p["k"] for p in parts(task)} for task in tasks)


@given(st.lists(st.tuples(KEYS, SMALL)))
def test_merging_is_thorough(sizes: list[tuple[str, float]]) -> None:
    """Two tasks of a key that follow each other would not fit into one."""
    tasks = pack(numbered(sizes))
    for key in {task.key for task in tasks}:
        mine = [task for task in tasks if task.key == key]
        for one, other in pairwise(mine):
            first = parts(other)[0]["n"]

            assert one.size + sizes[first][1] > MOST


@given(st.integers(1, 500), st.floats(MOST, 1e6), st.booleans())
def test_ranges_are_split(length: int, size: float, as_list: bool) -> None:
    """A range or a list is cut into pieces that cover it once, in order, none too large."""
    along = range(7, 7 + length)
    spec = TaskSpec(key="k", size=size, args={"x": 1}, split=list(along) if as_list else along)
    tasks = pack([spec], alone=True)
    told = [p for task in tasks for p in parts(task)]
    covered = [n for p in told for n in (p["items"] if as_list else range(p["start"], p["stop"]))]

    assert list(along) == covered
    assert {1} == {p["x"] for p in told}
    assert all(t.size <= MOST or len(covered) == len(tasks) for t in tasks)
    assert size == pytest.approx(sum(task.size for task in tasks))


def test_as_few_pieces_as_fit() -> None:
    """A spec is not cut into more pieces than it has to be, and they are about equal."""
    tasks = pack([TaskSpec(size=100, split=range(1_000))])

    assert [(0, 100), (100, 200)] == [(p["start"], p["stop"]) for t in tasks[:2] for p in parts(t)]
    assert [10.0] * 10 == [task.size for task in tasks]


def test_a_function_splits() -> None:
    """A function gives the pieces, which are merged up to the limit that it is told."""

    def halves(most: float) -> Iterator[TaskSpec]:
        assert most == MOST
        for n in range(6):
            yield TaskSpec(key="k", size=4, args={"n": n})

    tasks = pack([TaskSpec(key="k", size=24, split=halves)])

    assert [8.0, 8.0, 8.0] == [task.size for task in tasks]
    assert list(range(6)) == [p["n"] for task in tasks for p in parts(task)]


@pytest.mark.parametrize(
    "split", [None, range(0), [], [1], range(2), lambda most: [TaskSpec(size=most + 1)]]
)
def test_what_cannot_be_split(split: Any) -> None:
    """A spec that can't be split enough is an error that says so or, by setting, a task."""
    spec = TaskSpec(size=50, split=split)
    tasks = pack([spec], alone=True)

    with pytest.raises(BadSpec, match="is above max_task_size, 10, and can't be split"):
        pack([spec])
    assert max(task.size for task in tasks) > MOST


def test_pieces_keep_their_key() -> None:
    """What a function makes of a spec belongs to its shard."""
    spec = TaskSpec(key="a", size=50, split=lambda _: [TaskSpec(key="b", size=1)])

    with pytest.raises(BadSpec, match="TaskSpecs of the same key"):
        pack([spec])


def test_without_a_limit() -> None:
    """Without `max_task_size` each spec is a task."""
    tasks = pack(numbered([("a", 1), ("a", 1_000)]), max_size=0)

    assert [1, 1_000] == [task.size for task in tasks]


def test_memory_is_bounded() -> None:
    """However many keys and specs there are, few are held back."""
    packer = Packer(Tasks(max_size=1e9))
    given_out = sum(len(packer.add(TaskSpec(key=str(n), size=1))) for n in range(3 * OPEN))
    many = sum(len(packer.add(TaskSpec(key="0", size=0))) for _ in range(3 * MAX_PARTS))

    heavy = Packer(Tasks(max_size=1e9))
    args = {"x": "x" * 20_000}
    closed = sum(len(heavy.add(TaskSpec(key=str(n), args=args))) for n in range(1_000))

    assert 2 * OPEN == given_out
    assert many >= 2
    assert 1_000 - OPEN_BYTES // 20_000 <= closed < 1_000


@pytest.mark.parametrize("size", [-1, float("nan"), float("inf"), "7", True])
def test_sizes_are_checked(size: Any) -> None:
    """A size is a number that can be added up."""
    with pytest.raises(BadSpec, match="size"):
        TaskSpec(size=size)


def test_args_are_checked() -> None:
    """Args that can't be sent, or are too large, are refused with the spec that has them."""
    with pytest.raises(BadSpec, match=r"'k'.* its args can't be sent"):
        pack([TaskSpec(key="k", args={"x": object()})])
    with pytest.raises(BadSpec, match="its args take"):
        pack([TaskSpec(key="k", args={"x": "x" * 40_000})])


@given(st.lists(st.tuples(KEYS, SMALL)))
def test_same_specs_same_tasks(sizes: list[tuple[str, float]]) -> None:
    """The same specs in the same order give the same tasks: a planner may go on behind those."""
    once, again = (
        [(task.key, task.size, bytes(task.args)) for task in pack(numbered(sizes))]
        for _ in range(2)
    )

    assert once == again
