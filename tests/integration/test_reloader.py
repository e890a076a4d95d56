"""A file is read again when it has changed or somebody asks, and a broken one changes nothing."""

import os
from pathlib import Path

import pytest

from rota.common.errors import Refused, StoreUnavailable
from rota.common.revisions import Revision
from rota.scheduler.config import Config
from rota.scheduler.reloader import Reloader
from rota.scheduler.source import Source
from tests.support.logbook import Logbook

GOOD = "groups: {gold: {}}\ntenants: {acme: {group: gold}}\n"
MORE = "groups: {gold: {}, silver: {}}\n"
BROKEN = "groups: {gold: {}}\ntenants:\n  acme: {group: golf}\n  bolt: {grup: gold}\n"
REVISION = Revision(
    number=3, token="", at_ms=0, by="", command="", digest="", checksum="",
    groups=1, tenants=1, jobs=0,
)  # fmt: skip


class Rig:
    """A reloader of one path, and what it applied."""

    def __init__(self, path: Path, *, watch: bool) -> None:
        self.path = path
        self.book = Logbook()
        self.applied: list[Config] = []
        self.errors: list[Exception] = []
        self.source = Source(path, watch=watch)
        self.reloader = Reloader(self.source, apply=self._apply, log=self.book.log)

    async def _apply(self, config: Config) -> Revision:
        if self.errors:
            raise self.errors.pop()
        self.applied.append(config)
        return REVISION

    async def turns(self, count: int) -> int:
        """Take so many turns; return how many configurations were applied so far."""
        for _ in range(count):
            await self.reloader.turn()
        return len(self.applied)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Return a reloader that watches one file, which was read at the start."""
    path = tmp_path / "rota.yaml"
    path.write_text(GOOD)
    rig = Rig(path, watch=True)
    rig.source.load()
    return rig


async def test_unchanged(rig: Rig) -> None:
    """What has not changed since the start is not read again."""
    assert 0 == await rig.turns(3)


async def test_changed(rig: Rig) -> None:
    """A changed file is applied once, when it was the same at two looks."""
    await rig.turns(1)
    rig.path.write_text(MORE)

    assert 0 == await rig.turns(1)
    assert 1 == await rig.turns(3)
    assert ["gold", "silver"] == rig.applied[0].groups
    assert [3] == [entry["revision"] for entry in rig.book.events("config_reloaded")]


async def test_replaced(rig: Rig, tmp_path: Path) -> None:
    """A file that was replaced by one of the same size and time is a changed one."""
    text = GOOD.replace("acme", "bolt")
    (tmp_path / "new").write_text(text)
    stat = rig.path.stat()
    os.utime(tmp_path / "new", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tmp_path / "new").rename(rig.path)

    assert 1 == await rig.turns(3)
    assert ["bolt"] == list(rig.applied[0].tenants)


@pytest.mark.parametrize("change", ["add", "remove", "write", "hide"])
async def test_directory(tmp_path: Path, change: str) -> None:
    """Of a directory each file that is added, removed or written counts, below it as well."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "sub" / "b.yaml").write_text("groups: {iron: {}}\n")
    rig = Rig(tmp_path, watch=True)
    rig.source.load()
    if change == "add":
        (tmp_path / "sub" / "c.yaml").write_text("groups: {tin: {}}\n")
    elif change == "remove":
        (tmp_path / "sub" / "b.yaml").unlink()
    elif change == "write":
        (tmp_path / "sub" / "b.yaml").write_text("groups: {iron: {}, tin: {}}\n")
    else:
        (tmp_path / "sub" / ".c.yaml").write_text("groups: {tin: {}}\n")

    assert (0 if change == "hide" else 1) == await rig.turns(3)


@pytest.mark.parametrize("text", [BROKEN, "{", ""])
async def test_broken(rig: Rig, text: str) -> None:
    """A broken file changes nothing and is told once, with its first problems and their number."""
    rig.path.write_text(text)

    assert 0 == await rig.turns(5)
    if text == BROKEN:
        (told,) = rig.book.events("config_refused")
        assert 2 <= told["problems"]
        assert told["first"][0].startswith(f"{rig.path}:3:")

    rig.path.write_text(MORE)

    assert 1 == await rig.turns(3)


async def test_gone(rig: Rig) -> None:
    """A file that is gone changes nothing; when it is back it is applied."""
    rig.path.unlink()

    assert 0 == await rig.turns(3)
    assert 1 == len(rig.book.events("config_refused"))

    rig.path.write_text(GOOD)

    assert 1 == await rig.turns(3)


async def test_asked(tmp_path: Path) -> None:
    """Who does not watch reads again when asked, changed or not."""
    (tmp_path / "rota.yaml").write_text(GOOD)
    rig = Rig(tmp_path / "rota.yaml", watch=False)
    rig.source.load()
    (tmp_path / "rota.yaml").write_text(MORE)

    assert 0 == await rig.turns(3)

    rig.reloader.reload()

    assert 1 == await rig.turns(3)


async def test_store_is_away(rig: Rig) -> None:
    """What could not be applied because the store was away is applied when it is back."""
    rig.errors = [StoreUnavailable("away")]
    rig.reloader.reload()
    with pytest.raises(StoreUnavailable):
        await rig.turns(1)

    assert 1 == await rig.turns(1)


async def test_refused(rig: Rig) -> None:
    """Where others apply all the time the log says that ours was not."""
    rig.errors = [Refused("not applied: others do")]
    rig.reloader.reload()

    assert 0 == await rig.turns(2)
    assert 1 == len(rig.book.events("config_not_applied"))
