"""For the tests of users' jobs: a scheduler, a worker and callers under a clock that tests move.

`rota` drives the others, `timetable` is the scheduler and `bench` the worker, turn by turn;
`handler` calls one handler alone, with a `context` that keeps what it was told.
"""

from rota.common.embedded import EmbeddedStore
from rota.common.ledger import Attempts, Stretch
from rota.testing.bench import Stuck
from rota.testing.context import FakeContext, Told, context
from rota.testing.handler import call
from rota.testing.rota import Rota
from rota.testing.run import Run

__all__ = [
    "Attempts",
    "EmbeddedStore",
    "FakeContext",
    "Rota",
    "Run",
    "Stretch",
    "Stuck",
    "Told",
    "call",
    "context",
]
