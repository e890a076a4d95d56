"""Whatever the files hold, loading ends with a configuration or with places in those files."""

import re
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rota.scheduler import config
from rota.scheduler.config import InvalidConfig, Problem

WORDS = [
    "defaults", "templates", "groups", "tenants", "acme", "group", "timezone", "use", "jobs",
    "handler", "cron", "every", "after", "args", "timeout", "overlap", "retry", "attempts",
    "backoff", "max_backoff", "weight", "max_concurrency", "rate_limit", "burst", "max_backlog",
    "handlers", "priority", "100/m", "high",
    "at", "between", "phase", "jitter", "dst", "gap", "fold", "blackout",
    "from", "to", "reason", "02:00..04:00", "mon-fri 22:00..02:00", "2026-12-24 18:00",
    "UTC", "15m", "1s", "skip", "allow", "3", "-1", "1e9", "~", "true",
    "* * * * *", "@daily", "'0 3 * * *'", ": ", ":", "- ", "\n", "\n  ", "\n    ", "\n      ",
    "{", "}", "[", "]", ", ", "&a ", "*a", "!t ", "!!str ", "<<", "# ", "---\n", "...\n", "%Y ",
    '"', "'", "|\n", ">", "? ", "\t", "\r", "\ufeff", "\x85", "\u2028", "\x00", "é", "\U0001f600",
    "|", "\\", "`", "@",
]  # fmt: skip

quick = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
scalars = st.sampled_from(
    [None, True, 0, 3, -1, 1.5, "", "a", "1s", "g", "t", "UTC", "* * * * *", "02:00..04:00", "skip",
     "both", "2026-12-24 18:00", 2000, "5/s", "low"]
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS[:33]), inner, max_size=4)
    ),
    max_leaves=12,
)
windows = st.lists(
    st.dictionaries(st.sampled_from(["between", "from", "to", "reason"]), scalars, max_size=3),
    max_size=3,
)
LIMITS = ["weight", "max_concurrency", "rate_limit", "burst", "max_backlog"]
jobs = st.dictionaries(
    st.sampled_from(
        ["handler", "cron", "every", "after", "at", "between", "phase", "jitter", "args",
         "timezone", "dst", "blackout", "retry", "x", "priority"]
    ),
    values | windows,
)  # fmt: skip
tenants = st.dictionaries(
    st.sampled_from(["group", "use", "jobs", "timezone", "dst", "blackout", "x", *LIMITS]),
    values | windows | st.dictionaries(st.sampled_from(["a", "j", "b c"]), jobs | scalars),
)
files: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"groups": st.just({"g": {}}) | values},
    optional={
        "defaults": values | st.dictionaries(st.sampled_from(LIMITS), scalars),
        "handlers": values
        | st.dictionaries(st.just("h"), st.dictionaries(st.sampled_from(LIMITS), scalars)),
        "templates": st.dictionaries(st.just("t"), st.dictionaries(st.just("j"), jobs)) | values,
        "tenants": st.dictionaries(st.sampled_from(["a", "b"]), tenants | values) | values,
    },
)


def attempt(directory: Path, content: bytes) -> list[Problem]:
    """Load `content` and return its problems; any exception but InvalidConfig comes through."""
    file = directory / "rota.yaml"
    file.write_bytes(content)
    try:
        config.load(file)
    except InvalidConfig as error:
        return error.problems
    return []


def check(problems: list[Problem], content: bytes) -> None:
    """Check that problems have places in the file, and that they can be shown."""
    lines = 1 + len(re.split("\r\n|[\r\n\x85\u2028\u2029]", content.decode(errors="replace")))
    for problem in problems:
        assert 1 <= problem.line <= lines
        assert 1 <= problem.column
        assert problem.render().replace("\n", "").isprintable()
        assert not problem.message.startswith("refused: ")  # the word of the last resort


@quick
@given(content=st.binary(max_size=200))
@example(content=b"")
@example(content=b"\xef\xbb\xbf")
@example(content=b"\xff\xfea\x00")
def test_any_bytes_load_or_are_refused(tmp_path: Path, content: bytes) -> None:
    """Bytes of whatever kind raise nothing but InvalidConfig."""
    check(attempt(tmp_path, content), content)


@quick
@given(words=st.lists(st.sampled_from(WORDS), max_size=60))
def test_anything_like_yaml_loads_or_is_refused(tmp_path: Path, words: list[str]) -> None:
    """Text made of a configuration's own words raises nothing but InvalidConfig."""
    content = "".join(words).encode()
    check(attempt(tmp_path, content), content)


@quick
@given(content=files)
def test_any_structure_loads_or_is_refused_in_place(tmp_path: Path, content: Any) -> None:
    """Well-formed files with wrong values are refused with places, by no fallback."""
    text = msgspec.json.encode(content)
    check(attempt(tmp_path, text), text)


def test_what_is_right_is_not_refused(tmp_path: Path) -> None:
    """The promises above are not kept by refusing everything."""
    good = b"groups: {g: }\ntenants: {a: {group: g, jobs: {j: {handler: h, every: 1s}}}}\n"

    assert [] == attempt(tmp_path, good)
