"""How MongoDB is protected, as far as this process can tell: who reaches it, and with what."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from mongoengine.connection import get_db
from pymongo.errors import OperationFailure

from sync.findings import Finding, Level
from sync.settings import is_local, mongodb_parts


def protection(uri: str, *, live: bool) -> Iterator[Finding]:
    """Yield what a stranger could use."""
    client = get_db().client
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
    options = mongodb_parts(uri)[1]
    where = ", ".join(abroad)
    if urlsplit(uri).username is None and "authmechanism" not in options:
        told = f"MongoDB at {where} lets us in without a password, and so whoever reaches it"
        yield Finding(
            "mongodb", Level.PROBLEM, told, "enable authorization, and put a user of its own into MONGODB_URI"
        )
    srv = urlsplit(uri).scheme == "mongodb+srv"  # encrypts unless told otherwise
    if str(options.get("tls", options.get("ssl", srv))).lower() != "true":
        told = f"what goes to MongoDB at {where}, and comes from it, is not encrypted"
        yield Finding("mongodb", Level.WARNING, told, "add tls=true to MONGODB_URI")
