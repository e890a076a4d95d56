"""The store's address: what it says is understood, and its secrets stay secret."""

import pytest

from rota.common.errors import UsageError
from rota.common.link import Link
from rota.common.link.url import Address, Host, Kind

SECRETS = ("s3cret", "w0rd", "us3r")


@pytest.mark.parametrize(
    ("url", "kind", "hosts", "master", "first"),
    [
        ("redis://h:1/2", Kind.SERVER, "", "", "redis://h:1/2"),
        ("unix:///run/r.sock", Kind.SERVER, "", "", "unix:///run/r.sock"),
        ("redis+sentinel://h/main", Kind.SENTINEL, "h:26379", "main", "redis://h:26379/0"),
        ("redis+sentinel://a:1,b/m/3", Kind.SENTINEL, "a:1 b:26379", "m", "redis://a:1/3"),
        ("rediss+sentinel://a:1/m/", Kind.SENTINEL, "a:1", "m", "rediss://a:1/0"),
        ("redis+cluster://a:1,b", Kind.CLUSTER, "a:1 b:6379", "", "redis://a:1/0"),
        ("redis+cluster://[::1]:7000/0", Kind.CLUSTER, "[::1]:7000", "", "redis://[::1]:7000/0"),
        (
            "rediss+cluster://a:1?ssl_ca_certs=/ca.pem",
            Kind.CLUSTER,
            "a:1",
            "",
            "rediss://a:1/0?ssl_ca_certs=%2Fca.pem",
        ),
    ],
)
def test_address(url: str, kind: Kind, hosts: str, master: str, first: str) -> None:
    """Each form of address names its servers, with the usual ports where it names none."""
    address = Address(url)

    assert (kind, hosts, master) == (
        address.kind,
        " ".join(map(str, address.hosts)),
        address.master,
    )
    assert first == address.entry(*address.hosts[:1]).url


def test_logins() -> None:
    """Servers and sentinels are logged in to with credentials of their own."""
    address = Address(
        "redis+sentinel://us3r:s3%2Fcret@h/m?sentinel_username=a&sentinel_password=w0rd%40"
    )
    host = Host("h", 26379)

    assert {"username": "us3r", "password": "s3/cret"} == address.entry(host).login
    assert {"username": "a", "password": "w0rd@"} == address.sentinel(host).login
    assert "?" not in address.entry(host).url


def test_password_alone() -> None:
    """A password without user name is one for the default user."""
    assert {"password": "s3cret"} == Address("redis+cluster://:s3cret@h").entry(Host("h", 1)).login


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("redis+sentinel://us3r:s3cret@h", "name the master"),
        ("redis+sentinel://us3r:s3cret@h/", "name the master"),
        ("redis+sentinel://us3r:s3cret@/main", "HOST:PORT"),
        ("redis+sentinel://us3r:s3cret@h,,g/main", "HOST:PORT"),
        ("redis+sentinel://us3r:s3cret@h:port/main", "HOST:PORT"),
        ("redis+sentinel://us3r:s3cret@h:65536/main", "HOST:PORT"),
        ("redis+sentinel://us3r:s3cret@h/main/first", "no number"),
        ("redis+sentinel://us3r:s3cret/w0rd@h/main", "%2F"),
        ("redis+sentinel://us3r:s3cret?w0rd@h/main", "%3F"),
        ("redis+sentinel://us3r:s3cret#w0rd@h/main", "%23"),
        ("redis+cluster://us3r:s3cret@h/1", "database 0"),
        ("redis+cluster://h?sentinel_password=s3cret", "redis\\+sentinel"),
        ("redis+cluster://h?nonsense=s3cret", "nonsense"),
        ("redis+ring://us3r:s3cret@h", "redis"),
        ("unix+cluster://us3r:s3cret@h", "redis\\+cluster"),
        ("redis://us3r:s3cret@h?nonsense=w0rd", "nonsense"),
    ],
)
def test_wrong_address(url: str, advice: str) -> None:
    """A wrong address is a mistake of usage: it says what to write, and shows no secret."""
    with pytest.raises(UsageError, match=f"ROTA_REDIS_URL.*{advice}") as caught:
        Link(url)

    assert [] == [secret for secret in SECRETS if secret in str(caught.value)]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis+sentinel://us3r:s3cret@a:1,b:2/main/0?x=w0rd", "redis+sentinel://a:1,b:2/main/0"),
        ("redis+cluster://us3r:s3cret@a:1,b:2", "redis+cluster://a:1,b:2"),
        ("redis+sentinel://h/main?sentinel_password=s3c@w0rd", "redis+sentinel://..."),
    ],
)
def test_shown(url: str, shown: str) -> None:
    """An address is shown without what is secret, in messages and in its repr."""
    address = Address(url)
    entries = [address.entry(address.hosts[0]), address.sentinel(address.hosts[0])]

    assert shown == address.shown
    assert shown in repr(address)
    assert [] == [secret for secret in SECRETS if secret in repr((address, entries))]
