"""Whatever the files hold, loading ends with a configuration or with places in those files."""

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rota.scheduler import config
from rota.scheduler.config import InvalidConfig

WORDS = [
    "defaults", "templates", "groups", "tenants", "acme", "group", "timezone", "use", "jobs",
    "handler", "cron", "every", "after", "args", "timeout", "overlap", "retry", "attempts",
    "backoff", "max_backoff", "UTC", "15m", "1s", "skip", "allow", "3", "-1", "1e9", "~", "true",
    "* * * * *", "@daily", "'0 3 * * *'", ": ", ":", "- ", "\n", "\n  ", "\n    ", "\n      ",
    "{", "}", "[", "]", ", ", "&a ", "*a", "!t ", "!!str ", "<<", "# ", "---\n", "...\n", "%Y ",
    '"', "'", "|\n", ">", "? ", "\t", "\r", "\ufeff", "\x85", "\u2028", "\x00", "é", "\U0001f600",
    "|", "\\", "`", "@",
]  # fmt: skip

quick = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
scalars = st.sampled_from([None, True, 0, 3, -1, 1.5, "", "a", "1s", "g", "t", "UTC", "* * * * *"])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS[:20]), inner, max_size=4)
    ),
    max_leaves=12,
)
jobs = st.dictionaries(
    st.sampled_from(["handler", "cron", "every", "after", "args", "timezone", "retry", "x"]), values
)
tenants = st.dictionaries(
    st.sampled_from(["group", "use", "jobs", "timezone", "x"]),
    values | st.dictionaries(st.sampled_from(["a", "j", "b c"]), jobs | scalars),
)
files = st.fixed_dictionaries(
    {"groups": st.just({"g": {}}) | values},
    optional={
        "defaults": values,
        "templates": st.dictionaries(st.just("t"), st.dictionaries(st.just("j"), jobs)) | values,
        "tenants": st.dictionaries(st.sampled_from(["a", "b"]), tenants | values) | values,
    },
)


def attempt(directory: Path, content: bytes) -> None:
    """Load `content`; the only exception that may come is the one that users read."""
    file = directory / "rota.yaml"
    file.write_bytes(content)
    try:
        config.load(file)
    except InvalidConfig as error:
        lines = content.decode(errors="replace").count("\n") + 1 + content.count(b"\r")
        lines += content.count("\x85".encode()) + content.count("\u2028".encode())
        assert error.problems
        assert all(1 <= problem.line <= lines for problem in error.problems)
        assert all(1 <= problem.column for problem in error.problems)
        assert str(error)
        assert [problem.to_dict() for problem in error.problems]


@quick
@given(content=st.binary(max_size=200))
@example(content=b"")
@example(content=b"\xef\xbb\xbf")
@example(content=b"\xff\xfea\x00")
def test_any_bytes_load_or_are_refused(tmp_path: Path, content: bytes) -> None:
    """Bytes of whatever kind raise nothing but InvalidConfig."""
    attempt(tmp_path, content)


@quick
@given(words=st.lists(st.sampled_from(WORDS), max_size=60))
def test_anything_like_yaml_loads_or_is_refused(tmp_path: Path, words: list[str]) -> None:
    """Text made of a configuration's own words raises nothing but InvalidConfig."""
    attempt(tmp_path, "".join(words).encode())


@quick
@given(content=files)
def test_any_structure_loads_or_is_refused_in_place(tmp_path: Path, content: Any) -> None:
    """Well-formed files with wrong values are refused with places, by no fallback."""
    text = msgspec.json.encode(content)
    attempt(tmp_path, text)
    (tmp_path / "rota.yaml").write_bytes(text)
    try:
        config.load(tmp_path / "rota.yaml")
    except InvalidConfig as error:
        assert not any("`$" in problem.message for problem in error.problems)


def test_what_a_configuration_says_survives_a_round_trip(tmp_path: Path) -> None:
    """A fixed good file loads: the properties above are not kept by refusing everything."""
    attempt(tmp_path, b"groups: {g: {}}\n")
    (tmp_path / "rota.yaml").write_text(
        "groups: {g: }\ntenants: {a: {group: g, jobs: {j: {handler: h, every: 1s}}}}\n"
    )

    assert ["a/j"] == [job.ref for job in config.load(tmp_path / "rota.yaml").jobs]
