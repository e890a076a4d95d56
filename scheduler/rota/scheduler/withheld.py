"""What keeps an occurrence from being run although it is due: how it is told, and until when."""

from collections.abc import Callable
from typing import NamedTuple

from rota.common.job import Job
from rota.common.ledger import Outcome
from rota.scheduler import blackout

_SEARCHED_MS = 100 * 366 * 86_400_000
NEVER_MS = 253_370_764_800_000  # the year 9999: nobody knows the end


class Withheld(NamedTuple):
    """A stretch of time in which all occurrences of a job are withheld alike."""

    outcome: Outcome
    detail: str  # as in `Note`
    start_ms: int
    end_ms: int  # not included; `NEVER_MS` if nobody knows it yet


Withhold = Callable[[Job, int], Withheld | None]  # of a job, for the occurrence due at that ms
WithholdOf = Callable[[Job], Withhold | None]  # what is to be asked; None: its blackouts alone


def by_blackout(job: Job, due_ms: int) -> Withheld | None:
    """Return the blackout that withholds the occurrence of `job` at `due_ms`, if one does."""
    window = blackout.blackout_at(job, due_ms)
    if window is None:
        return None
    return Withheld(Outcome.BLACKOUT, window.blackout.text, window.start_ms, window.end_ms)


def opening(withheld_at: Callable[[int], Withheld | None], ms: int) -> int | None:
    """Return the first moment, at or after `ms`, in which nothing is withheld.

    None if nobody knows it yet, or 100 years have none.
    """
    moment = ms
    while withheld := withheld_at(moment):
        moment = withheld.end_ms
        if moment > ms + _SEARCHED_MS:
            return None
    return moment
