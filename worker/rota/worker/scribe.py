"""Writes down what handlers tell of their runs, all of it in one round trip."""

import asyncio
import threading
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from rota.common.errors import StoreError
from rota.common.noting import Note, Noting
from rota.common.progress import Told
from rota.common.run import Claimed
from rota.common.service import Loop
from rota.common.store import Store
from rota.worker.line import Answer, Line

_MOST = 250  # runs that one script writes of, to keep every script short
_AWAY = 0.5  # seconds until what got no answer is sent again
_PATIENCE = 1.0  # seconds that an attempt which has ended waits for its last note
_STALE = Told("stale")


@dataclass(slots=True)
class _Page:
    """What is to be told of one run, and who waits for that."""

    note: Note
    answers: list[Answer] = field(default_factory=list)
    over: bool = False  # whether the attempt has ended: it is not sent again

    def add(self, later: "_Page") -> None:
        """Take up what was told later."""
        old, new = self.note, later.note
        asked, progress = old.asked or new.asked, new.progress or old.progress
        self.note = Note(old.run, asked, progress, new.units or old.units)
        self.answers += later.answers

    def answer(self, told: Told) -> None:
        """Tell all who wait."""
        for each in self.answers:
            each.give(told)


class Scribe(Loop):
    """Each turn writes all that was told meanwhile; of what a run told twice, the last.

    A run that the store has forgotten is tried again until it is adopted, or lost.
    """

    longest_pause = _AWAY

    def __init__(self, *, store: Store, log: FilteringBoundLogger) -> None:
        super().__init__(log=log)
        self._noting = Noting(store)
        self._lock = threading.Lock()  # for all below: handlers in threads tell, too
        self._pages: dict[Claimed, _Page] = {}
        self._sent: dict[Claimed, _Page] = {}  # without an answer so far
        self._closed = False
        self._main: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Begin the loop; harmless if it runs already."""
        self._main = asyncio.get_running_loop()
        await super().start()

    async def stop(self) -> None:
        """Send what is left, and take no more; whoever waits in vain hears that it is stale."""
        await super().stop()
        try:
            await self._exchange()
        except StoreError as error:
            self.log.warning("notes_not_sent", count=len(self._pages), error=str(error))
        with self._lock:
            self._closed = True
            pages, self._pages = self._pages, {}
        for page in pages.values():
            page.answer(_STALE)

    def line(self, run: Claimed) -> Line:
        """Return the line of the attempt that holds `run`."""
        return _RunLine(self, run)

    def tell(self, note: Note) -> Answer:
        """Write `note` with the next turn. Safe from any thread."""
        answer = Answer()
        with self._lock:
            page = _Page(note, [answer])
            if note.run in self._pages:
                self._pages[note.run].add(page)
            elif not self._closed:
                self._pages[note.run] = page
        if self._closed or self._main is None or self._main.is_closed():
            answer.give(_STALE)
        else:
            self._main.call_soon_threadsafe(self.wake)
        return answer

    def heard(self, run: Claimed) -> bool:
        """Return whether there is anything to settle."""
        return run in self._pages or run in self._sent

    async def settle(self, run: Claimed, *, lost: bool = False) -> None:
        """Return when all is written that the run told, or after a second; at once if it is lost.

        Nothing more is tried for it then: its attempt has ended.
        """
        with self._lock:
            pages = [each[run] for each in (self._sent, self._pages) if run in each]
            waiting = [asyncio.wrap_future(a) for page in pages for a in page.answers]
        if waiting and not lost:
            await asyncio.wait(waiting, timeout=_PATIENCE)
        with self._lock:
            page = self._pages.pop(run, None)
            if run in self._sent:
                self._sent[run].over = True
        if page:
            page.answer(_STALE)

    async def turn(self) -> float | None:
        """Make one round trip if anything was told."""
        all_answered = await self._exchange()
        if not all_answered:
            return _AWAY
        with self._lock:
            return 0 if self._pages else None

    async def _exchange(self) -> bool:
        """Make the round trip; tell whether all got their answers."""
        with self._lock:
            sent = {run: self._pages.pop(run) for run in list(self._pages)[:_MOST]}
            self._sent = sent
        told: dict[Claimed, Told] = {}
        try:
            if sent:
                told = await self._noting.send(*(page.note for page in sent.values()))
                told = {run: each for run, each in told.items() if each.word != "unknown"}
        finally:
            self._take_back([page for run, page in sent.items() if run not in told])
        for run, each in told.items():
            sent[run].answer(each)
        return len(told) == len(sent)

    def _take_back(self, unanswered: list[_Page]) -> None:
        """Send again what got no answer, or none that lasts; what was told since comes behind."""
        with self._lock:
            self._sent = {}
            for page in unanswered:
                if later := self._pages.pop(page.note.run, None):
                    page.add(later)
                if not page.over:
                    self._pages[page.note.run] = page
        for page in unanswered:
            if page.over:
                page.answer(_STALE)


class _RunLine:
    """A line for one run."""

    def __init__(self, scribe: Scribe, run: Claimed) -> None:
        self._scribe = scribe
        self._run = run

    def send(self, *, asked: bool = False, progress: bytes = b"", units: bytes = b"") -> Answer:
        return self._scribe.tell(Note(self._run, asked, progress, units))
