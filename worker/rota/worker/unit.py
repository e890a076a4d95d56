"""One unit of work: items that are committed together, or not at all."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from rota.worker.line import Answer
from rota.worker.worklist import Piece

T_co = TypeVar("T_co", covariant=True)
X_co = TypeVar("X_co", covariant=True)
X = TypeVar("X")

AnyTransaction = AbstractAsyncContextManager[X] | AbstractContextManager[X]
Open = Callable[[], AnyTransaction[X]]


class Owner(Protocol):
    """The loop that gave a unit, as the unit knows it."""

    def ended(self, error: BaseException | None) -> tuple[str, Answer]:
        """Note how the unit ended; return what becomes of it, and the store's answer to that."""
        ...

    def check(self) -> None:
        """Raise if the handler is to end."""
        ...


class Unit(Generic[T_co, X_co]):
    """Some of the items. Iterate over it for them; enter it for what is to be committed.

    Left without an error it is committed. Left with one it is rolled back, and if it is tried
    again, split, or skipped, the error goes no further: the loop goes on with what comes next.
    """

    def __init__(
        self, piece: Piece[T_co], key: str, transaction: "Open[X_co] | None", owner: Owner
    ) -> None:
        self.items: Sequence[T_co] = piece.items
        self.start = piece.start  # position of the first item among all, which is 0
        self.end = piece.end  # position behind the last one
        self.tries = piece.tries  # that failed before
        self.key = key  # the same when the same items are done again
        self.entered = False
        self._open = transaction
        self._transaction: Any = None
        self._owner = owner

    def __iter__(self) -> Iterator[T_co]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    async def __aenter__(self) -> X_co:
        """Begin the transaction, if there is one; return what it gives."""
        self._enter()
        if self._transaction is None:
            return None  # type: ignore[return-value] # X is None then
        given: X_co
        if hasattr(self._transaction, "__aenter__"):
            given = await self._transaction.__aenter__()
        else:
            given = self._transaction.__enter__()
        return given

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Commit or roll back, and keep in the store how far this is."""
        left = error
        try:
            if hasattr(self._transaction, "__aexit__"):
                await self._transaction.__aexit__(kind, error, trace)
            elif self._transaction is not None:
                self._transaction.__exit__(kind, error, trace)
        except BaseException as failed:  # noqa: BLE001 - raised below, unless it can be mended
            left = failed
        word, answer = self._owner.ended(left)
        if word == "raised":
            return _raised(left, error)
        await answer.heard()
        return True

    def __enter__(self) -> X_co:
        """Do as `async with` does, in a thread."""
        self._enter()
        if self._transaction is None:
            return None  # type: ignore[return-value] # X is None then
        if not hasattr(self._transaction, "__enter__"):
            raise TypeError("ctx.units: the transaction is async: `async for`, and `async with`")
        given: X_co = self._transaction.__enter__()
        return given

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Do as `async with` does, in a thread."""
        left = error
        try:
            if self._transaction is not None:
                self._transaction.__exit__(kind, error, trace)
        except BaseException as failed:  # noqa: BLE001 - raised below, unless it can be mended
            left = failed
        word, answer = self._owner.ended(left)
        if word == "raised":
            return _raised(left, error)
        answer.awaited(self._owner.check)
        return True

    def committed(self) -> Answer:
        """Note that it is done, though it was not entered: the loop asked for the next one."""
        if self._open is not None:
            raise RuntimeError("ctx.units has a transaction: enter it, `async with unit as ...:`")
        return self._owner.ended(None)[1]

    def _enter(self) -> None:
        if self.entered:
            raise RuntimeError("a unit is entered once; the loop gives it again if need be")
        self.entered = True
        if self._open is not None:
            self._transaction = self._open()


def _raised(left: BaseException | None, error: BaseException | None) -> bool:
    """Let the error go on, which may be that of the commit."""
    if left is not None and left is not error:
        raise left
    return False
