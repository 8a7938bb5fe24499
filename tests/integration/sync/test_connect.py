"""One process, one connection: who asks for the same has it, and who asks for another is told so."""

import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mongoengine
import pytest
import requests
import stripe
from bson.errors import InvalidBSON
from mongoengine.errors import InvalidDocumentError
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    InvalidOperation,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from stripe_mongo_sync import sync
from stripe_mongo_sync.api import create_app
from stripe_mongo_sync.api.auth import configure_auth
from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.models import Customer
from stripe_mongo_sync.models.rows.database import OURS
from stripe_mongo_sync.sync import connection
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.stripe.gateway import Gateway
from stripe_mongo_sync.sync.tokens import Scope, Token
from tests.support.fuse import Fuse
from tests.support.world import World

OTHER: dict[str, Any] = {
    "stripe_secret_key": "sk_test_other",
    "webhook_secrets": ("whsec_other",),
    "api_tokens": (),
    "api_rate": 1,
    "stripe_api_base": "http://127.0.0.1:1",
    "mongodb_uri": "mongodb://127.0.0.1:1/other",
    "adopt": False,
    "revalidate": frozenset({"customer"}),
    "retention": timedelta(days=99),
    "access_grace": timedelta(days=1),
    "access_while_paused": False,
    "hooks": ("os",),
    "collection_prefix": "other_",
    "ca_bundle": "/etc/ca.pem",
}


def test_a_connection_with_any_other_setting_is_refused_and_the_first_goes_on(world: World) -> None:
    there = current()
    for name in (field.name for field in fields(Settings) if field.compare):
        asked = replace(world.read, **{name: OTHER[name]})

        with pytest.raises(
            sync.AlreadyConnected, match=f"another {name}: call stripe_mongo_sync.disconnect"
        ) as refused:
            sync.connect(asked)

        assert not [part for part in ("sk_test", "whsec_", "127.0.0.1") if part in str(refused.value)]
        assert current() is there
        assert sync.create_customer(f"{name}@here.com").status == "active"


def test_the_same_once_more_is_the_same_connection(world: World) -> None:
    there = current()

    same = replace(world.read, warnings=("told otherwise",))
    assert there is sync.connect() is sync.connect(world.read) is sync.connect(same, http_client=there.http_client)
    create_app(world.read)
    assert current() is there


def test_another_stripe_or_another_listener_is_another_connection(world: World) -> None:
    with pytest.raises(sync.AlreadyConnected, match="http_client"):
        sync.connect(world.read, http_client=Emulator().transport())
    with pytest.raises(sync.AlreadyConnected, match="listeners"):
        sync.connect(listeners=(Fuse(),))


def test_after_a_disconnect_any_other_will_do(world: World) -> None:
    sync.disconnect()
    other = replace(world.read, api_rate=9, retention=timedelta(days=99))

    assert sync.connect(other, http_client=world.stripe.transport()).settings is other


