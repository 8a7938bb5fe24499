"""An outage of MongoDB is told with what does not answer, where, and what to do; never with a secret or a dump."""

import socket

import pymongo
import pytest
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from stripe_mongo_sync.sync.database.outage import outage

ADDRESS = (
    "mongodb://shop:geheim@db1.example:27017,db2.example/shop?authSource=admin&tlsCertificateKeyFilePassword=geheim"
)
DUMP = ", Topology Description: <TopologyDescription id: 1, servers: [<ServerDescription ('x', 1) error=…>]>"

TOLD = {
    "no server listens there": ServerSelectionTimeoutError(f"db1.example:27017: [Errno 111] Connection refused{DUMP}"),
    "the name of its host is not known": ServerSelectionTimeoutError(f"[Errno -2] Name or service not known{DUMP}"),
    "its certificate is not trusted": AutoReconnect("SSL: CERTIFICATE_VERIFY_FAILED geheim"),
    "no TLS connection": AutoReconnect("SSL handshake failed: geheim"),
    "it has no primary": ServerSelectionTimeoutError(f'No replica set members match selector "Primary()"{DUMP}'),
    "it has no primary ": NotPrimaryError("not primary"),
    "it did not answer in time": NetworkTimeout("db1.example:27017: timed out"),
    "it did not answer in time ": ExecutionTimeout("operation exceeded time limit", 50),
    "it did not answer in time  ": ConnectionFailure("geheim"),
    "the user or the password is wrong": OperationFailure("Authentication failed for geheim", 18),
    "its user lacks a permission": OperationFailure("not authorized on shop: { find: 'geheim' }", 13),
    "it says BadValue": OperationFailure("geheim", 2, {"codeName": "BadValue"}),
    "it says 12345": OperationFailure("geheim", 12345),
    "MONGODB_URI does not fit this server": ConfigurationError("geheim"),
    "the driver says PyMongoError": PyMongoError("geheim"),
}


@pytest.mark.parametrize("why", TOLD)
def test_it_says_what_where_and_what_to_do_without_a_secret(why: str) -> None:
    told = outage(TOLD[why], ADDRESS)

    assert told.startswith("MongoDB at db1.example:27017, db2.example ")
    assert why.strip() in told
    assert "To do: " in told
    assert told.endswith(".")
    assert "geheim" not in told
    assert "Topology" not in told
    assert len(told) < 250


def test_the_drivers_own_errors_are_understood() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for place, why in ((f"127.0.0.1:{port}", "did not answer in time"), ("nowhere.invalid", "is not known here")):
            assert why in _of(place)
    assert "no server listens there" in _of(f"127.0.0.1:{port}")


def _of(place: str) -> str:
    address = f"mongodb://shop:geheim@{place}/shop"
    client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(
        address, serverSelectionTimeoutMS=200, connectTimeoutMS=200
    )
    with client, pytest.raises(PyMongoError) as raised:
        client.admin.command("ping")
    return outage(raised.value, address)
