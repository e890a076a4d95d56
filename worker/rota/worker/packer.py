"""Makes tasks of bounded size from specs as they come: small ones are merged, large ones split."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rota.common import message
from rota.common.job import Tasks
from rota.common.message import Task
from rota.worker.spec import BadSpec, TaskSpec

OPEN = 20_000  # keys whose small specs are being merged at a time, and
OPEN_BYTES = 16 * 1024 * 1024  # their arguments: the memory that planning takes
MAX_PARTS = 1_000  # specs in one task
MAX_BYTES = 32 * 1024  # of a task's arguments
_NEAR = 1e-9  # a share that is this close to the limit keeps it


@dataclass(slots=True)
class _Bucket:
    size: float = 0.0
    weight: int = 0  # bytes of its parts
    parts: list[bytes] = field(default_factory=list)  # msgpack of the args of each spec


class Packer:
    """Packs the specs of one planner; the same specs in the same order give the same tasks."""

    def __init__(self, rules: Tasks) -> None:
        self._rules = rules
        self._open: dict[str, _Bucket] = {}  # by key, the one that was opened first in front
        self._weight = 0  # bytes of what is open

    def add(self, spec: TaskSpec) -> list[Task]:
        """Return the tasks that are complete now; raises `BadSpec` if `spec` is too large."""
        most = self._rules.max_size
        if not most:
            return [_task(spec.key, self._filled(_whole(spec)))]
        if spec.size <= most:
            return list(self._merge(_whole(spec)))
        if not callable(spec.split):
            return [task for piece in _pieces(spec, most) for task in self._placed(piece)]
        return [
            task
            for piece in _made(spec, most)
            for task in (self._merge(piece) if piece.size <= most else self._placed(piece))
        ]

    def rest(self) -> list[Task]:
        """Return the tasks that were still open: no spec follows."""
        return [self._close(key) for key in list(self._open)]

    def _close(self, key: str) -> Task:
        bucket = self._open.pop(key)
        self._weight -= bucket.weight
        return _task(key, bucket)

    def _merge(self, spec: TaskSpec) -> Iterator[Task]:
        new = self._filled(spec)
        old = self._open.get(spec.key)
        if old and not self._fit(old, new):
            yield self._close(spec.key)
            old = None
        if old is None:
            self._open[spec.key] = new
        else:
            old.size += new.size
            old.weight += new.weight
            old.parts += new.parts
        self._weight += new.weight
        while len(self._open) > OPEN or self._weight > OPEN_BYTES:
            yield self._close(next(iter(self._open)))

    def _fit(self, old: _Bucket, new: _Bucket) -> bool:
        return (
            old.size + new.size <= self._rules.max_size
            and old.weight + new.weight <= MAX_BYTES
            and len(old.parts) < MAX_PARTS
        )

    def _placed(self, piece: TaskSpec) -> Iterator[Task]:
        """Yield a piece of a spec as a task of its own, where it may be one."""
        if piece.size <= self._rules.max_size or self._rules.alone:
            yield _task(piece.key, self._filled(piece))
        else:
            raise BadSpec(
                f"{piece} is above max_task_size, {self._rules.max_size:,g}, and can't be split"
                " further: let it offer a `split`, or set `unsplittable: alone`"
            )

    def _filled(self, spec: TaskSpec) -> _Bucket:
        try:
            packed = message.encode(spec.args)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise BadSpec(f"{spec}: its args can't be sent: {error}") from error
        if len(packed) > MAX_BYTES:
            raise BadSpec(
                f"{spec}: its args take {len(packed):,} bytes, more than {MAX_BYTES:,};"
                " store what is large elsewhere and tell where it is"
            )
        return _Bucket(float(spec.size), len(packed), [packed])


def _whole(spec: TaskSpec) -> TaskSpec:
    """Return a spec that needs no cut, with what its handler is told of its extent."""
    if spec.split is None or callable(spec.split):
        return spec
    return TaskSpec(key=spec.key, size=spec.size, args=spec.args | _extent(spec.split))


def _extent(part: Any) -> dict[str, Any]:
    if isinstance(part, range):
        return {"start": part.start, "stop": part.stop}
    return {"items": list(part)}


def _made(spec: TaskSpec, most: float) -> Iterator[TaskSpec]:
    """Yield what the function of a spec splits it into."""
    assert callable(spec.split)
    for piece in spec.split(most):
        if not isinstance(piece, TaskSpec) or piece.key != spec.key:
            raise BadSpec(f"{spec}: its split must give TaskSpecs of the same key")
        yield piece


def _pieces(spec: TaskSpec, most: float) -> Iterator[TaskSpec]:
    if spec.split is None or callable(spec.split) or not len(spec.split):
        return iter([spec])
    return _cut(spec, spec.split, most)


def _cut(spec: TaskSpec, along: Any, most: float) -> Iterator[TaskSpec]:
    """Yield pieces of about the same size, each with its part of `along`, a range or a list."""
    length = len(along)
    longest = math.floor(most * length / spec.size + _NEAR)  # 0: none is short enough
    count = math.ceil(length / max(1, longest))
    for i in range(count):
        part = along[i * length // count : (i + 1) * length // count]
        share = spec.size * len(part) / length
        size = min(share, most) if longest else share
        yield TaskSpec(key=spec.key, size=size, args=spec.args | _extent(part))


def _task(key: str, bucket: _Bucket) -> Task:
    parts = msgspec.Raw(message.encode({"parts": [msgspec.Raw(part) for part in bucket.parts]}))
    return Task(parts, key, bucket.size)
