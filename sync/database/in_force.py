"""The options with which MongoDB is read and written, whatever an address or a DNS record says, and their check."""

from collections.abc import Iterator
from typing import Any

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from pymongo import ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database

from stripe_mongo_sync.sync.database.decoding import AS_WRITTEN

TIMEOUT = 5000  # ms for a whole operation, its retries included; without it pymongo waits for ever
PULSE = 1000  # ms until a server that said it shuts down is asked again; by default 10 s, longer than the above

# They win over those of an address (`sync/process/mongodb_address.py` says which may stand there), save where
# MongoEngine makes options of its own of them; so what came of it is looked up.
OURS: dict[str, Any] = {
    "w": "majority",
    "read_preference": ReadPreference.PRIMARY,  # what decides is read where it is written
    "retryWrites": True,
    "retryReads": True,
    "timeoutMS": TIMEOUT,
    "serverSelectionTimeoutMS": TIMEOUT,
    "connectTimeoutMS": TIMEOUT,
    "socketTimeoutMS": 0,  # of an operation that may last, as the building of an index, it would make an end
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
            yield "written with w=majority and journaled: anything less lets two writers win the same revision"
        if each.read_preference != ReadPreference.PRIMARY:
            yield f"read from the primary, not {each.read_preference.name}: what decides is read where it is written"
        if each.read_concern.level not in (None, "local"):
            yield f"read as the primary has it, not with the concern {each.read_concern.level}"
        if each.codec_options != CODEC:
            yield "read with tz_aware=true, and with nothing else that changes how values are read"
    if not (database.client.options.retry_writes and database.client.options.retry_reads):
        yield "asked again, for reads and writes alike, when its primary changes"
    members = [*hello.get("hosts", ()), *hello.get("passives", ()), *hello.get("arbiters", ())]
    if database.client.topology_description.topology_type_name == "Single" and len(members) > 1:
        yield "reached as a set: directConnection=true reads from that one member, also when it is no primary"
