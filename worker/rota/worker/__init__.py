"""The workers: they claim runs, call the handlers that users registered, and tell how it went."""

from rota.common.message import FailedTask, PhaseFailure
from rota.worker.context import Context
from rota.worker.failure import Cancelled, Fatal, TooManySkipped
from rota.worker.registry import Jobs
from rota.worker.spec import TaskSpec
from rota.worker.unit import Unit
from rota.worker.units import Units

__all__ = [
    "Cancelled",
    "Context",
    "FailedTask",
    "Fatal",
    "Jobs",
    "PhaseFailure",
    "TaskSpec",
    "TooManySkipped",
    "Unit",
    "Units",
]
