"""The loop over units of work: what is committed is kept in the store, and not done again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sized
from typing import Generic

import msgspec
from structlog.typing import FilteringBoundLogger

from rota.common.clock import Clock
from rota.common.message import Failure
from rota.common.progress import Tally, Told
from rota.worker.checkpoint import Checkpoint
from rota.worker.chunks import Source, async_chunks, chunks
from rota.worker.failure import Cancelled, failure_of
from rota.worker.line import Answer
from rota.worker.unit import Open, T_co, Unit, X_co
from rota.worker.worklist import Piece, Worklist

_REASON_CHARS = 200


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How `Context.units` cuts and repeats; it tells what each means."""

    size: int
    name: str
    done: int
    total: int
    retries: int
    split: bool
    skip_invalid: tuple[type[Exception], ...]
    max_skipped: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"ctx.units: a unit has at least 1 item, not {self.size}")
        if min(self.done, self.total, self.retries, self.max_skipped) < 0:
            raise ValueError("ctx.units: done, total, retries and max_skipped are 0 or more")


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What a loop needs of the attempt that it is part of."""

    job_id: str
    checkpoint: Checkpoint
    clock: Clock
    log: FilteringBoundLogger


class Units(Generic[T_co, X_co]):
    """Units of work, made by `Context.units`. Loop over it once.

    With `async for` and `async with`; in a plain function with `for` and `with`.

    A unit that is left without an error is committed, and its end is kept in the store before the
    next one begins: another attempt of the run goes on behind it. Only if the process dies between
    the two, one unit is done again. Make it idempotent by `unit.key`, or write `unit.end` in its
    transaction and hand that back as `done`.

    A unit that is left with an error is rolled back by its transaction and tried again, then split
    in halves until the item at fault is alone. An invalid one is skipped. For any other its error
    is raised, with what is before the item committed: the attempt fails. `Fatal`, `Cancelled` and
    a cancellation are raised at once.

    Without a transaction open one inside of `async with unit`. A unit that is not entered is done
    when the next one is asked for; an error then ends the attempt, and `break` leaves it undone.
    """

    def __init__(
        self,
        items: "Source[T_co]",
        transaction: "Open[X_co] | None",
        rules: Rules,
        attempt: Attempt,
        check: Callable[[], None],
    ) -> None:
        self.check = check
        self._items = items
        self._transaction = transaction
        self._rules = rules
        self._attempt = attempt
        self._work: Worklist[T_co] | None = None
        self._began = 0.0  # monotonic seconds, when the unit was given

    @property
    def tally(self) -> Tally:
        """Return what became of the units so far, those of earlier attempts included."""
        return self._work.tally if self._work else Tally(name=self._rules.name)

    async def __aiter__(self) -> "AsyncIterator[Unit[T_co, X_co]]":
        work = self._begin(await self._attempt.checkpoint.ask().heard())
        async for items in async_chunks(self._items, work.tally.position, self._rules.size):
            work.add(items)
            while unit := self._next(work):
                yield unit
                if not unit.entered:
                    await unit.committed().heard()
        self._log_end()

    def __iter__(self) -> "Iterator[Unit[T_co, X_co]]":
        _check_thread()
        work = self._begin(self._attempt.checkpoint.ask().awaited(self.check))
        for items in chunks(self._items, work.tally.position, self._rules.size):
            work.add(items)
            while unit := self._next(work):
                yield unit
                if not unit.entered:
                    unit.committed().awaited(self.check)
        self._log_end()

    def ended(self, error: BaseException | None) -> tuple[str, Answer]:
        """Note how the unit that was given ended; its own business."""
        work = self._work
        assert work is not None
        took_ms = int((self._attempt.clock.monotonic() - self._began) * 1000)
        if error is None:
            work.done(took_ms)
            return "done", self._attempt.checkpoint.keep(work.tally)
        piece = work.next()
        assert piece is not None
        word = work.failed(error, took_ms)
        if word != "raised":
            self._log_failure(piece, word, failure_of(error))
        elif isinstance(error, Exception) and not isinstance(error, Cancelled):
            error.add_note(f"in the unit of items {piece.start} to {piece.end - 1}")
        return word, self._attempt.checkpoint.keep(work.tally)

    def _begin(self, told: Told) -> "Worklist[T_co]":
        rules = self._rules
        total = rules.total
        if not total and isinstance(self._items, Sized):
            total = len(self._items)
        tally = self._attempt.checkpoint.open(rules.name, told.units, rules.done, total)
        if tally.position:
            position = tally.position
            self._attempt.log.info("units_resumed", units=rules.name, position=position)
        self._work = Worklist(
            tally,
            retries=rules.retries,
            split=rules.split,
            invalid=rules.skip_invalid,
            max_skipped=rules.max_skipped,
        )
        self._attempt.checkpoint.begin(tally)
        return self._work

    def _next(self, work: "Worklist[T_co]") -> "Unit[T_co, X_co] | None":
        piece = work.next()
        if piece is None:
            return None
        self.check()
        self._began = self._attempt.clock.monotonic()
        key = f"{self._attempt.job_id}#{self._rules.name}{piece.start}-{piece.end}"
        return Unit(piece, key, self._transaction, self)

    def _log_failure(self, piece: "Piece[T_co]", word: str, failure: Failure) -> None:
        log = self._attempt.log.bind(error=failure.kind, reason=failure.message[:_REASON_CHARS])
        if word == "skipped":
            log.warning("item_skipped", units=self._rules.name, position=piece.start)
            return
        where = {"units": self._rules.name, "first": piece.start, "last": piece.end - 1}
        log.info("unit_failed", outcome=word, **where)

    def _log_end(self) -> None:
        tally = self.tally
        self._attempt.log.info(
            "units_done",
            units=self._rules.name,
            committed=tally.units,
            items=tally.items,
            skipped=tally.skipped,
            failed=tally.failed,
            took_ms=tally.took_ms,
        )


def _check_thread() -> None:
    """Raise if this is an event loop: to wait in it would stop it for ever."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("in an async handler write `async for unit in ctx.units(...)`")
