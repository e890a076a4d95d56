"""How far the units of a run are committed, as it is kept in the store."""

from msgspec.structs import replace

from rota.common import message, progress
from rota.common.progress import MOST_TALLIES, TEXT_CHARS, Tally
from rota.worker.line import Answer, Line
from rota.worker.progress import Progress


class Checkpoint:
    """What one attempt knows of that: what it was told of earlier ones, and what it added."""

    def __init__(self, line: Line, progress: Progress) -> None:
        self._line = line
        self._progress = progress
        self._tallies: dict[str, Tally] | None = None  # by name; None while nobody has asked
        self._opened: set[str] = set()

    def ask(self) -> Answer:
        """Ask the store for what earlier attempts have committed."""
        return self._line.send(asked=self._tallies is None)

    def open(self, name: str, packed: bytes, done: int, total: int) -> Tally:
        """Return where the units `name` go on, given what the store told.

        That is behind the first `done` items, if it knows of fewer. Raises `ValueError` for a name
        that is used twice, or too many.
        """
        if self._tallies is None:
            self._tallies = {tally.name: tally for tally in progress.tallies(packed)}
        if name in self._opened:
            raise ValueError(f"ctx.units: two loops are named {name!r}; name=... tells them apart")
        known = self._tallies.get(name) or Tally(name=name)
        if name not in self._tallies and len(self._tallies) >= MOST_TALLIES:
            raise ValueError(f"ctx.units: a run has at most {MOST_TALLIES} names")
        if len(name) > TEXT_CHARS:
            raise ValueError(f"ctx.units: a name has at most {TEXT_CHARS} characters")
        self._opened.add(name)
        ahead = max(0, done - known.position)  # committed, and we died before we could tell
        return replace(
            known,
            position=known.position + ahead,
            items=known.items + ahead,
            units=known.units + (ahead > 0),
            total=total,
        )

    def begin(self, tally: Tally) -> None:
        """Tell how far these units are when their loop begins."""
        if mark := self._progress.due(tally.position, tally.total, tally.name):
            self._line.send(progress=message.encode(mark))

    def keep(self, tally: Tally) -> Answer:
        """Keep this in the store, and tell how far it is."""
        assert self._tallies is not None
        self._tallies[tally.name] = tally
        mark = self._progress.due(tally.position, tally.total, tally.name)
        return self._line.send(
            progress=message.encode(mark) if mark else b"",
            units=message.encode(list(self._tallies.values())),
        )
