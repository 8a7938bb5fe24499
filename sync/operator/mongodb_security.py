"""What a stranger could use, as far as this process can tell: a way to MongoDB, a secret, a file with secrets."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pymongo.errors import OperationFailure

from stripe_mongo_sync.models.rows.database import database
from stripe_mongo_sync.sync.operator.findings import Finding, Level
from stripe_mongo_sync.sync.process.environment import files, open_to
from stripe_mongo_sync.sync.process.mongodb_address import is_local, read_address
from stripe_mongo_sync.sync.process.strength import weakness
from stripe_mongo_sync.sync.settings import Settings


def protection(uri: str, *, live: bool) -> Iterator[Finding]:
    """Yield what a stranger could use."""
    client = database().client
    yield from exposure(uri, [host for host, _ in client.nodes])
    try:
        parameters = client.admin.command("getParameter", 1, enableTestCommands=1)
    except OperationFailure:
        return  # who has so few rights does well
    if parameters.get("enableTestCommands") and live:
        told = "MongoDB has test commands enabled: whoever reaches it can make it fail"
        yield Finding("mongodb", Level.PROBLEM, told, "start it without --setParameter enableTestCommands=1")


def exposure(uri: str, hosts: Iterable[str]) -> Iterator[Finding]:
    """Judge an address by which these servers are reached: on another machine, it needs a password and TLS."""
    abroad = sorted(host for host in hosts if not is_local(host))
    if not abroad:
        return
    address = read_address(uri)
    where = ", ".join(abroad)
    if not address.user and not any(name == "authMechanism" for name, _ in address.options):
        told = f"MongoDB at {where} lets us in without a password, and so whoever reaches it"
        yield Finding(
            "mongodb", Level.PROBLEM, told, "enable authorization, and put a user of its own into MONGODB_URI"
        )
    if address.password and (why := weakness(address.password, 8)):
        told = f"the password of MONGODB_URI {why}, and whoever reaches MongoDB at {where} may try it"
        yield Finding("mongodb", Level.WARNING, told, "draw one: openssl rand -hex 16")
    if not address.encrypts:
        told = f"what goes to MongoDB at {where}, and comes from it, is not encrypted"
        yield Finding("mongodb", Level.WARNING, told, "add tls=true to MONGODB_URI")
    if address.unchecked:
        told = f"with {', '.join(address.unchecked)}, MongoDB at {where} is whoever answers, and may change all"
        yield Finding("mongodb", Level.PROBLEM, told, "take it out of MONGODB_URI, and name your CA there: tlsCAFile=…")


def secrecy(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with secrets, with where they lie, and with settings that nobody reads."""
    fine = True
    for warning in settings.warnings:
        yield Finding("settings", Level.WARNING, warning, "correct it, and restart every process")
        fine = False
    for name, path in files():
        if whom := open_to(path):
            told = f"{name} holds secrets, and is open to {whom}"
            yield Finding("settings", Level.WARNING, told, "chmod 600, and its owner the user of the service")
            fine = False
    if settings.ca_bundle and not Path(settings.ca_bundle).exists():
        told = "REQUESTS_CA_BUNDLE or SSL_CERT_FILE names no file or folder that is there: no certificate is trusted"
        yield Finding("settings", Level.PROBLEM, told, "correct it, and restart every process")
        fine = False
    if fine:
        yield Finding("settings", Level.OK, "secrets are secrets, and no file with them is open to others")
