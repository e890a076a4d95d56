"""Asks on the terminal before a command does what can't be taken back."""

import sys

from rota.common.errors import Refused


def ask(question: str, *, nobody: str, no: str) -> None:
    """Return if somebody at the terminal says yes to `question`.

    Raises `Refused` with `nobody` where there is no terminal, with `no` for any other answer.
    """
    if not sys.stdin.isatty():
        raise Refused(nobody)
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused(no)
