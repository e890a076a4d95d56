"""`sched plan`, `apply`, `rollback` and `revisions`, and a scheduler that follows."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rota.common.catalog import Catalog
from rota.common.embedded import free_port
from rota.common.link import Link
from tests.support import waits
from tests.support.http import get
from tests.support.processes import Plant, Running

pytestmark = pytest.mark.system

HEAD = "groups: {gold: {}}\ntenants:\n  acme:\n    group: gold\n    jobs:\n"
ONE = HEAD + "      import: {handler: orders.import, every: 15m}\n"
TWO = HEAD + (
    "      import: {handler: orders.import, every: 10m, args: {source: web}}\n"
    "      report: {handler: reports.monthly, cron: '0 6 1 * *'}\n"
)
BROKEN = HEAD + "      import: {handler: orders.import, evry: 15m}\n      x: {handler: 7}\n"


class Shop(Plant):
    """A plant with one configuration file."""

    def write(self, text: str) -> str:
        """Write the file, as an editor does, and return its path."""
        (self.folder / "new").write_text(text)
        return str((self.folder / "new").rename(self.folder / "rota.yaml"))

    def sched(self, *words: str, stdin: Any = subprocess.DEVNULL) -> tuple[int, str, str]:
        """Return exit code, output and errors of a command."""
        done = subprocess.run(
            [sys.executable, "-m", "rota.scheduler", *words],
            cwd=self.folder,
            env=self._environment,
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def run_sched(self, *words: str, name: str = "sched") -> Running:
        """Start a scheduler; return when it has started."""
        sched = self.start(name, "-m", "rota.scheduler", "run", *words)
        waits.until(lambda: bool(sched.log("scheduler_started")), 20)
        return sched

    def published(self) -> dict[str, str]:
        """Return the schedule of each published job."""

        async def ask() -> dict[str, str]:
            link = Link(self.url)
            jobs = await Catalog(link).jobs("gold")
            await link.close()
            return {job.ref: job.schedule.cron or str(job.schedule.period_ms) for job in jobs}

        return asyncio.run(ask())


def follows(sched: Running, revision: int) -> bool:
    """Tell whether a scheduler follows a revision."""
    return revision in [line["revision"] for line in sched.log("revision_followed")]


def test_from_plan_to_rollback(tmp_path: Path) -> None:
    """An operator sees what would change, applies it, sees it followed, and goes back."""
    with Shop(tmp_path) as shop:
        path = shop.write(ONE)
        first = shop.sched("apply", path, "--yes")
        sched = shop.run_sched()
        same = shop.sched("plan", path, "--detailed-exitcode")
        shop.write(TWO)
        plan = shop.sched("plan", path, "--detailed-exitcode")
        done = shop.sched("apply", path, "--yes")
        waits.until(lambda: follows(sched, 2))
        changed = shop.published()
        back = shop.sched("rollback", "--yes")
        waits.until(lambda: follows(sched, 3))
        returned = shop.published()
        listed = shop.sched("revisions")
        data = shop.ask("revisions")

    assert (0, "") == (first[0], first[2])
    assert "1 added, 0 changed, 0 removed, 0 unchanged" in first[1]
    assert "revision 1 applied" in first[1]
    assert 0 == same[0]
    assert "nothing to change: revision 1" in same[1]
    assert 2 == plan[0]
    for line in (
        "against revision 1, applied ",
        "1 added, 1 changed, 0 removed, 0 unchanged",
        "+ acme/report  cron 0 6 1 * *  reports.monthly",
        "~ acme/import",
        "args.source  none -> web",
        "schedule     every 15m -> every 10m",
        "next before  20",
        "next after   20",
    ):
        assert line in plan[1]
    assert (0, {"acme/import": "600000", "acme/report": "0 6 1 * *"}) == (done[0], changed)
    assert (0, {"acme/import": "900000"}) == (back[0], returned)
    assert "- acme/report  cron 0 6 1 * *" in back[1]
    assert [f"3 *{' ' * 7}20", f"2{' ' * 9}20"] == [x[2:14] for x in listed[1].splitlines()[2:4]]
    assert ["sched rollback 1", f"sched apply {path}", f"sched apply {path}"] == [
        each["command"] for each in data
    ]
    assert [True, False, False] == [each["current"] for each in data]


def test_without_a_change(tmp_path: Path) -> None:
    """Neither plan nor an apply without a change makes a revision."""
    with Shop(tmp_path) as shop:
        path = shop.write(ONE)
        shop.sched("apply", path, "--yes")
        shop.sched("plan", path)
        again = shop.sched("apply", path, "--yes")
        data = shop.ask("revisions")
        plan = shop.ask("plan", path)

    assert (0, "") == (again[0], again[2])
    assert "nothing to change" in again[1]
    assert "applied;" not in again[1]
    assert [1] == [each["number"] for each in data]
    assert not plan["changes"]
    assert 1 == plan["counts"]["jobs_unchanged"]


def test_refusals(tmp_path: Path) -> None:
    """What can't be done exits with its code, says why, and changes nothing."""
    with Shop(tmp_path) as shop:
        nothing = shop.sched("rollback", "--yes")
        path = shop.write(ONE)
        unasked = shop.sched("apply", path)
        invalid = shop.sched("apply", shop.write(BROKEN), "--yes")
        empty = shop.ask("revisions")
        shop.sched("apply", shop.write(ONE), "--yes")
        unknown = shop.sched("rollback", "7", "--yes")
        oldest = shop.sched("rollback", "--yes")
        watch = shop.sched("run", "--watch")

    assert (5, "nothing was applied yet" in nothing[2]) == (nothing[0], True)
    assert (6, "add --yes" in unasked[2]) == (unasked[0], True)
    assert (3, "3 problems in 1 file" in invalid[2]) == (invalid[0], True)
    assert [] == empty
    assert (5, "there are: 1" in unknown[2]) == (unknown[0], True)
    assert (5, "an earlier revision" in oldest[2]) == (oldest[0], True)
    assert (2, "--watch" in watch[2]) == (watch[0], True)


