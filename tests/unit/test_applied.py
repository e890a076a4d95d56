"""A revision's content is the configuration, and since when each job is due as it is."""

import pytest

from rota.common.job import Blackout
from rota.common.revisions import Unreadable
from rota.scheduler import applied
from rota.scheduler.applied import Since
from rota.scheduler.config import Config
from tests.support.definitions import config, job

FIRST, THEN, LATER = 1_000, 2_000, 3_000
ALL = config(job(every="1h"), job("bolt/x", cron="0 3 * * *"), groups=("empty",))


def test_read_back() -> None:
    """What was encoded is decoded as it was."""
    made = applied.first(ALL, FIRST)

    assert made == applied.decode(applied.encode(made))


def test_digest() -> None:
    """Two that say the same have one digest, however they were written; others have another."""
    one, same = (config(job(every="1h", args=a)) for a in ({"a": 1, "b": 2}, {"b": 2, "a": 1}))
    moved = Config(groups=one.groups, jobs=one.jobs, tenants=one.tenants, files=["elsewhere.yaml"])

    assert applied.digest(one) == applied.digest(same) == applied.digest(moved)
    assert applied.digest(one) != applied.digest(ALL)


def test_first() -> None:
    """With the first revision nothing is known of changes, but when the jobs came."""
    assert {Since(0, FIRST)} == set(applied.first(ALL, FIRST).since.values())


@pytest.mark.parametrize(
    ("again", "expected"),
    [
        (job(every="1h"), Since(0, FIRST)),
        (job(every="1h", args={"a": 1}, timeout_ms=5), Since(0, FIRST)),
        (job(every="2h"), Since(THEN, THEN)),
        (job(every="1h", timezone="Asia/Tokyo"), Since(THEN, THEN)),
        (job(every="1h", blackouts=(Blackout(between="08:00..18:00"),)), Since(THEN, THEN)),
        (job(every="1h", group="silver"), Since(THEN, THEN)),
        (job("acme/new", every="1h"), Since(THEN, THEN)),
    ],
)
def test_changed(again: object, expected: Since) -> None:
    """A job is known since its timing became what it is; other changes do not matter to that."""
    before = applied.first(config(job(every="1h")), FIRST)
    after = before.followed_by(config(again), THEN)  # type: ignore[arg-type]
    last = after.followed_by(config(again, job("z/z", every="1h")), LATER)  # type: ignore[arg-type]

    assert [expected] == list(after.since.values())
    assert [expected, Since(LATER, LATER)] == list(last.since.values())


def test_removed_and_added_again() -> None:
    """A job that was away is new: what it was not there for, it did not miss."""
    away = applied.first(ALL, FIRST).followed_by(config(job("bolt/x", cron="0 3 * * *")), THEN)

    assert Since(LATER, LATER) == away.followed_by(ALL, LATER).since["acme/import"]


@pytest.mark.parametrize(
    "content", [b"", b"\x01", b"\x80", applied.encode(applied.first(ALL, 1))[:-9]]
)
def test_unreadable(content: bytes) -> None:
    """What is no configuration is refused as a whole."""
    with pytest.raises(Unreadable):
        applied.decode(content)
