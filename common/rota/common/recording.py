"""Sends the store what is due: runs to enqueue, and notes on occurrences that are not run."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rota.common.ledger import Note
from rota.common.run import Occurrence
from rota.common.scripts import RECORD
from rota.common.state import Operation
from rota.common.store import GATED, Answer, Store

Words = dict[str, list[tuple[str, str]]]  # by group: word and detail for each that was sent


class Sent(NamedTuple):
    """What the scripts answered; without groups whose server is away while others are not."""

    runs: Words  # as `Store.enqueue` returns it
    notes: Words  # `gated`, or the words of `record.lua`


class Recording:
    """What a scheduler tells the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def send(
        self,
        runs: Mapping[str, Sequence[Occurrence]],
        notes: Mapping[str, Sequence[Note]],
        terms: Mapping[str, int],
        *,
        apart: bool = False,
    ) -> Sent:
        """Enqueue runs and record notes, by group, all in one round trip, in no certain order.

        So don't send a run and a note of the same job together. Sent again they change nothing.
        `terms` and `apart` are as for `Store.enqueue`. Raises `StoreUnavailable` if no server
        answers.
        """
        parts: list[tuple[str, str, Sequence[Sequence[object]]]] = [
            *((Operation.ENQUEUE, group, batch) for group, batch in runs.items()),
            *((RECORD, group, batch) for group, batch in notes.items()),
        ]
        answers = await self._store.attempt(
            [
                (script, group, [terms.get(group, 0), *(value for row in batch for value in row)])
                for script, group, batch in parts
            ],
            apart=apart,
        )
        sent = Sent({}, {})
        for (script, group, batch), answer in zip(parts, answers, strict=True):
            if isinstance(answer, Answer):
                words = sent.notes if script == RECORD else sent.runs
                words[group] = [(GATED, "")] * len(batch) if answer.wait_ms else answer.pairs()
        return sent

    async def record(self, group: str, *notes: Note, term: int = 0) -> list[tuple[str, str]]:
        """Record notes of one group; return the word and the detail for each."""
        return (await self.send({}, {group: notes}, {group: term})).notes[group]
