"""What a scalar without quotes stands for: as in JSON, and text in doubt."""

import math
import re
from typing import Final

_WORDS: Final = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NUMBER_STARTS = frozenset("-+.0123456789")
_LONGEST_INTEGER = 20  # characters of the longest integer of 64 bits, with its sign

Scalar = str | int | float | bool | None


def value(text: str) -> Scalar:
    """Return null, true, false, a decimal number or, for everything else, `text` itself.

    Raises `ValueError` for numbers that other programs could not read back.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return _float(text)
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("a number must be finite")
    return text


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER or not -(2**63) <= int(text) < 2**63:
        raise ValueError("an integer has at most 64 bits")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("the number is too large")
    return number
