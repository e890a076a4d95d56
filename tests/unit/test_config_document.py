"""A configuration file is strict YAML: what could be misread is refused, at its place."""

from pathlib import Path

import pytest

from rota.scheduler import config
from rota.scheduler.config import InvalidConfig, Problem, composer, document


def problems(tmp_path: Path, content: str | bytes) -> list[Problem]:
    """Return what is wrong with a file of this content."""
    file = tmp_path / "rota.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InvalidConfig) as caught:
        config.load(file)
    return caught.value.problems


def places(found: list[Problem]) -> list[tuple[int, int, str]]:
    """Return line, column and message of each problem."""
    return [(problem.line, problem.column, problem.message) for problem in found]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("groups: {g: {}, g: {}}", (1, 17, "duplicate key `g`"), id="duplicate"),
        pytest.param("groups:\n  g: &x {}\n", (2, 6, "anchors are not read: `&x`"), id="anchor"),
        pytest.param("<<: {a: 1}", (1, 1, "merge keys are not read"), id="merge"),
        pytest.param(
            "groups: !!python/object:os.system {}",
            (1, 9, "tags are not read: `tag:yaml.org,2002:python/object:os.system`"),
            id="python-tag",
        ),
        pytest.param("groups: {g: ! {}}", (1, 13, "tags are not read: `!`"), id="bare-tag"),
        pytest.param("groups: {}\n---\n{}", (2, 1, "one file holds one document"), id="documents"),
        pytest.param(
            "groups: {[a]: 1}", (1, 10, "a key is text, not a mapping or a list"), id="key"
        ),
        pytest.param("groups: [1", (1, 9, "not YAML: did not find expected ',' or ']'"), id="flow"),
        pytest.param('groups: "', (1, 9, "not YAML: found unexpected end of stream"), id="quote"),
        pytest.param(
            "groups:\n  a: \x00", (2, 6, "the file holds the control character U+0000"), id="nul"
        ),
        pytest.param(
            b"groups: \xff", (1, 1, "the file is not UTF-8: byte 9 can't be read"), id="utf-8"
        ),
        pytest.param("", (1, 1, "the file is empty"), id="empty"),
        pytest.param("# nothing\n", (1, 1, "the file is empty"), id="comment"),
        pytest.param("- a", (1, 1, "expected a mapping, got a list"), id="list"),
        pytest.param("groups:", (1, 8, "expected a mapping, got null"), id="null-section"),
    ],
)
def test_what_could_be_misread_is_refused_at_its_place(
    tmp_path: Path, content: str | bytes, expected: tuple[int, int, str]
) -> None:
    """Each construct outside of strict YAML is one problem with its line and column."""
    found = problems(tmp_path, content)

    assert [expected] == places(found)


def test_a_duplicate_key_names_the_first(tmp_path: Path) -> None:
    """A duplicate key, on whatever level, tells where the first one stands."""
    (found,) = problems(tmp_path, "groups:\n  a: {}\n  b: {}\n  a: {}\n")

    assert "it stands on line 2 already" == found.help


def test_anchors_and_aliases_are_all_found(tmp_path: Path) -> None:
    """Every anchor and every alias is a problem: used, unused, on keys, on scalars, undefined."""
    found = problems(tmp_path, "&k groups: {a: &s x}\ntenants: [*s, *gone]\n")

    assert [(1, 1), (1, 16), (2, 11), (2, 15)] == [(it.line, it.column) for it in found]


def test_stars_in_quoted_cron_expressions_are_no_aliases(tmp_path: Path) -> None:
    """A cron expression may hold stars, ampersands and exclamation marks may stand in text."""
    file = tmp_path / "rota.yaml"
    file.write_text(
        "groups: {g: {}}\n"
        "tenants: {t: {group: g, jobs: {j: {handler: h, cron: '*/5 * * * *',"
        " args: {a: 'x &y *z !t', b: it is so!}}}}}\n"
    )

    loaded = config.load(file)

    assert {"a": "x &y *z !t", "b": "it is so!"} == loaded.jobs[0].args


