"""Checks MongoDB: its indexes, its room, because a server that cannot write ends itself, and what a stranger could use.

That is MongoDB itself, secrets, and files with secrets, as far as this process can see.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pymongo.errors import OperationFailure

from stripe_mongo_sync.models.rows.database import database
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.database.indexes import COMMAND, gaps
from stripe_mongo_sync.sync.operator.findings import Finding, Level
from stripe_mongo_sync.sync.process.environment import files, open_to
from stripe_mongo_sync.sync.process.mongodb_address import is_local, read_address
from stripe_mongo_sync.sync.process.strength import weakness
from stripe_mongo_sync.sync.settings import Settings

INDEXES = "indexes"  # the name of the check
LITTLE = 1 << 30  # bytes; MongoDB makes journal files of 100 MB in advance, and an index is built on the disk


def bytes_left() -> int | None:
    """Return how many bytes are left on that disk; None if this user may not know."""
    try:
        told = database().command("dbStats")
    except OperationFailure:
        return None  # a user with few rights
    disks = [each for each in (told.get("raw") or {"": told}).values() if each.get("fsTotalSize")]
    return min((int(each["fsTotalSize"] - each["fsUsedSize"]) for each in disks), default=None)


def room() -> Iterator[Finding]:
    """Yield whether a disk of MongoDB is nearly full: the primary's, or the fullest among those of the shards."""
    if (left := bytes_left()) is not None and left < LITTLE:
        message = f"the disk of MongoDB has only {left / 1e6:,.0f} MB left: without room, MongoDB ends itself"
        yield Finding("mongodb", Level.PROBLEM, message, "make room on it, or give MongoDB a larger disk")


def indexes() -> Iterator[Finding]:
    """Yield which indexes are missing or wrong, and which are not ours and act."""
    found = list(gaps(current().settings))
    if missing := [name for gap in found for name in (*gap.unique, *gap.others)]:
        told = f"these indexes are missing or wrong: {', '.join(missing)}"
        yield Finding(INDEXES, Level.PROBLEM, told, f"{COMMAND} builds them")
    if foreign := [name for gap in found for name in gap.foreign]:
        names = ", ".join(foreign)
        told = f"these indexes are not ours, and reject documents that we accept, or delete them: {names}"
        yield Finding(INDEXES, Level.PROBLEM, told, "drop them")


def protection(uri: str, *, live: bool) -> Iterator[Finding]:
    """Yield how a stranger could reach or change MongoDB."""
    client = database().client
    yield from exposure(uri, [host for host, _ in client.nodes])
    try:
        parameters = client.admin.command("getParameter", 1, enableTestCommands=1)
    except OperationFailure:
        return  # a user who may not read parameters has few rights, as it should be
    if parameters.get("enableTestCommands") and live:
        told = "MongoDB has test commands enabled, so anyone who can connect can make it fail"
        yield Finding("mongodb", Level.PROBLEM, told, "start it without --setParameter enableTestCommands=1")


def exposure(uri: str, hosts: Iterable[str]) -> Iterator[Finding]:
    """Judge the address of these servers: on another machine, they need a password and TLS."""
    abroad = sorted(host for host in hosts if not is_local(host))
    if not abroad:
        return
    address = read_address(uri)
    where = ", ".join(abroad)
    if not address.user and not any(name == "authMechanism" for name, _ in address.options):
        told = f"MongoDB at {where} lets us in without a password, and so everyone who can connect"
        yield Finding("mongodb", Level.PROBLEM, told, "enable authorization, and name a user of its own in MONGODB_URI")
    if address.password and (why := weakness(address.password, 8)):
        told = f"the password of MONGODB_URI {why}, and anyone who can connect to MongoDB at {where} may guess it"
        yield Finding("mongodb", Level.WARNING, told, "generate one: openssl rand -hex 16")
    if not address.encrypts:
        told = f"the traffic with MongoDB at {where} is not encrypted"
        yield Finding("mongodb", Level.WARNING, told, "add tls=true to MONGODB_URI")
    if address.unchecked:
        told = f"with {', '.join(address.unchecked)}, anyone can pose as MongoDB at {where}, and read and change all"
        yield Finding("mongodb", Level.PROBLEM, told, "remove it from MONGODB_URI, and name your CA there: tlsCAFile=…")


def secrecy(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with secrets, with the files that contain them, and with settings that are never read."""
    fine = True
    for warning in settings.warnings:
        yield Finding("settings", Level.WARNING, warning, "correct it, and restart every process")
        fine = False
    for name, path in files():
        if whom := open_to(path):
            told = f"{name} contains secrets, and is open to {whom}"
            yield Finding("settings", Level.WARNING, told, "chmod 600 it, and make the service's user its owner")
            fine = False
    if settings.ca_bundle and not Path(settings.ca_bundle).exists():
        told = "REQUESTS_CA_BUNDLE or SSL_CERT_FILE names a file that does not exist, so no certificate is trusted"
        yield Finding("settings", Level.PROBLEM, told, "correct it, and restart every process")
        fine = False
    if fine:
        yield Finding("settings", Level.OK, "the secrets are strong, and no file with secrets is open to others")
