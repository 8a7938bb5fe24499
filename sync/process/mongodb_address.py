"""Reads and checks the address of MongoDB. No message quotes a part of a user or a password.

It is parsed as pymongo parses it, so that both see the same options, but without a request to the DNS.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote_plus

from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

EXAMPLE = "mongodb://host:27017/stripe_sync"
SRV = "mongodb+srv://"
SYSTEM = ("admin", "config", "local")  # MongoDB's own: excluded from some backups, and open to few users

DECIDES = "only the primary shows what was last written"
LOSES = "with less, an acknowledged write can be lost, or two writers can win the same revision"
REPEATS = "without retries, calls fail whenever the primary changes"
READS = "values must be read as they were written"

# Options that an address may not change, with the values that are accepted because they change nothing.
FIXED: dict[str, tuple[tuple[str, ...], str]] = {
    "w": (("majority",), LOSES),
    "journal": (("true",), LOSES),
    "fsync": (("false",), LOSES),
    "wTimeoutMS": (("0",), "each write has a time limit already"),
    "readPreference": (("primary",), DECIDES),
    "readPreferenceTags": ((), DECIDES),
    "maxStalenessSeconds": (("-1",), DECIDES),
    "readConcernLevel": (("local",), DECIDES),
    "retryWrites": (("true",), REPEATS),
    "retryReads": (("true",), REPEATS),
    "tz_aware": (("true",), READS),
    "uuidRepresentation": (("standard",), READS),
    "unicode_decode_error_handler": (("strict",), READS),
    "datetime_conversion": (("DATETIME",), READS),
}

# Options that are accepted and have no effect, because ours override them.
OVERRULED = {
    *("timeoutMS", "serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS", "heartbeatFrequencyMS"),
    "appName",
}

# Options that turn off the check of the server's certificate.
UNCHECKED = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")

# Options that only say how to reach MongoDB, and as which user. `directConnection` is checked once connected.
FREE = {
    *("authMechanism", "authMechanismProperties", "authSource", "compressors", "zlibCompressionLevel", "connect"),
    *("directConnection", "loadBalanced", "replicaSet", "localThresholdMS", "serverMonitoringMode"),
    *("maxConnecting", "maxIdleTimeMS", "maxPoolSize", "minPoolSize", "waitQueueMultiple", "waitQueueTimeoutMS"),
    *("maxAdaptiveRetries", "enableOverloadRetargeting", "srvServiceName", "srvMaxHosts", "srvAllowedHostsSuffix"),
    *("tls", "ssl", "tlsCAFile", "tlsCertificateKeyFile", "tlsCertificateKeyFilePassword", "tlsCRLFile"),
    "tlsDisableOCSPEndpointCheck",  # certificates are still checked
}
KNOWN = {name.lower(): name for name in (*FIXED, *OVERRULED, *UNCHECKED, *FREE)}

TEMPLATE = re.compile(r"<[^<>]*>|\$\{|\$\(|\{\{|%\(|^\$\w+(:|$)|:\$\w+$")
CREDENTIALS = "must have each of : / ? # [ ] @ % in its credentials percent-encoded"


class BadAddress(ValueError):
    """An address cannot be used. The message gives the reason, and quotes nothing that may be secret."""


@dataclass(frozen=True)
class Address:
    """The parts of an address. `options` keep their order, and have the names of pymongo's manual."""

    srv: bool
    user: bool
    hosts: tuple[str, ...]
    database: str
    options: tuple[tuple[str, str], ...] = field(repr=False)
    userinfo: str = field(default="", repr=False)

    def is_set(self, *names: str) -> bool:
        """Whether an option of one of these names is true."""
        return any(name in names and value == "true" for name, value in self.options)

    @property
    def encrypts(self) -> bool:
        """Whether the connection is encrypted."""
        if self.is_set("tls", "ssl"):
            return True
        return self.srv and not any(name in ("tls", "ssl") for name, _ in self.options)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """The options that turn off the check of the server's certificate."""
        return tuple(name for name in UNCHECKED if self.is_set(name))

    @property
    def password(self) -> str:
        """The decoded password, or "" if there is none."""
        return unquote_plus(self.userinfo.partition(":")[2])

    @property
    def secrets(self) -> set[str]:
        """The texts that no message may quote."""
        named = [
            value
            for name, value in self.options
            if name in ("tlsCertificateKeyFilePassword", "authMechanismProperties")
        ]
        written = [self.userinfo, *self.userinfo.split(":"), *named]
        return {form for each in written for form in (each, unquote_plus(each)) if form}


