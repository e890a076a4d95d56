"""Knows what operators have paused, a second after they did it."""

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from rota.common.job import Job
from rota.common.ledger import Missed, Outcome
from rota.common.pauses import Pause, Pauses, PauseSet
from rota.common.service import Loop
from rota.scheduler.withheld import NEVER_MS, Withheld

_PERIOD = 1.0  # seconds


class PauseWatch(Loop):
    """Looks each second for a new version, with one tiny read, whatever the number of jobs.

    A store that has lost what was paused, or the last changes, is given it again.
    """

    def __init__(
        self, *, pauses: Pauses, changed: Callable[[], None], log: FilteringBoundLogger
    ) -> None:
        super().__init__(log=log)
        self._pauses = pauses
        self._changed = changed
        self.known = PauseSet()

    async def turn(self) -> float:
        """Look what is paused now."""
        await self.look()
        return _PERIOD

    async def look(self) -> None:
        """Look what is paused now, if anything has changed."""
        version = await self._pauses.version()
        if version < self.known.version:
            await self._pauses.restore(self.known)
            self.log.warning("pauses_restored", count=len(self.known.all_lasting))
        elif version > self.known.version:
            self._adopt(await self._pauses.read())

    def withheld(self, job: Job, due_ms: int) -> Withheld | None:
        """Return the pause in which the occurrence of `job` at `due_ms` falls, if there is one.

        What was due before a pause that lasts, and was not sent, is missed: its turn is over.
        """
        missed = None
        for name in (job.tenant, job.ref) if self.known.of else ():
            for pause in reversed(self.known.of.get(name, ())):
                end_ms = pause.until_ms or NEVER_MS
                if pause.since_ms <= due_ms < end_ms:
                    detail = f"{name} {pause.text}"
                    return Withheld(Outcome.PAUSED, detail, pause.since_ms, end_ms)
                if not pause.until_ms:
                    missed = Withheld(Outcome.MISSED, Missed.PAUSE, 0, pause.since_ms)
        return missed

    def concerns(self, job: Job) -> bool:
        """Tell whether `job` is paused, or was so lately."""
        return job.tenant in self.known.of or job.ref in self.known.of

    def _adopt(self, found: PauseSet) -> None:
        before, now = self.known.all_lasting, found.all_lasting
        self.known = found
        for name in now.keys() - before.keys():
            self.log.info("paused", **_named(name), **_told(now[name]))
        for name in before.keys() - now.keys():
            self.log.info("resumed", **_named(name))
        self._changed()


def _named(name: str) -> dict[str, str]:
    tenant, _, job = name.partition("/")
    return {"tenant": tenant, "job": job} if job else {"tenant": tenant}


def _told(pause: Pause) -> dict[str, str]:
    return {"by": pause.by, "why": pause.why}