@pytest.mark.parametrize(
    ("answer", "code", "applied"), [("y\n", 0, 1), ("n\n", 6, 0), ("\n", 6, 0)]
)
def test_asks(tmp_path: Path, answer: str, code: int, applied: int) -> None:
    """On a terminal the plan is shown and a yes is asked for; anything else is a no."""
    master, slave = pty.openpty()
    with Shop(tmp_path) as shop:
        os.write(master, answer.encode())
        done = shop.sched("apply", shop.write(ONE), stdin=slave)
        data = shop.ask("revisions")
    os.close(master)
    os.close(slave)

    assert code == done[0]
    assert "+ acme/import" in done[1]
    assert "[y/N]" in done[2]
    assert applied == len(data)


@pytest.mark.parametrize("flags", [(), ("--watch",)])
def test_a_file_that_changes(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """On SIGHUP, and with --watch by itself, a scheduler applies its file; a broken one is loud."""
    port = free_port()
    with Shop(tmp_path) as shop:
        path = shop.write(ONE)
        sched = shop.run_sched(path, *flags, "--health", f"127.0.0.1:{port}")
        before = shop.published()
        shop.write(BROKEN)
        if not flags:
            sched.send(signal.SIGHUP)
        waits.until(lambda: bool(sched.log("config_refused")))
        page = asyncio.run(get(port, "/readyz"))
        broken = shop.published()
        shop.write(TWO)
        if not flags:
            sched.send(signal.SIGHUP)
        waits.until(lambda: follows(sched, 2))
        after = shop.published()
        data = shop.ask("revisions")
        code = sched.stop()

    (refused,) = sched.log("config_refused")
    assert ("error", 3) == (refused["level"], refused["problems"])
    assert refused["first"][0].startswith(f"{path}:6:")
    assert 200 == page[0]
    assert before == broken == {"acme/import": "900000"}
    assert {"acme/import": "600000", "acme/report": "0 6 1 * *"} == after
    assert [2, 1] == [each["number"] for each in data]
    assert {f"sched run {path}"} == {each["command"] for each in data}
    assert 0 == code


def test_waits_for_a_configuration(tmp_path: Path) -> None:
    """Without a file and with nothing applied a scheduler waits, is not ready, and bears SIGHUP."""
    port = free_port()
    with Shop(tmp_path) as shop:
        sched = shop.run_sched("--health", f"127.0.0.1:{port}")
        waits.until(lambda: bool(sched.log("config_awaited")))
        sched.send(signal.SIGHUP)
        waits.until(lambda: bool(sched.log("config_not_reloaded")))
        waiting = asyncio.run(get(port, "/readyz"))
        shop.sched("apply", shop.write(ONE), "--yes")
        waits.until(lambda: 200 == asyncio.run(get(port, "/readyz"))[0])

        assert sched.alive
        assert (503, True) == (waiting[0], "sched apply CONFIG" in waiting[1])
        assert {"acme/import": "900000"} == shop.published()


def test_two_follow(tmp_path: Path) -> None:
    """What one scheduler reads at its start the others follow, whatever they were started with."""
    with Shop(tmp_path) as shop:
        path = shop.write(ONE)
        first = shop.run_sched(path, name="first")
        second = shop.run_sched(path, name="second")
        alike = shop.ask("revisions")
        third = shop.run_sched(shop.write(TWO), name="third")
        waits.until(lambda: all(follows(each, 2) for each in (first, second, third)))

        assert 1 == len(alike)
        assert {"acme/import": "600000", "acme/report": "0 6 1 * *"} == shop.published()
