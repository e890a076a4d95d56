"""What is to be done of a list of items, in which pieces; knows of no store and no transaction."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from msgspec.structs import replace

from rota.common.progress import MOST_SKIPS, TEXT_CHARS, Skip, Tally
from rota.worker.failure import Cancelled, Fatal, TooManySkipped, failure_of

_T = TypeVar("_T")


class Piece(NamedTuple, Generic[_T]):
    """Items that are committed together."""

    start: int  # position of the first one among all items
    items: Sequence[_T]
    tries: int = 0  # that failed before

    @property
    def end(self) -> int:
        """Return the position behind the last item."""
        return self.start + len(self.items)


class Worklist(Generic[_T]):
    """The pieces of one chunk after the other, always in the order of their items.

    So what is done is always all of the items up to a position, which is all there is to remember.
    """

    def __init__(
        self,
        tally: Tally,
        *,
        retries: int,
        split: bool,
        invalid: tuple[type[Exception], ...],
        max_skipped: int,
    ) -> None:
        self.tally = tally
        self._retries = retries
        self._split = split
        self._invalid = invalid
        self._max_skipped = max_skipped
        self._pieces: list[Piece[_T]] = []  # the next one is the last

    def add(self, items: Sequence[_T]) -> None:
        """Do these items next, as one piece."""
        self._pieces.append(Piece(self.tally.position, items))

    def next(self) -> Piece[_T] | None:
        """Return what is to be done now, None if that is nothing."""
        return self._pieces[-1] if self._pieces else None

    def done(self, took_ms: int) -> None:
        """Note that the next piece is committed."""
        piece = self._pieces.pop()
        self._count(piece, took_ms, items=len(piece.items), units=1)

    def failed(self, error: BaseException, took_ms: int) -> str:
        """Note that the next piece was rolled back; return how it goes on.

        That is `retried` as it is, `split` in halves, `skipped`, or `raised`: nothing can be done
        here. Raises `TooManySkipped`.
        """
        piece = self._pieces[-1]
        self._count(piece._replace(items=()), took_ms, failed=1)
        if isinstance(error, Fatal | Cancelled) or not isinstance(error, Exception):
            return "raised"
        invalid, single = isinstance(error, self._invalid), len(piece.items) == 1
        if not invalid and piece.tries < self._retries:
            self._pieces[-1] = piece._replace(tries=piece.tries + 1)
            return "retried"
        if not single and (invalid or self._split):
            self._halve(piece)
            return "split"
        if not invalid:
            return "raised"
        self._skip(piece, error)
        return "skipped"

    def _halve(self, piece: Piece[_T]) -> None:
        middle = len(piece.items) // 2
        first, second = piece.items[:middle], piece.items[middle:]
        self._pieces[-1] = Piece(piece.start + middle, second, piece.tries)
        self._pieces.append(Piece(piece.start, first, piece.tries))

    def _skip(self, piece: Piece[_T], error: Exception) -> None:
        if self.tally.skipped >= self._max_skipped:
            raise TooManySkipped(
                f"item {piece.start} is invalid, too, and {self.tally.skipped} were skipped before"
            ) from error
        self._pieces.pop()
        skips = self.tally.skips
        if len(skips) < MOST_SKIPS:
            failure = failure_of(error)
            skip = Skip(
                position=piece.start,
                kind=failure.kind[:TEXT_CHARS],
                message=failure.message[:TEXT_CHARS],
            )
            skips = [*skips, skip]
        self.tally = replace(self.tally, skips=skips)
        self._count(piece, 0, skipped=1)

    def _count(self, piece: Piece[_T], took_ms: int, **more: int) -> None:
        counts = {name: getattr(self.tally, name) + n for name, n in more.items()}
        self.tally = replace(
            self.tally,
            position=piece.end,
            took_ms=self.tally.took_ms + took_ms,
            longest_ms=max(self.tally.longest_ms, took_ms),
            **counts,
        )
