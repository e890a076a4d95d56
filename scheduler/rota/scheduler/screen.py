"""Draws a run that is followed: again in the same place on a terminal, else line by line."""

import shutil
import sys

import msgspec

from rota.scheduler import live_run, run_page
from rota.scheduler.live_run import LiveRun
from rota.scheduler.output import printable

_STEPS = 20  # of the tasks of a run, each of which is told


class Screen:
    """What was drawn last, so that it can be drawn over, or need not be told again."""

    def __init__(self, *, live: bool) -> None:
        self._live = live  # whether this is a terminal
        self._drawn: list[str] = []

    def draw(self, run: LiveRun) -> None:
        """Draw the run as it is now."""
        lines = run_page.lines(run)
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            back = f"\x1b[{len(self._drawn)}F\x1b[J" if self._drawn else ""
            sys.stdout.write(back + "".join(f"{line[:width]}\n" for line in lines))
            self._drawn = lines
        elif not self._drawn or run.over:
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            self._drawn = [_line(run)]
        elif self._drawn != [_line(run)]:
            self._drawn = [_line(run)]
            sys.stdout.write(
                f"{run_page.head(run)}\n  {printable(run_page.tasks(run) or run_page.bar(run))}\n"
            )
        sys.stdout.flush()


class Journal:
    """The same for programs: a line of JSON whenever something has changed."""

    def __init__(self) -> None:
        self._told = ""

    def draw(self, run: LiveRun) -> None:
        """Print the run as it is now."""
        if self._told != _line(run):
            self._told = _line(run)
            sys.stdout.buffer.write(msgspec.json.encode(live_run.as_data(run)) + b"\n")
            sys.stdout.flush()


def _line(run: LiveRun) -> str:
    """Return what must have changed for it to be told again: not the time alone."""
    entry, tasks = run.entry, run.tasks
    parts = [run.phase, entry.outcome, entry.attempts, run.stalled, run.mark, len(run.sums)]
    if tasks:
        parts += [tasks.whole, tasks.dead, _STEPS * tasks.over // max(1, tasks.planned)]
    return " ".join(map(str, parts))
