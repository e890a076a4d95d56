"""What workers tell the store of the runs that they hold: how far they are, what is committed."""

from typing import NamedTuple

from rota.common.progress import Told
from rota.common.run import Claimed
from rota.common.state import Operation
from rota.common.store import Answer, Store


class Note(NamedTuple):
    """What a worker tells of one run that it holds."""

    run: Claimed
    asked: bool = False  # whether it wants to hear which units were committed before
    progress: bytes = b""  # msgpack of `Mark`, empty for no change
    units: bytes = b""  # msgpack of a list of `Tally`, empty for no change


class Noting:
    """The worker's pen."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def send(self, *notes: Note) -> dict[Claimed, Told]:
        """Write notes, all in one round trip; sent again they change nothing.

        Without an answer are those of groups whose server is away while others are not. Raises
        `StoreUnavailable` if no server answers.
        """
        groups: dict[str, list[Note]] = {}
        for note in notes:
            groups.setdefault(note.run.group, []).append(note)
        answers = await self._store.attempt(
            [(Operation.PROGRESS, group, _args(sent)) for group, sent in groups.items()],
            apart=True,
        )
        return {
            note.run: Told(word.decode(), units)
            for sent, answer in zip(groups.values(), answers, strict=True)
            if isinstance(answer, Answer)
            for note, word, units in zip(sent, answer.values[::2], answer.values[1::2], strict=True)
        }


def _args(notes: list[Note]) -> list[object]:
    return [
        value
        for note in notes
        for value in (
            *(note.run.job_id, note.run.fence, int(note.asked)),
            *(note.progress, note.units),
        )
    ]
