"""Which hosts may be reached: names against the allow-list, and then each address that a name leads to."""

from __future__ import annotations

import pytest

from runner.errors import ConfigError
from runner.worker.http.hosts import Hosts, read_url


def match(url: str, *allow: str) -> str | None:
    return Hosts(allow).match(read_url(url))


def permits(address: str, url: str, *allow: str) -> bool:
    target, hosts = read_url(url), Hosts(allow)
    found = hosts.match(target)
    assert found is not None
    return hosts.permits(address, target, found)


# -- URLs -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://api.example.com", "api.example.com", "/"),
        ("https://API.example.com.:443/a?b=c", "api.example.com", "/a?b=c"),
        ("http://api.example.com:8080/a b/ü", "api.example.com:8080", "/a%20b/%C3%BC"),
        ("https://h/100%/%2Fx", "h", "/100%25/%2Fx"),
        ("https://h/a?b=ü&c=%20", "h", "/a?b=%C3%BC&c=%20"),
        ("https://[::0001]:8443/x", "[::1]:8443", "/x"),
        ("https://h/r1/lines#3/ship~0?of=lines#3", "h", "/r1/lines%233/ship~0?of=lines%233"),
        ("https://h/a;b=c/d,e:f@g", "h", "/a;b=c/d,e:f@g"),
    ],
)
def test_a_url_is_taken_apart(url: str, authority: str, path: str):
    target = read_url(url)
    assert (target.authority, target.path) == (authority, path)


@pytest.mark.parametrize(
    "url",
    [
        "", "api.example.com", "ftp://api.example.com", "file:///etc/passwd", "https://", "https:///x", "https://:443/",
        "https://user@api.example.com", "https://user:pass@api.example.com/", "https://api.example.com:0/",
        "https://api.example.com:70000/", "https://api.example.com:x/", "https://api.exämple.com/",
        "https://a/b\nHost: evil", "https://a\t.example.com/", "https://api.example.com\\@evil.com/", "https://a/b\r\n",
        "https://a/../b", "https://a/b/.", "https://a/%2e%2e/b", "https://a/b/%2E%2e", "https://[::1%25eth0]/",
        "https://[1:2/", "https://a_/", "https://-a/", "https://*.example.com/", "gopher://a/", "https://a#b/",
        "https://a#@evil.com/", "https://a/" + "x" * 9_000,
    ],
)  # fmt: skip
def test_what_is_no_plain_url_is_refused_without_repeating_it(url: str):
    with pytest.raises(ValueError, match=r"^it") as raised:
        read_url(url)
    assert "passwd" not in str(raised.value)
    assert "pass@" not in str(raised.value)


def test_for_people_a_url_has_no_query():
    assert str(read_url("https://api.example.com:8443/a?token=secret")) == "https://api.example.com:8443/a"


# -- names ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "allow", "found"),
    [
        ("https://api.example.com/x", "api.example.com", "named"),
        ("https://API.EXAMPLE.COM/x", "api.example.com", "named"),
        ("https://api.example.com/x", "Api.Example.com", "named"),
        ("https://api.example.com/x", "https://api.example.com", "named"),
        ("https://api.example.com/x", "api.example.com:443", "named"),
        ("https://a.b.internal:8443/", "*.internal:8443", "below"),
        ("https://api.example.com:9/", "api.example.com:*", "named"),
        ("https://api.example.com/", "*", "any"),
        ("http://localhost:8080/", "http://localhost:8080", "named"),
        ("http://localhost/", "http://*", "any"),
        ("https://[::1]/", "[::1]", "named"),
        ("https://[::1]/", "[0::0:1]", "named"),
        ("http://10.0.0.7/", "http://10.0.0.7", "named"),
        # not these:
        ("http://api.example.com/x", "api.example.com", None),
        ("https://api.example.com/x", "http://api.example.com", None),
        ("https://api.example.com:8443/x", "api.example.com", None),
        ("https://example.com/x", "*.example.com", None),
        ("https://evilexample.com/x", "*.example.com", None),
        ("https://api.example.com.evil.com/x", "api.example.com", None),
        ("https://a.internal/", "*.internal:8443", None),
        ("https://api-example.com/", "api.example.com", None),
        ("http://10.0.0.70/", "http://10.0.0.7", None),
    ],
)  # fmt: skip
def test_a_name_is_on_the_list_or_not(url: str, allow: str, found: str | None):
    assert match(url, allow) == found


def test_without_a_list_nothing_is_allowed():
    assert match("https://api.example.com/") is None


def test_the_closest_entry_counts():
    assert match("https://a.example.com/", "*", "*.example.com", "a.example.com") == "named"


@pytest.mark.parametrize(
    "entry",
    ["", "https://", "api.example.com/x", "user@host", "a b", "*.*.com", "a*.com", "host:", "host:123456", "ftp://h",
     "[::g]", "::1", "exämple.com", ".example.com", "https://api.example.com/"],
)  # fmt: skip
def test_an_entry_that_is_no_host_is_refused(entry: str):
    with pytest.raises(ConfigError, match=r"http\.allow"):
        Hosts([entry])


# -- addresses --------------------------------------------------------------------------------------
INSIDE = [
    "127.0.0.1", "127.8.9.1", "::1", "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254",
    "168.63.129.16", "100.100.100.200", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
    "::ffff:169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
@pytest.mark.parametrize("allow", ["api.example.com", "*.example.com", "*"])
def test_a_name_does_not_lead_into_the_machine_or_the_clouds_metadata(address: str, allow: str):
    assert not permits(address, "https://api.example.com/", allow)


PRIVATE = ["10.0.0.7", "192.168.1.1", "172.16.0.1", "100.64.0.1", "fc00::1", "64:ff9b::a00:7"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_network_is_reached_by_names_that_are_meant_but_not_by_everything(address: str):
    assert permits(address, "https://api.internal/", "api.internal")
    assert permits(address, "https://api.internal/", "*.internal")
    assert not permits(address, "https://api.internal/", "*")


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_the_internet_is_reached_by_any_entry(address: str):
    assert permits(address, "https://api.example.com/", "*")


def test_an_address_that_is_named_itself_is_reached():
    assert permits("169.254.169.254", "http://169.254.169.254/", "http://169.254.169.254")
    assert permits("169.254.169.254", "http://metadata.internal/", "http://metadata.internal", "http://169.254.169.254")
    assert permits("127.0.0.1", "http://shop.test:8080/", "http://shop.test:8080", "http://127.0.0.1:8080")


def test_an_address_that_is_named_for_one_port_is_not_reached_on_another():
    assert not permits("127.0.0.1", "https://api.example.com/", "api.example.com", "http://127.0.0.1:8080")


def test_localhost_is_reached_by_its_name_and_by_no_other():
    assert permits("127.0.0.1", "http://localhost:8080/", "http://localhost:8080")
    assert permits("::1", "http://localhost:8080/", "http://localhost:8080")
    assert not permits("127.0.0.1", "http://localhost:8080/", "http://*:8080")
    assert not permits("127.0.0.1", "http://a.localhost/", "http://a.localhost")
