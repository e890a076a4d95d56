"""The only package that talks to Redis.

`url` reads the address, `server` holds the connections to one server, `topology`, `sentinel` and
`cluster` know which server serves a key, `link` makes the round trips and says what errors mean,
`patience` leaves out who is silent.
"""

from rota.common.link.link import Call, Link
from rota.common.link.server import LONGEST_BLOCK
from rota.common.link.url import redacted

__all__ = ["LONGEST_BLOCK", "Call", "Link", "redacted"]
