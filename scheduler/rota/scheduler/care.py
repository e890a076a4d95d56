"""The loops that look after the runs of a group while a scheduler leads it."""

from typing import NamedTuple

from rota.common.message import Completion
from rota.scheduler.auditor import Auditor
from rota.scheduler.backfiller import Backfiller
from rota.scheduler.listener import Listener
from rota.scheduler.reconciler import Reconciler
from rota.scheduler.successor import Successor
from rota.scheduler.sweeper import Sweeper


class Care(NamedTuple):
    """One of each, in the order in which they are started."""

    sweeper: Sweeper
    successor: Successor
    backfiller: Backfiller
    auditor: Auditor
    listener: Listener
    reconciler: Reconciler

    def heard(self, completion: Completion) -> None:
        """Let those look who wait for ends of runs."""
        if completion.outcome == "retrying":
            self.sweeper.wake()
        elif completion.outcome == "succeeded":
            self.successor.wake()
        self.backfiller.heard(completion.ref)
