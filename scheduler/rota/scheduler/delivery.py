"""Delivers the outbox to the store, in as few round trips as can be."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from rota.common.ledger import Note
from rota.common.recording import Recording
from rota.common.run import Occurrence
from rota.common.store import GATED, Store
from rota.scheduler.outbox import Item, Outbox

PAUSE = 0.5  # seconds between tries while a gate is open, or a server away
_BATCH = 500  # the most that one script takes, to keep every script short

_What = TypeVar("_What", Occurrence, Note)


class Told(NamedTuple):
    """What the store answered to one item."""

    item: Item
    word: str
    detail: str


class Delivery:
    """The round trips. What the store does not answer is sent again, which it takes as the same."""

    def __init__(
        self, store: Store, outbox: Outbox, terms: Callable[[], Mapping[str, int]]
    ) -> None:
        self._recording = Recording(store)
        self._outbox = outbox
        self._terms = terms  # the term in which we lead each group
        self.held: set[str] = set()  # groups whose outbox is first to be held against the store

    async def turn(self) -> tuple[list[Told], float | None]:
        """Send the first batch of every group; return the answers, and when to send more."""
        terms = dict(self._terms())
        found = self._outbox.batches(_BATCH)
        batches = {group: batch for group, batch in found.items() if group not in self.held}
        if not batches:
            return [], None
        sent = await self._recording.send(
            _part(batches, Occurrence), _part(batches, Note), terms, apart=True
        )
        told: list[Told] = []
        taken: set[str] = set()
        for group, batch in batches.items():
            words = {Occurrence: sent.runs.get(group, []), Note: sent.notes.get(group, [])}
            answers = {kind: iter(each) for kind, each in words.items()}
            answered = [Told(item, *next(answers[type(item.what)], (GATED, ""))) for item in batch]
            answered = [each for each in answered if each.word != GATED]
            taken |= {group} if answered else set()
            # What we have lost, or lost and got back, meanwhile, is another leader's business.
            if terms.get(group) == self._terms().get(group):
                self._outbox.remove(group, [each.item for each in answered])
                told += answered
        return told, self._pause(taken, set(batches))

    def _pause(self, taken: set[str], sent: set[str]) -> float | None:
        left = self._outbox.groups - self.held
        if not left:
            return None
        return 0 if left & taken or left - sent else PAUSE


def _part(batches: Mapping[str, list[Item]], kind: type[_What]) -> dict[str, list[_What]]:
    found = {
        group: [item.what for item in batch if isinstance(item.what, kind)]
        for group, batch in batches.items()
    }
    return {group: part for group, part in found.items() if part}