def test_of_two_that_connect_at_once_with_other_settings_one_is_refused(world: World) -> None:
    sync.disconnect()
    ended: list[object] = []
    barrier = threading.Barrier(2)

    def connect(rate: int) -> None:
        barrier.wait()
        try:
            ended.append(sync.connect(replace(world.read, api_rate=rate), http_client=world.stripe.transport()))
        except sync.AlreadyConnected as error:
            ended.append(error)

    threads = [threading.Thread(target=connect, args=(rate,)) for rate in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(type(each).__name__ for each in ended) == ["AlreadyConnected", "Connection"]


def test_a_set_of_one_member_may_be_named_directly(database: str) -> None:
    shop = World(f"{database}&directConnection=true")
    try:
        assert sync.create_customer("user@here.com").status == "active"
    finally:
        shop.stop()


# --- the door ---


@pytest.fixture(scope="module")
def nothing() -> list[bytes]:
    """What an empty, a lost or a trivial token may come to."""
    return [b"", b" ", b"\n", b"Bearer", b"password", b"test", b"x" * 15]


def test_nothing_is_nobodys_token_whatever_the_settings(world: World, nothing: list[bytes]) -> None:
    """Also where settings were made that nobody read, and so nobody refused."""
    app = create_app(world.read)
    configure_auth(
        app,
        replace(
            world.read,
            api_tokens=tuple(Token(str(n), frozenset(Scope), sha256(each).digest()) for n, each in enumerate(nothing)),
        ),
    )
    client = app.test_client()
    headers = [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "bearer\t",
        "BEARER ",
        "Basic ",
        "Basic Og==",
        " Bearer",
        "Bearer Bearer",
    ]
    headers += [f"Bearer {each.decode()}" for each in nothing if each.isascii() and b"\n" not in each]
    closed = {
        rule.endpoint: rule
        for rule in app.url_map.iter_rules()
        if rule.rule in ("/customers", "/status", "/operations", "/orders")
    }

    for rule in closed.values():
        for header in [*headers, None]:
            for method in rule.methods & {"GET", "POST"}:
                answer = client.open(
                    rule.rule,
                    method=method,
                    json={"username": "ann"} if method == "POST" else None,
                    headers={"Authorization": header} if header is not None else {},
                )
                assert answer.status_code == 401, (rule.rule, header)
    assert Customer.objects.count() == 0


# --- Stripe's certificate ---


@pytest.fixture
def unchecking(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment, and a stripe-python, that somebody told not to look at certificates."""
    monkeypatch.setattr(stripe, "verify_ssl_certs", False)
    for name, value in {"PYTHONHTTPSVERIFY": "0", "CURL_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": ""}.items():
        monkeypatch.setenv(name, value)


def test_the_certificate_of_stripe_is_checked_whatever_the_environment_says(
    unchecking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def send(self: requests.Session, request: Any, **kwargs: Any) -> Any:
        asked.append(kwargs["verify"])
        raise requests.ConnectionError("not sent")

    monkeypatch.setattr(requests.Session, "send", send)
    gateway = Gateway(Settings("sk_test_x"))
    for client in (gateway._client, gateway._quick):
        with pytest.raises(stripe.APIConnectionError):
            client.raw_request("get", "/v1/account")

    assert len(asked) == 2
    assert all(verify is True or os.path.exists(str(verify)) for verify in asked)


# --- what goes wrong when it is asked for ---

Broken = Callable[[Path], dict[str, Any]]


def address(text: str) -> Broken:
    return lambda place: {"mongodb_uri": text}


def certificates(place: Path) -> dict[str, Any]:
    (place / "ca.pem").write_text("none")
    return {"mongodb_uri": f"mongodb://host/shop?tls=true&tlsCAFile={place / 'ca.pem'}"}


def hooks(source: str) -> Broken:
    def write(place: Path) -> dict[str, Any]:
        (place / "hooks_of_a_host.py").write_text(source)
        return {"hooks": ("hooks_of_a_host",)}

    return write


BROKEN: dict[str, Broken] = {
    "no text": address(""),
    "no address": address("localhost"),
    "no database": address("mongodb://host"),
    "half an address": address("mongodb://[::1/shop"),
    "an option of nobody": address("mongodb://host/shop?nobody=1"),
    "a certificate that is not there": address("mongodb://host/shop?tlsCAFile=/nowhere"),
    "a certificate that is none": certificates,
    "a mechanism that lacks a user": address("mongodb://host/shop?authMechanism=SCRAM-SHA-256"),
    "two hosts directly": address("mongodb://a,b/shop?directConnection=true"),
    "options that do not go together": address("mongodb://host/shop?minPoolSize=5&maxPoolSize=2"),
    "a name that no DNS knows": address("mongodb+srv://nowhere.invalid/shop"),
    "a prefix that is none": lambda place: {"collection_prefix": "$"},
    "hooks that are not there": lambda place: {"hooks": ("no_such_module_at_all",)},
    "hooks with a slip": hooks("def"),
    "hooks that raise": hooks("raise OSError('the disk')"),
    "hooks that end the process": hooks("import sys; sys.exit('no')"),
    "hooks that ask for nothing": hooks("from stripe_mongo_sync import sync; sync.on('nothing.ever')(print)"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_whatever_is_wrong_with_settings_is_an_error_of_ours_and_nothing_stays_open(
    what: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hooks_of_a_host", raising=False)
    sync.disconnect()

    with pytest.raises(sync.SyncError) as raised:
        sync.connect(replace(world.read, **BROKEN[what](tmp_path)))

    assert str(raised.value)
    assert_nothing_is_open()
    world.start()  # as if nothing had happened


def test_who_calls_after_a_failed_attempt_is_told_why_it_failed(world: World) -> None:
    sync.disconnect()
    with pytest.raises(sync.NotConnected, match=r"^Call stripe_mongo_sync\.connect\(\) before anything else\.$"):
        sync.create("customer", username="user@here.com")

    away = "mongodb://127.0.0.1:1/shop"
    with pytest.raises(sync.Unavailable, match=r"MongoDB at 127\.0\.0\.1:1 does not answer"):
        sync.connect(replace(world.read, mongodb_uri=away))

    with pytest.raises(sync.NotConnected, match=r"connecting failed: MongoDB at 127\.0\.0\.1:1 does not"):
        sync.create("customer", username="user@here.com")
    world.start()
    assert current()


def assert_nothing_is_open() -> None:
    assert OURS not in mongoengine.connection._connection_settings
    with pytest.raises(sync.NotConnected):
        current()


RAISED: dict[str, Exception] = {
    "MongoDB refuses": OperationFailure("not authorized on shop", 13),
    "it does not let us in": OperationFailure("Authentication failed.", 18),
    "it is away": ServerSelectionTimeoutError("no primary"),
    "it is slow": NetworkTimeout("timed out"),
    "the driver was closed": InvalidOperation("Cannot use MongoClient after close"),
    "the driver's settings": ConfigurationError("bad"),
    "what it says cannot be read": InvalidBSON("bad"),
    "MongoEngine": mongoengine.ConnectionFailure("no"),
    "MongoEngine's documents": InvalidDocumentError("no"),
    "the machine": OSError(24, "Too many open files"),
    "a name": socket.gaierror(-2, "Name or service not known"),
    "a certificate": ssl.SSLError("bad"),
    "Python": RuntimeError("can't start new thread"),
    "memory": MemoryError(),
    "stripe-python": stripe.AuthenticationError("no"),
}
STEPS: list[tuple[Any, str]] = [
    (mongoengine, "connect"),
    (Database, "command"),
    (Database, "list_collections"),
    (Collection, "find"),
]


def test_a_mongodb_that_is_too_old_is_refused_by_its_version(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this one were: what is demanded is more than it speaks."""
    sync.disconnect()
    monkeypatch.setattr(connection, "WIRE_OF_6_0", 1_000)

    with pytest.raises(sync.SyncError, match=r"^MongoDB 6.0 or newer is needed; this is \d+\.\d+\.\d+\.$"):
        sync.connect(world.read)
    assert_nothing_is_open()


@pytest.mark.parametrize("what", RAISED)
def test_whatever_a_driver_raises_at_any_step_is_an_error_of_ours_and_nothing_stays_open(
    what: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner, name in STEPS:
        sync.disconnect()
        failing = Mock(side_effect=RAISED[what])
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, failing)
            with pytest.raises(sync.SyncError) as raised:
                sync.connect(world.read, http_client=world.stripe.transport())

        assert failing.called, name
        assert isinstance(raised.value, sync.Unavailable) == isinstance(RAISED[what], PyMongoError), name
        assert_nothing_is_open()
    world.start()
