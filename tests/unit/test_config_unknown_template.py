"""A template that nobody declares hides nothing else that is wrong with the tenant that uses it."""

from pathlib import Path

import pytest

from rota.scheduler import config
from rota.scheduler.config.diagnostic import InvalidConfig

HEAD = """groups: {gold: {}}
templates:
  standard:
    vacuum: {handler: a.b, every: 1h, retry: {backoff: 1m}}
tenants:
  acme:
    group: gold
"""


def told(tmp_path: Path, *lines: str) -> list[tuple[int, str]]:
    """Return what is wrong with these lines of a tenant: the line, from 1 on, and the message."""
    path = tmp_path / "rota.yaml"
    path.write_text(HEAD + "".join(f"    {line}\n" for line in lines))
    with pytest.raises(InvalidConfig) as caught:
        config.load(path)
    return [(it.line - HEAD.count("\n"), it.message) for it in caught.value.problems]


def test_a_misspelt_template_is_read_as_the_one_it_resembles(tmp_path: Path) -> None:
    """Jobs are held against the template that is meant: an override is right, a gap is told."""
    found = told(
        tmp_path,
        "use: [standrd]",
        "jobs:",
        "  vacuum: {timeout: 5m}",
        "  lonely: {timeout: 5m}",
        "  vacuun: null",
    )

    assert [
        (1, "unknown template `standrd`"),
        (4, "missing field `handler`"),
        (4, "missing a schedule"),
        (5, "no template brings a job `vacuun` that null could leave out"),
    ] == found


def test_an_override_is_held_against_the_template_that_is_meant(tmp_path: Path) -> None:
    """What an override makes of the template that is meant is told as well."""
    found = told(
        tmp_path, "use: [standrd]", "jobs: {vacuum: {retry: {max_backoff: 1s}}, x: {every: 1m}}"
    )

    assert [
        "unknown template `standrd`",
        "max_backoff, 1s, is shorter than backoff, 1m",
        "missing field `handler`",
    ] == [message for _, message in found]


def test_a_template_that_resembles_none_may_be_any(tmp_path: Path) -> None:
    """Jobs that some template brings may be right; those that none brings lack what they lack."""
    found = told(
        tmp_path,
        "use: [zzz]",
        "jobs:",
        "  vacuum: {timeout: 5m}",
        "  lonely: {handler: h}",
        "  gone: null",
    )

    assert [
        (1, "unknown template `zzz`"),
        (4, "missing a schedule"),
        (5, "no template brings a job `gone` that null could leave out"),
    ] == found


def test_a_broken_template_that_is_meant_is_told_once(tmp_path: Path) -> None:
    """Where the template that is meant is wrong itself, what it would bring is not guessed."""
    path = tmp_path / "rota.yaml"
    path.write_text(
        "groups: {g: {}}\ntemplates: {standard: {j: {handler: h, every: 1x}}}\n"
        "tenants: {a: {group: g, use: [standrd], jobs: {j: {timeout: 1m}, k: ~}}}\n"
    )
    with pytest.raises(InvalidConfig) as caught:
        config.load(path)

    assert [2, 3] == [it.line for it in caught.value.problems]
