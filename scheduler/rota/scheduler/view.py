"""Draws the board of `sched dev`: a live table on a terminal, else a line for each completion."""

import sys

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from structlog.typing import FilteringBoundLogger

from rota.common import clock
from rota.common.message import Completion
from rota.common.service import Loop
from rota.scheduler import output
from rota.scheduler.board import Board, TenantLine

_PERIOD = 0.25  # seconds between two drawings
_STYLES = {"succeeded": "green", "retrying": "yellow", "dead": "red", "cancelled": "dim"}


class PlainView:
    """Prints a line for each completion, for pipes and logs."""

    def heard(self, group: str, completion: Completion, at_ms: int) -> None:
        """Print one completion."""
        reason = (
            f"  {completion.error.kind}: {completion.error.message}" if completion.error else ""
        )
        sys.stdout.write(
            f"{clock.iso(at_ms)}  {group}  {completion.ref}  {completion.outcome}"
            f"  {completion.whole_ms}ms{output.printable(reason)}\n"
        )
        sys.stdout.flush()


class LiveView(Loop):
    """Redraws the board four times a second, in place."""

    def __init__(self, board: Board, header: str, *, log: FilteringBoundLogger) -> None:
        super().__init__(log=log)
        self._board = board
        self._header = header
        self._live: Live | None = None

    async def start(self) -> None:
        """Take over the terminal's lines below the cursor."""
        self._live = Live(self._draw(), auto_refresh=False, transient=False)
        self._live.start()
        await super().start()

    async def stop(self) -> None:
        """Leave the last picture on the terminal."""
        await super().stop()
        if self._live is not None:
            self._live.update(self._draw(), refresh=True)
            self._live.stop()
            self._live = None

    async def turn(self) -> float:
        """Draw once."""
        if self._live is not None:
            self._live.update(self._draw(), refresh=True)
        return _PERIOD

    def _draw(self) -> Group:
        board = self._board
        height = max(5, Console().size.height - self._header.count("\n") - 11)
        table = Table(box=None, pad_edge=False)
        for column in (
            "TENANT",
            "GROUP",
            "OK",
            "FAILED",
            "LAST JOB",
            "OUTCOME",
            "TOOK",
            "AT (UTC)",
        ):
            right = column in ("OK", "FAILED", "TOOK")
            table.add_column(column, justify="right" if right else "left", no_wrap=True)
        for line in board.recent(height):
            if line.at_ms:
                table.add_row(*_cells(line))
        total = (
            f"{board.succeeded} runs succeeded, {board.failed} attempts failed,"
            f" {board.tenants_seen} of {len(board.lines)} tenants seen"
        )
        notes = [Text(note, style="dim", no_wrap=True, overflow="ellipsis") for note in board.notes]
        return Group(Text(self._header), Text(total, style="bold"), table, *notes)


def _cells(line: TenantLine) -> tuple[str, ...]:
    style = _STYLES.get(line.outcome, "")
    return (
        line.tenant,
        line.group,
        str(line.succeeded),
        str(line.failed),
        line.last,
        f"[{style}]{line.outcome}[/]" if style else line.outcome,
        f"{line.took_ms}ms",
        clock.iso_seconds(line.at_ms)[11:19],
    )
