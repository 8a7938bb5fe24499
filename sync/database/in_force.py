"""The options with which MongoDB is read and written, whatever the address or a DNS record sets, and their check."""

from collections.abc import Iterator
from typing import Any

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from pymongo import ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database

from stripe_mongo_sync.sync.database.decoding import AS_WRITTEN

TIMEOUT = 5000  # ms for a whole operation with its retries; without a limit pymongo would wait without end
PULSE = 1000  # ms between two checks of a server; the default of 10 s is longer than TIMEOUT

# They override those of the address (`sync/process/mongodb_address.py` says which are allowed there). MongoEngine may
# change some, so `deviations` checks the result.
OURS: dict[str, Any] = {
    "w": "majority",
    "read_preference": ReadPreference.PRIMARY,  # only the primary shows what was last written
    "retryWrites": True,
    "retryReads": True,
    "timeoutMS": TIMEOUT,
    "serverSelectionTimeoutMS": TIMEOUT,
    "connectTimeoutMS": TIMEOUT,
    "socketTimeoutMS": 0,  # a limit would end long operations, such as building an index
    "heartbeatFrequencyMS": PULSE,
    "tz_aware": True,
    "uuidRepresentation": "standard",
    "type_registry": AS_WRITTEN,
    "appname": "stripe-mongo-sync",
}


CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, uuid_representation=UuidRepresentation.STANDARD, type_registry=AS_WRITTEN
)


def in_force(collection: Collection[Any]) -> str:
    """Return the options in force, as a text for an operator."""
    concern = collection.write_concern.document
    journal = "" if concern.get("j") is None else f", j={str(concern['j']).lower()}"
    return f"writes with w={concern.get('w')}{journal}, reads from {collection.read_preference.name}"


def deviations(database: Database[Any], collection: Collection[Any], hello: dict[str, Any]) -> list[str]:
    """Return the wrong options of the client, the database, and one of MongoEngine's collections."""
    return list(dict.fromkeys(_deviations(database, collection, hello)))


def _deviations(database: Database[Any], collection: Collection[Any], hello: dict[str, Any]) -> Iterator[str]:
    for each in (database.client, database, collection):
        concern = each.write_concern.document
        if concern.get("w") != "majority" or concern.get("j") is False or concern.get("wtimeout"):
            yield "written with w=majority and journaled: with less, two writers can win the same revision"
        if each.read_preference != ReadPreference.PRIMARY:
            yield f"read from the primary, not {each.read_preference.name}, which may lag behind it"
        if each.read_concern.level not in (None, "local"):
            yield f"read with the read concern local, not {each.read_concern.level}"
        if each.codec_options != CODEC:
            yield "read with tz_aware=true, and without other options that change how values are read"
    if not (database.client.options.retry_writes and database.client.options.retry_reads):
        yield "used with retryWrites=true and retryReads=true, because its primary may change"
    members = [*hello.get("hosts", ()), *hello.get("passives", ()), *hello.get("arbiters", ())]
    if database.client.topology_description.topology_type_name == "Single" and len(members) > 1:
        yield "reached as a replica set: directConnection=true reads from one member, even if it is no primary"
