"""Explains an outage of MongoDB: what does not answer, where, and what to do, without a password or a driver's dump.

Of an error, only its type and code are read, and whether its message has one of the words in `CAUSES`.
"""

from collections.abc import Iterable

from pymongo.errors import ConfigurationError, ConnectionFailure, OperationFailure, PyMongoError

from stripe_mongo_sync.models.rows import database
from stripe_mongo_sync.sync.process.screen import word

AUTHENTICATION_FAILED, UNAUTHORIZED = 18, 13  # codes of MongoDB's
NAMELESS = ("the name of its host is not known here", "correct MONGODB_URI, or this machine's DNS")
HEADLESS = ("it has no primary", "wait until it has elected one; see `rs.status()` there")
CAUSES = (  # what a driver's message has in it; the reason; the advice
    ("Connection refused", "no server listens there", "start MongoDB, or correct MONGODB_URI"),
    ("Name or service not known", *NAMELESS),
    ("nodename nor servname", *NAMELESS),
    ("name resolution", *NAMELESS),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted", "name who signed it in MONGODB_URI: tlsCAFile=..."),
    ("SSL", "no TLS connection can be made", "set tls in MONGODB_URI as the server has it"),
    ("not primary", *HEADLESS),
    ("Primary()", *HEADLESS),
)
SILENT = ("it did not answer in time", "check that it runs, and that a firewall lets this machine through")


def outage(error: PyMongoError, address: str | None = None) -> str:
    """Return what to tell of an error of the driver's, of the MongoDB at an address, or of the one that is open."""
    what, reason, advice = _explained(error)
    return f"{what.format(_where(address))}: {reason}. To do: {advice}."


def _explained(error: PyMongoError) -> tuple[str, str, str]:
    if isinstance(error, ConnectionFailure) or error.timeout:
        text = str(error)
        found = next((rest for sign, *rest in CAUSES if sign in text), SILENT)
        return "MongoDB at {} does not answer", *found
    if isinstance(error, OperationFailure) and error.code == AUTHENTICATION_FAILED:
        advice = "correct MONGODB_URI, and its authSource"
        return "MongoDB at {} does not let us in", "the user or the password is wrong", advice
    if isinstance(error, OperationFailure) and error.code == UNAUTHORIZED:
        advice = "give the user of MONGODB_URI the role readWrite on its database"
        return "MongoDB at {} refuses this", "its user lacks a permission", advice
    if isinstance(error, OperationFailure):
        name = (error.details or {}).get("codeName") or error.code
        return "MongoDB at {} refuses this", f"it says {word(name)}", "see its log, and run the command again"
    if isinstance(error, ConfigurationError):
        return "MongoDB at {} cannot be used", "MONGODB_URI does not fit this server", "correct its options"
    return "MongoDB at {} cannot be used", f"the driver says {type(error).__name__}", "run the command again"


def _where(address: str | None) -> str:
    """Return the servers, without user, password and options."""
    if address is None:
        return _named(f"{host}:{port}" if port else host for host, port in database.servers())
    authority = address.partition("://")[2].partition("/")[0]
    return _named(authority.rpartition("@")[2].split(","))


def _named(servers: Iterable[str]) -> str:
    return ", ".join(map(word, servers)) or "an unknown address"
