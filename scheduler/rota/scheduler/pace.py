"""How long to rest after a look at what has happened, so that more of it is handled together.

A round trip costs as much as many runs. What comes alone is handled at once, and lets the next
one wait for a moment that nobody notices; a thousand a second are handled fifty times a second.
"""

_EACH_MS, _LONGEST_MS = 1, 20


def rest_ms(number: int) -> int:
    """Return how long to rest after `number` things that were handled together, ms."""
    return min(_EACH_MS * number, _LONGEST_MS)
