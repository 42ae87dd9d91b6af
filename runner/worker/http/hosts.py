"""Which hosts `http.request` may reach: the allow-list of sagarun.yaml, and the addresses behind the names on it.

A name is allowed or not before anything is looked up. Each address that it leads to is then looked at again, and the
connection is made to that very address: a name that leads into this machine or its cloud's metadata, by mistake or by
somebody's design, leads nowhere. No I/O here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from runner.errors import ConfigError

Match = Literal["named", "below", "any"]  # by its own name, by *.name, by *
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL = 8_192
_PORTS = {"http": 80, "https": 443}
_RULE = re.compile(r"(?:(https?)://)?(\*|(?:\*\.)?[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(\d{1,5}|\*))?")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")
# What clouds answer on to whoever asks from inside, beside the link-local addresses: Azure, Alibaba, AWS over IPv6.
_METADATA = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "100.100.100.200", "fd00:ec2::254")))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes. `path` has the query with it, and everything in it is ASCII."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_address(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        """For people. Without the query: tokens and names of people stand there."""
        return f"{self.scheme}://{self.authority}{self.path.partition('?')[0]}"


def read_url(url: str) -> Target:
    """Raises ValueError, which says why without repeating the URL.

    `#` is sent like any other letter: a step.ref has one in it in a loop, and what follows would be lost silently.
    """
    if len(url) > MAX_URL:
        raise ValueError(f"it has {len(url):,} characters; at most {MAX_URL:,} are taken")
    # urlsplit drops tabs and line feeds, and takes what servers and browsers understand differently.
    if re.search(r"[\x00-\x1f\x7f\\]", url):
        raise ValueError("it has a control character or a backslash in it")
    try:
        parts = urlsplit(url.replace("#", "%23"))
        port = parts.port
    except ValueError as error:
        raise ValueError(f"it is no URL: {error}") from None
    if parts.scheme not in _PORTS:
        raise ValueError("it has to begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("it has a user or password in it; use a header with a secret")
    host = (parts.hostname or "").removesuffix(".")
    if not _HOST.fullmatch(host):
        raise ValueError("its host is no name in ASCII and no address")
    if ":" in host:
        try:
            host = str(ipaddress.IPv6Address(host))
        except ValueError:
            raise ValueError("its host is no name in ASCII and no address") from None
    if port == 0:
        raise ValueError("its port is 0")
    if any(segment in (".", "..") for segment in unquote(parts.path).split("/")):
        raise ValueError("its path has . or .. in it, which servers resolve each in their own way")
    query = f"?{_ascii(parts.query)}" if parts.query else ""
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], (_ascii(parts.path) or "/") + query)


def _ascii(text: str) -> str:
    """What is percent-encoded stays as it is."""
    return quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text), safe="/?:@!$&'()*+,;=~-._%[]")


@dataclass(frozen=True, slots=True)
class _Rule:
    scheme: str
    host: str  # a name, *.name, or *
    port: int | None  # None: any

    def match(self, target: Target) -> Match | None:
        if self.scheme != target.scheme or self.port not in (None, target.port):
            return None
        if self.host == target.host:
            return "named"
        if self.host.startswith("*.") and target.host.endswith(self.host[1:]):
            return "below"
        return "any" if self.host == "*" else None


class Hosts:
    """The allow-list. Entries are `api.example.com`, `*.internal:8443`, `http://localhost:8080`: see sagarun.yaml."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Raises ConfigError for an entry that is none."""
        self._rules = tuple(_read_rule(entry) for entry in entries)

    def match(self, target: Target) -> Match | None:
        """By which kind of entry it is allowed, the closest first; None: it is not."""
        found = {rule.match(target) for rule in self._rules}
        kinds: tuple[Match, ...] = ("named", "below", "any")
        return next((kind for kind in kinds if kind in found), None)

    def permits(self, address: str, target: Target, match: Match) -> bool:
        """Whether a connection may be made to this address, which the target's name leads to."""
        found = ipaddress.ip_address(address.partition("%")[0])
        inner = _inner(found)
        listed = {each.host for each in self._rules if each.port in (None, target.port)}
        if listed & {str(found), str(inner)}:
            return True  # it is on the list itself
        if inner.is_loopback:
            return match == "named" and target.host == "localhost"
        if inner.is_link_local or inner in _METADATA or inner.is_unspecified or inner.is_multicast:
            return False
        return inner.is_global or match != "any"


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _read_rule(entry: str) -> _Rule:
    found = _RULE.fullmatch(entry.lower())
    if found is None:
        raise ConfigError(
            f"http.allow: {entry!r} is no host: write a name, *.name, * or an address, with http:// in front where the "
            'connection is not encrypted, and a port behind it where it is another one, as in "*.internal:8443"'
        )
    scheme, host, port = found[1] or "https", found[2].strip("[]"), found[3]
    if ":" in host:
        try:
            host = str(ipaddress.ip_address(host))
        except ValueError:
            raise ConfigError(f"http.allow: {entry!r} is no address") from None
    if port == "*":
        return _Rule(scheme, host, None)
    return _Rule(scheme, host, int(port) if port else _PORTS[scheme])
