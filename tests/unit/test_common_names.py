"""Names, references and durations, as people write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.common import duration, names


@pytest.mark.parametrize("name", ["a", "A9", "acme", "0.x_y-z", "a" * 64])
def test_names(name: str) -> None:
    """A name is a letter or digit, then up to 63 letters, digits, dots, dashes, underscores."""
    assert names.is_name(name)


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "_a", "a b", "a/b", "a:b", "a{b}", "a*", "a\n", "ä", "..", "a" * 65]
)
def test_no_names(name: str) -> None:
    """Nothing that could reach into another key, path or pattern is a name."""
    assert not names.is_name(name)


def test_handlers() -> None:
    """A handler's name may be longer and have colons, but is no path either."""
    assert all(names.is_handler(name) for name in ("orders.import", "a:b", "x" * 128))
    assert not any(names.is_handler(name) for name in ("", ":a", "a/b", "a b", "a{b", "x" * 129))


@given(st.text(max_size=80))
def test_names_agree_with_their_pattern(text: str) -> None:
    """What is a name agrees with the published pattern, except that no newline slips through."""
    matched = re.match(names.PATTERN, text) is not None and not text.endswith("\n")

    assert matched == names.is_name(text)


def test_split_ref() -> None:
    """A reference is a tenant and a job with a slash between them."""
    assert ("acme", "import-orders") == names.split_ref("acme/import-orders")


@pytest.mark.parametrize("ref", ["", "acme", "/import", "acme/", "a/b/c", "acme import", "a/b\n"])
def test_no_ref(ref: str) -> None:
    """Anything else is refused with an example of what to write."""
    with pytest.raises(ValueError, match="expected TENANT/JOB, such as acme/import-orders"):
        names.split_ref(ref)


@pytest.mark.parametrize("due", ["20260101T000000Z", "manual-20260101T000000.123Z"])
def test_split_job_id(due: str) -> None:
    """A job_id is a reference and what tells its runs apart, with a colon between them."""
    assert ("acme/import", due) == names.split_job_id(f"acme/import:{due}")


@pytest.mark.parametrize("job_id", ["", "foo", "acme/import", "acme/import:", "acme:1", "a/b/c:1"])
def test_no_job_id(job_id: str) -> None:
    """Anything else is refused, and the message says how a job_id is made."""
    with pytest.raises(ValueError, match=f"expected a JOB_ID, TENANT/JOB:DUE .*'{job_id}'"):
        names.split_job_id(job_id)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("500ms", 500),
        ("30s", 30_000),
        ("15m", 900_000),
        ("1h30m", 5_400_000),
        ("2d", 172_800_000),
        ("1d2h3m4s5ms", 93_784_005),
        ("90m", 5_400_000),
        ("1ms", 1),
        ("366d", 31_622_400_000),
    ],
)
def test_durations(text: str, ms: int) -> None:
    """A duration is a sum of counted units, the largest first."""
    assert ms == duration.parse(text)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "write for example"),
        ("5", "write for example"),
        ("1.5h", "write for example"),
        ("-1s", "write for example"),
        ("5 s", "write for example"),
        ("5s\n", "write for example"),
        ("٣s", "write for example"),
        ("5M", "write for example"),
        ("30m1h", "largest first"),
        ("1h1h", "each unit once"),
        ("0s", "between 1ms and 366d"),
        ("367d", "between 1ms and 366d"),
        ("9" * 30 + "d", "between 1ms and 366d"),
    ],
)
def test_no_durations(text: str, advice: str) -> None:
    """Anything else is refused, and the message says what to write instead."""
    with pytest.raises(ValueError, match=advice):
        duration.parse(text)


@given(st.integers(1, 366 * 86_400_000))
def test_durations_there_and_back(ms: int) -> None:
    """Every duration can be written, and is read as the same again."""
    assert ms == duration.parse(duration.text(ms))


def test_no_time_at_all() -> None:
    """A span of nothing can be shown, although nobody may ask for it."""
    assert "0ms" == duration.text(0)
