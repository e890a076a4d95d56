"""Problems read well, on any terminal and by programs."""

import json
from pathlib import Path

import pytest

from rota.common.errors import ConfigError
from rota.scheduler import config
from rota.scheduler.config import InvalidConfig, Problem


def test_a_problem_shows_the_line_and_underlines_the_place() -> None:
    """The rendering holds the sentence, the place, the line, a caret with its label, the advice."""
    problem = Problem(
        file="tenants/acme.yaml",
        line=7,
        column=5,
        message="unknown field `retires`",
        label="not a job setting",
        help="did you mean `retry`?",
        source_line="    retires: 3",
        width=7,
    )

    assert (
        "error: unknown field `retires`\n"
        "  --> tenants/acme.yaml:7:5\n"
        "   |\n"
        " 7 |     retires: 3\n"
        "   |     ^^^^^^^ not a job setting\n"
        "   = help: did you mean `retry`?"
    ) == problem.render()


def test_a_problem_of_a_whole_file_shows_no_line() -> None:
    """What concerns the file has the file's name alone."""
    problem = Problem(file="a.yaml", message="the file is empty", help="delete it")

    assert "error: the file is empty\n  --> a.yaml\n  = help: delete it" == problem.render()


def test_control_characters_do_not_reach_the_terminal() -> None:
    """Escape sequences and characters that turn the text's direction are replaced everywhere."""
    evil = "x\x1b[2J\u202e\x07\x9b"
    problem = Problem(
        file=evil, message=evil, label=evil, help=evil, source_line=f"\t{evil}", width=3, column=2
    )

    shown = problem.render().replace("\n", "")

    assert shown.isprintable()
    assert "x\ufffd[2J\ufffd\ufffd\ufffd" in shown


@pytest.mark.parametrize("at", [1, 5_000, 10_000])
def test_a_long_line_is_cut_around_the_place(at: int) -> None:
    """Of a line of any length a terminal's width is shown, and the caret stays under its place."""
    line = "." * (at - 1) + "X" + "." * (10_000 - at)
    problem = Problem(file="f", line=1, column=at, message="m", source_line=line, width=1)

    _, _, _, source, carets = problem.render().split("\n")

    assert len(source) < 160
    assert "X" == source[carets.index("^")]


def test_a_problem_is_plain_data_for_programs() -> None:
    """JSON output holds every field by name."""
    data = Problem(file="f", line=2, column=3, message="m", help="h").to_dict()

    expected = {"file": "f", "line": 2, "column": 3, "message": "m", "label": "", "help": "h",
                "source_line": "", "width": 0, "severity": "error"}  # fmt: skip
    assert expected == json.loads(json.dumps(data))


def test_all_problems_are_one_error_with_a_count() -> None:
    """The error reads as all problems in order, then how many in how many files."""
    error = InvalidConfig(
        [
            Problem(file="b", line=1, message="third"),
            Problem(file="a", line=10, message="second"),
            Problem(file="a", line=9, message="first"),
        ]
    )

    assert isinstance(error, ConfigError)
    assert ["first", "second", "third"] == [problem.message for problem in error.problems]
    assert str(error).endswith("error: third\n  --> b\n\n3 problems in 2 files")
    assert str(InvalidConfig([Problem(file="a", message="m")])).endswith("1 problem in 1 file")


def test_a_hundred_problems_are_shown_and_the_rest_counted() -> None:
    """A long list ends by a count; the error still holds all of them."""
    error = InvalidConfig(Problem(file="a", line=line, message="m") for line in range(250))

    assert 100 == str(error).count("error: ")
    assert str(error).endswith("... and 150 more problems\n\n250 problems in 1 file")
    assert 250 == len(error.problems)


def test_carets_fit_the_value(tmp_path: Path) -> None:
    """The carets cover the value that is wrong, and no comment behind it."""
    file = tmp_path / "rota.yaml"
    file.write_text("groups: {g: {}}\ntenants:\n  a:\n    group: wrong  # a comment\n")

    with pytest.raises(InvalidConfig) as caught:
        config.load(file)

    assert "    group: wrong  # a comment\n   |            ^^^^^\n" in str(caught.value)
