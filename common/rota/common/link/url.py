"""What ROTA_REDIS_URL says: which servers, what to log in with, and how the address is shown.

    redis://USER:PASSWORD@HOST:PORT/DB     one server; rediss:// with TLS, unix://PATH a local one
    redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER/DB
        the master that these sentinels name; their own credentials, if they ask for any, are
        ?sentinel_username=...&sentinel_password=...
    redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT
        the Redis Cluster that these nodes belong to

`rediss+sentinel` and `rediss+cluster` speak TLS with every server. Other settings of a connection,
such as `?ssl_ca_certs=...`, hold for every server too.
"""

import re
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode

from rota.common.errors import UsageError

_SCHEMES = (
    *("redis", "rediss", "unix"),
    *("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"),
)
_SENTINEL_PORT = 26379
_SERVER_PORT = 6379
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]@/]+)(?::(?P<port>[0-9]{1,5}))?")


class Kind(StrEnum):
    """What is behind the address."""

    SERVER = ""
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Host(NamedTuple):
    """Where one server listens."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


class Entry(NamedTuple):
    """How to connect to one server: a URL without credentials, and the credentials."""

    url: str
    login: dict[str, str]  # username, password; the whole URL has them for a single server

    def __repr__(self) -> str:
        return f"Entry({redacted(self.url)!r})"


class Address:
    """A parsed ROTA_REDIS_URL. Neither its repr nor its errors show user name or password.

    Raises `UsageError` for a URL that is malformed. A single server's is left to redis-py.
    """

    def __init__(self, url: str) -> None:
        self.shown = redacted(url)
        self.hosts: list[Host] = []  # sentinels, or some nodes of the cluster
        self.master = ""  # what the sentinels call it
        self._url = url
        self._path = ""
        self._query = ""
        self._login: dict[str, str] = {}
        self._sentinel_login: dict[str, str] = {}
        scheme, _, rest = url.partition("://")
        self._scheme, _, kind = scheme.partition("+")
        if scheme not in _SCHEMES:
            raise self.wrong(f"begin with one of {', '.join(f'{name}://' for name in _SCHEMES)}")
        self.kind = Kind(kind)
        if self.kind is not Kind.SERVER:
            self._read(rest)

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def wrong(self, reason: str) -> UsageError:
        """Return the error for a URL that is wrong for `reason`."""
        return UsageError(f"ROTA_REDIS_URL {self.shown}: {reason}")

    def entry(self, host: Host | None = None) -> Entry:
        """Return how to connect to a server of the store; None for a single one."""
        if host is None:
            return Entry(self._url, {})
        return Entry(f"{self._scheme}://{host}{self._path}{self._query}", self._login)

    def sentinel(self, host: Host) -> Entry:
        """Return how to connect to a sentinel."""
        return Entry(f"{self._scheme}://{host}{self._query}", self._sentinel_login)

    def _read(self, rest: str) -> None:
        rest, _, query = rest.partition("?")
        authority, _, path = rest.partition("/")
        if "@" in path or "@" in query.partition("=")[0] or "#" in rest:
            raise self.wrong("write / ? # @ in a password as %2F %3F %23 %40")
        credentials, _, hosts = authority.rpartition("@")
        self._read_logins(credentials, query)
        sentinel = self.kind is Kind.SENTINEL
        port = _SENTINEL_PORT if sentinel else _SERVER_PORT
        self.hosts = [self._host(text, port) for text in hosts.split(",")]
        if sentinel:
            self.master, _, path = path.partition("/")
            if not self.master:
                raise self.wrong("name the master: redis+sentinel://HOST:PORT,.../MASTER/DB")
        if not re.fullmatch("[0-9]*", path):
            raise self.wrong("the database behind the last / is no number")
        if self.kind is Kind.CLUSTER and path.strip("0"):
            raise self.wrong("a cluster has database 0 only")
        self._path = f"/{path or 0}"

    def _read_logins(self, credentials: str, query: str) -> None:
        user, _, password = credentials.partition(":")
        self._login = _given(username=unquote(user), password=unquote(password))
        options = dict(parse_qsl(query))
        self._sentinel_login = _given(
            username=options.pop("sentinel_username", ""),
            password=options.pop("sentinel_password", ""),
        )
        if self._sentinel_login and self.kind is not Kind.SENTINEL:
            raise self.wrong("sentinel_username and sentinel_password are for redis+sentinel://")
        self._login |= {key: options.pop(key) for key in ("username", "password") if key in options}
        self._query = f"?{urlencode(options)}" if options else ""

    def _host(self, text: str, port: int) -> Host:
        match = _HOST.fullmatch(text)
        if match is None or not 0 < int(match["port"] or port) < 65536:  # noqa: PLR2004 - TCP's limit
            raise self.wrong("write the servers as HOST:PORT,HOST:PORT")
        return Host(match["name"].strip("[]"), int(match["port"] or port))


def redacted(url: str) -> str:
    """Return `url` without user name, password and settings."""
    # By hand: in a malformed URL `urlsplit` may see a password as part of host, port or path.
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    before, _, behind = rest.rpartition("@")
    if "?" in before:  # part of a password, or the @ is part of a setting: don't guess
        return f"{scheme}{separator}..."
    return scheme + separator + behind.partition("?")[0]


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
