"""Repairs of what can't happen: what the scripts of the slow walk are asked and answer."""

from collections.abc import Iterable, Sequence

from rota.common.scripts import RECONCILE, RECOUNT
from rota.common.store import LEASE_MS, Store

_CHECKED = 50  # things that one script holds against what belongs to them


class Reconciliation:
    """Holds the parts of a group's state against each other."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def reconcile(
        self, group: str, items: Sequence[tuple[str, str]], lease_ms: int = LEASE_MS
    ) -> list[tuple[str, str]]:
        """Repair what is wrong with `items`, pairs of kind and name; see `reconcile.lua`.

        Returns word and name for each repair, and for each tenant that counts as busy.
        """
        calls = [
            (RECONCILE, group, (lease_ms, *(value for item in part for value in item)))
            for part in (items[i : i + _CHECKED] for i in range(0, len(items), _CHECKED))
        ]
        answers = await self._store.ask(calls) if calls else []
        return [pair for answer in answers for pair in answer.pairs()]

    async def recount(self, group: str, busy: Iterable[str], most: int) -> list[tuple[str, str]]:
        """Correct the counters of `group`, among them those of the tenants `busy`.

        Returns word and detail for each repair; `too_many` if there are more than `most` to count.
        """
        (answer,) = await self._store.ask([(RECOUNT, group, (most, *busy))])
        return answer.pairs()