def read_address(text: str) -> Address:
    """Parse an address. Raises BadAddress, whose message begins with a verb."""
    if not text.isprintable() or " " in text:
        raise BadAddress("must not contain blanks or control characters")
    scheme = re.match(r"mongodb(\+srv)?://", text)
    if scheme is None:
        raise BadAddress(f"must begin with mongodb:// or {SRV}, such as {EXAMPLE}")
    place, _, query = text[scheme.end() :].partition("?")
    authority, _, path = place.partition("/")
    userinfo, at, hosts = authority.rpartition("@")
    if "@" in path or ("@" in query and not at) or "@" in userinfo or (at and not _is_escaped(userinfo)):
        raise BadAddress(CREDENTIALS)
    srv = scheme[1] is not None
    servers = tuple(_host(each, srv) for each in hosts.split(","))
    address = Address(srv, bool(at), servers, _database(path), _options(query), userinfo)
    if srv and len(address.hosts) > 1:
        raise BadAddress(f"must name only one host after {SRV}, because the DNS names the servers")
    if not _is_readable(authority, query):
        raise BadAddress("has options that contradict each other, or do not fit these servers")
    return address


def objections(text: str, *, live: bool) -> Iterator[str]:
    """Yield each reason why this address cannot be used, beginning with a verb; a live key has stricter rules."""
    try:
        address = read_address(text)
    except BadAddress as error:
        yield str(error)
        return
    if TEMPLATE.search(unquote_plus(address.userinfo)):
        yield "must have your user and password in place of the placeholders <…> or ${…}"
    for name, value in address.options:
        if name in FIXED and value not in FIXED[name][0]:
            good, why = FIXED[name]
            yield f"must not set {name}{f' to anything but {good[0]}' if good else ''}: {why}"
    if live and not all(map(is_local, address.hosts)):
        for name in address.unchecked:
            yield f"must not set {name} with a live key, because anyone could pose as MongoDB: set tlsCAFile instead"
        if address.srv and not address.encrypts:
            yield "must not set tls=false with a live key, because the traffic with MongoDB could be read on its way"


def is_local(host: str) -> bool:
    """Whether a host is this machine: its loopback interface, or a socket."""
    if host == "localhost" or host.endswith(".sock"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_escaped(userinfo: str) -> bool:
    user, _, password = userinfo.partition(":")
    return bool(user) and ":" not in password and not re.search(r"%(?![0-9A-Fa-f]{2})", userinfo)


def _host(entity: str, srv: bool) -> str:
    """Return the host of `host:port`."""
    found = re.fullmatch(r"(\[[^\[\]@]+\]|[^:\[\]@]+)(?::([0-9]{1,5}))?", entity)
    if not found or (found[2] and not 0 < int(found[2]) < 65536):
        raise BadAddress("must name servers as host, host:27017 or [::1]:27017 before the /, separated by commas")
    if srv and found[2]:
        raise BadAddress(f"must not name a port after {SRV}, because the DNS names it")
    return unquote_plus(found[1]).lower()


def _database(path: str) -> str:
    name = unquote_plus(path)
    if not name:
        raise BadAddress(f"must name a database after the servers: {EXAMPLE}")
    if not name.isprintable() or set(name) & set('/\\. "$*<>:|?'):
        raise BadAddress(
            "must name a database without / \\ . $ * < > : | ? and without quotes, blanks and control characters"
        )
    if len(name.encode()) > 63:
        raise BadAddress("must name a database with a name of at most 63 bytes")
    if name.lower() in SYSTEM:
        raise BadAddress(
            f"must not name {name.lower()}, a database of MongoDB's own: name yours, with authSource=admin if needed"
        )
    return name


def _options(query: str) -> tuple[tuple[str, str], ...]:
    """Return the options. Raises BadAddress if pymongo does not know an option or does not accept its value."""
    if "&" in query and ";" in query:
        raise BadAddress("must separate its options by &, and not by ;")
    options: list[tuple[str, str]] = []
    for written in re.split("[&;]", query) if query else ():
        if written.count("=") != 1:
            raise BadAddress("must end with options as name=value, joined by &")
        name, _, value = written.partition("=")
        if name.lower() not in KNOWN:
            quoted = "" if "@" in query or len(name) > 60 else f": {name}"  # it may be a part of a password
            raise BadAddress(f"has an unknown option{quoted}")
        name = KNOWN[name.lower()]
        if name in dict(options) and name != "readPreferenceTags":
            raise BadAddress(f"sets {name} twice")
        if not _is_readable("host", written):
            what = "to a file that cannot be read" if name.endswith("File") else "to a value that is not accepted"
            raise BadAddress(f"sets {name} {what}")
        options.append((name, unquote_plus(value)))
    return tuple(options)


def _is_readable(authority: str, query: str) -> bool:
    """Whether pymongo can parse an address with these servers and options; its database is checked elsewhere."""
    judged = {name.lower() for name in FIXED}  # `objections` checks their values: pymongo fails on them in many ways
    kept = [each for each in re.split("[&;]", query) if each.partition("=")[0].lower() not in judged]
    kept = [each for each in kept if not each.lower().startswith("srv")]
    try:
        parse_uri(f"mongodb://{authority}/database?{'&'.join(kept)}", warn=False)
    except (PyMongoError, ValueError, TypeError, LookupError, OSError):
        return False
    return True
