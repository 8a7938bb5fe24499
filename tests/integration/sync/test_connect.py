"""One process, one connection: who asks for the same has it, and who asks for another is told so."""

import os
import threading
from dataclasses import fields, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
import requests
import stripe

from stripe_mongo_sync import sync
from stripe_mongo_sync.api import create_app
from stripe_mongo_sync.api.auth import guard
from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.models import Customer
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
    "hooks": ("os",),
    "collection_prefix": "other_",
    "ca_bundle": "/etc/ca.pem",
}


def test_a_connection_with_any_other_setting_is_refused_and_the_first_goes_on(world: World) -> None:
    there = current()
    for name in (field.name for field in fields(Settings) if field.compare):
        asked = replace(world.read, **{name: OTHER[name]})

        with pytest.raises(sync.AlreadyConnected, match=f"another {name}: call sync.disconnect") as refused:
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
    guard(
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