@pytest.mark.parametrize(
    ("content", "column", "advice"),
    [
        ("tenants: * * * * *", 10, "put a value that starts with * in quotes, such as a cron"),
        ("tenants: @daily", 10, "put a value that starts with @ in quotes"),
        ("tenants:\n\ta: 1", 1, "indent with spaces, not with tabs"),
    ],
)
def test_common_slips_get_advice(tmp_path: Path, content: str, column: int, advice: str) -> None:
    """What people forget to quote, and tabs, are named as such at their place."""
    (found,) = problems(tmp_path, content)

    assert column == found.column
    assert found.help.startswith(advice)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~", None), ("null", None), ("", None), ("true", True), ("false", False),
        ("0", 0), ("-7", -7), ("+7", 7), ("9223372036854775807", 2**63 - 1),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("-1.5E-1", -0.15), ("1.", 1.0),
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("True", "True"), ("12:30", "12:30"),
        ("010", "010"), ("0x1F", "0x1F"), ("1_000", "1_000"), ("2026-01-01", "2026-01-01"),
        ("1.2.3", "1.2.3"), ("'12'", "12"), ('"true"', "true"), ("=", "="),
        ("1e", "1e"), ("+", "+"), (".", "."),
    ],
)  # fmt: skip
def test_plain_scalars_stand_for_what_they_look_like(
    tmp_path: Path, written: str, meant: object
) -> None:
    """Only null, true, false and decimal numbers are more than text."""
    file = tmp_path / "rota.yaml"
    file.write_text(f"tenants:\n  x: {written}\n")

    data = document.read(file, "rota.yaml").data["tenants"]["x"]

    assert (type(meant), meant) == (type(data), data)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("9223372036854775808", "an integer has at most 64 bits"),
        ("-9223372036854775809", "an integer has at most 64 bits"),
        ("9" * 6000, "an integer has at most 64 bits"),
        ("1e999", "the number is too large"),
        (".nan", "a number must be finite"),
        ("-.inf", "a number must be finite"),
    ],
)
def test_numbers_that_do_not_travel_are_refused(tmp_path: Path, written: str, message: str) -> None:
    """Integers beyond 64 bits and what is not finite are problems where they stand."""
    found = problems(tmp_path, f"tenants: {{}}\ngroups: {{g: {written}}}\n")

    assert (2, 13, message) == places(found)[0]


def test_keys_are_text_whatever_they_look_like(tmp_path: Path) -> None:
    """A tenant may be called `no`, `007` or `12`."""
    file = tmp_path / "rota.yaml"
    file.write_text("groups: {no: {}}\ntenants: {007: {group: no}, 12: {group: no}}\n")

    assert {"007": "no", "12": "no"} == config.load(file).tenants


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("a: " + "[" * 10_000 + "]" * 10_000, id="flow"),
        pytest.param("- " * 10_000 + "a", id="sequences"),
        pytest.param("\n".join(" " * i + "a:" for i in range(2_000)), id="block"),
        pytest.param("a: " + "{a: " * 10_000, id="mappings"),
        pytest.param("a: !x " + "[" * 100_000, id="tagged"),
    ],
)
def test_deep_nesting_is_a_problem_and_no_crash(tmp_path: Path, content: str) -> None:
    """What is nested deeper than the limit is refused, however deep, and where it gets too deep."""
    found = problems(tmp_path, content)

    assert f"nested deeper than {composer.MAX_DEPTH} levels" == found[-1].message
    assert found[-1].column > 1


def test_too_many_values_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may not take much memory: keys and values are counted while they are read."""
    monkeypatch.setattr(composer, "MAX_VALUES", 1_000)

    (found,) = problems(tmp_path, "groups: [" + "a," * 1_001 + "]")

    assert "more than 1,000 keys and values" == found.message


@pytest.mark.parametrize("indirection", ["", "!"])
def test_the_depth_limit_is_exact(tmp_path: Path, indirection: str) -> None:
    """As many levels as the limit says are read, and one more is not, with and without tags."""
    results = []
    for levels in (composer.MAX_DEPTH, composer.MAX_DEPTH + 1):
        file = tmp_path / f"{levels}.yaml"
        file.write_text("[" * levels + "]" * levels + f" # {indirection}")
        results.append(document.read(file, "f").readable)

    assert [True, False] == results
