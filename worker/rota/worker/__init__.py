"""The workers: they claim runs, call the handlers that users registered, and tell how it went."""

from rota.worker.context import Context
from rota.worker.failure import Cancelled, Fatal, TooManySkipped
from rota.worker.registry import Jobs
from rota.worker.spec import TaskSpec
from rota.worker.unit import Unit
from rota.worker.units import Units

__all__ = ["Cancelled", "Context", "Fatal", "Jobs", "TaskSpec", "TooManySkipped", "Unit", "Units"]
