"""How much of what was missed is made up for at a time, in each group: a flow behind live work."""

from collections.abc import Mapping

USUAL = 100  # runs of a group at a time


class Budget:
    """Permits for runs that make up for what was missed, and the jobs that wait for one."""

    def __init__(self) -> None:
        self._limits: dict[str, int] = {}
        self._given: dict[str, dict[str, str]] = {}  # by group: TENANT/JOB and its run
        self._waiting: dict[str, dict[str, None]] = {}  # by group, in order: TENANT/JOB

    def limit(self, limits: Mapping[str, int]) -> None:
        """Have these limits, by group; others have the usual one."""
        self._limits = dict(limits)

    def ask(self, group: str, ref: str) -> None:
        """Let TENANT/JOB wait for a permit; harmless if it does already."""
        self._waiting.setdefault(group, {}).setdefault(ref)

    def next(self, group: str) -> str | None:
        """Take out who is to get a permit; None if nobody waits, or as many have one as may."""
        waiting = self._waiting.get(group)
        if not waiting or len(self._given.get(group, ())) >= self._limits.get(group, USUAL):
            return None
        ref = next(iter(waiting))
        del waiting[ref]
        return ref

    def spare(self, group: str) -> bool:
        """Tell whether a permit is left that nobody waits for."""
        given = self._given.get(group, {})
        return not self._waiting.get(group) and len(given) < self._limits.get(group, USUAL)

    def give(self, group: str, ref: str, run_id: str) -> None:
        """Note that TENANT/JOB uses a permit for `run_id`."""
        self._given.setdefault(group, {})[ref] = run_id

    def has(self, group: str, ref: str) -> bool:
        """Tell whether TENANT/JOB uses a permit."""
        return ref in self._given.get(group, ())

    def give_back(self, group: str, ref: str) -> None:
        """Note that TENANT/JOB needs its permit no more; harmless if it has none."""
        given = self._given.get(group)
        if given:
            given.pop(ref, None)

    def forget(self, group: str, ref: str) -> None:
        """Forget TENANT/JOB."""
        self.give_back(group, ref)
        self._waiting.get(group, {}).pop(ref, None)
