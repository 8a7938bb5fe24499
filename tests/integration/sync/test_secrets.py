"""No secret and nobody's data is in a log, a representation or an error, whatever happens."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from werkzeug.test import TestResponse

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.logs import NAMES, OTHERS, redact, trace
from stripe_mongo_sync.sync.operator import operations
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.stripe.answers import Refusal, Reply
from tests.support.mongo import our_database
from tests.support.quick import timed
from tests.support.world import KEY, SECRET, TOKEN, World

PERSON = {  # nobody else is called so
    "username": "ada.lovelace@here.com",
    "email": "countess@elsewhere.example",
    "name": "Augusta Ada King",
    "phone": "+44 20 7946 0123",
    "address": {"line1": "12 St James's Square", "city": "Ockham Park"},
}
PERSONAL = ("ada.lovelace", "countess", "Augusta", "Ada King", "7946", "James's", "Ockham")
SECRETS = (KEY, SECRET, TOKEN, "the-token-of-the-operators", "_secret_", "v1=", "Bearer a")


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that is logged, as a handler prints it: by us at DEBUG, by others as the service lets them."""
    text, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(text)
    before = {name: logging.getLogger(name).level for name in ("", *NAMES, *OTHERS)}
    for name in before:
        level = logging.WARNING if name in OTHERS else logging.DEBUG if name else logging.INFO
        logging.getLogger(name).setLevel(level)
    root.addHandler(handler)
    yield text
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def shop(world: World) -> World:
    """A world with a token for operators."""
    world.settings["API_TOKENS"] = f"{TOKEN}, ops:operate:the-token-of-the-operators"
    world.start()
    return world


def clean(text: str, *, of: tuple[str, ...] = (*SECRETS, *PERSONAL)) -> None:
    for word in of:
        assert word not in text, f"{word} in {text[max(0, text.index(word) - 200) :][:400]}"


def post(world: World, path: str, body: dict[str, Any], **more: Any) -> TestResponse:
    return world.http.post(path, json=body, **more)


def paid(world: World, card: str) -> TestResponse:
    asks = {"amount": 500, "currency": "eur", "confirm": True, "payment_method": card, "receipt_email": PERSON["email"]}
    redirects = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    return post(world, "/payment-intents", asks | redirects)


@pytest.mark.fault("147")
def test_a_shop_at_work_logs_what_happened_and_to_nobody(shop: World, logged: io.StringIO) -> None:
    customer = post(shop, "/customers", PERSON)
    assert customer.status_code == 201
    shop.deliver()
    shop.http.patch(f"/customers/{PERSON['username']}", json={"name": "Augusta Ada King-Noel"})
    assert paid(shop, "pm_card_visa").status_code == 201
    post(shop, f"/customers/{PERSON['username']}/portal", {})
    shop.stripe.dashboard.create("customer", email="augusta@elsewhere.example", name="Augusta")
    shop.deliver()
    shop.advance(hours=1)
    shop.reconcile(full=True)
    shop.http.delete(f"/customers/{customer.json['id']}")
    shop.converge()

    for status in ("pending", "active", "deleted"):
        assert f"customer {customer.json['id']} → {status}" in logged.getvalue()
    clean(logged.getvalue())


@pytest.mark.fault("147")
def test_what_goes_wrong_at_stripe_is_logged_without_what_was_sent(shop: World, logged: io.StringIO) -> None:
    post(shop, "/customers", PERSON)
    refused = post(shop, "/customers", {**PERSON, "username": "two", "tax_exempt": "none", "invoice_prefix": "A" * 12})
    assert refused.status_code in (201, 422)
    for fault in ("decline", "cut_after", "500_after", "503_edge", "html_body", "rate_limit"):
        shop.stripe.fault(fault, method="POST", times=2)
        post(shop, "/customers", {**PERSON, "username": f"{fault}.ada.lovelace@here.com"})
        shop.stripe.clear_faults()
    assert paid(shop, "pm_card_chargeDeclined").status_code == 402
    shop.stripe.fault("cut_before", method="GET", times=None)
    shop.advance(hours=1)
    assert shop.reconcile().exit_code == 2
    shop.stripe.clear_faults()
    shop.stripe.restrict(KEY, {"customer": "all"})
    post(shop, "/customers", {**PERSON, "username": "three"})
    shop.stripe.revoke(KEY)
    post(shop, "/customers", {**PERSON, "username": "four"})

    assert "rak_customer" in logged.getvalue(), "what an operator needs to know is there"
    clean(logged.getvalue())


class Quoting(Exception):
    """An exception that quotes what it was given, as most do."""


@pytest.mark.fault("147")
def test_an_exception_that_nobody_foresaw_is_logged_without_what_it_says(
    shop: World, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        try:
            raise KeyError(f"{PERSON['name']} and {KEY}")
        except KeyError as error:
            raise Quoting(json.dumps(PERSON, ensure_ascii=False)) from error

    monkeypatch.setattr("stripe_mongo_sync.models.customer.Customer.with_derived", fail)
    monkeypatch.setattr("stripe_mongo_sync.sync.inbox.inbox.apply", fail)

    response = post(shop, "/customers", PERSON)
    shop.stripe.dashboard.create("customer", name="Augusta")
    assert shop.deliver() == ["received"]

    assert response.status_code == 500
    clean(response.get_data(as_text=True))
    assert logged.getvalue().count("tests.integration.sync.test_secrets.Quoting") == 2
    assert logged.getvalue().count("builtins.KeyError") == 2
    assert "in fail\n    raise Quoting(json.dumps(PERSON" in logged.getvalue(), "where it was is told"
    assert response.headers["X-Request-Id"] in logged.getvalue()
    clean(logged.getvalue().replace("PERSON['name']", ""))


@pytest.mark.fault("147")
def test_what_mongodb_says_is_logged_without_the_values(
    shop: World, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f'E11000 duplicate key error index: username_key_1 dup key: {{ username_key: "{PERSON["username"]}" }}'

    def fail(*_: Any, **__: Any) -> Any:
        raise OperationFailure(text, 8000, {"errmsg": text})

    monkeypatch.setattr("stripe_mongo_sync.models.base.document.SyncedDocument._insert", classmethod(fail))
    response = post(shop, "/customers", PERSON)

    assert response.status_code == 503
    clean(response.get_data(as_text=True))
    clean(logged.getvalue())


@pytest.mark.fault("147")
def test_a_start_that_fails_says_why_and_quotes_nobody(shop: World) -> None:
    database = our_database()
    names = [index for index in database.customers.index_information() if index.startswith("username_key")]
    for name in names:
        database.customers.drop_index(name)
    rows = [{"revision": 1, "is_current": True, "username_key": "augusta ada king"} for _ in range(2)]
    database.customers.insert_many(rows)
    try:
        with pytest.raises(sync.SyncError, match="username_key") as told:
            shop.start()
    finally:
        with MongoClient[Any](shop.database) as client:
            client.get_default_database().customers.delete_many({})
        shop.start()

    clean(str(told.value).lower(), of=tuple(word.lower() for word in PERSONAL))


def test_no_error_answer_tells_a_secret_or_of_somebody_else(shop: World) -> None:
    post(shop, "/customers", PERSON)
    event = {"id": "evt_1", "object": "event", "type": "customer.created", "created": 1, "data": {"object": PERSON}}
    answers = [
        post(shop, "/customers", {"username": PERSON["username"].upper()}),
        post(shop, "/customers", {"username": "x", "name": 7}),
        shop.http.get("/customers/nobody"),
        shop.http.get("/customers", headers={"Authorization": "Bearer a-guess-of-a-token"}),
        shop.http.get("/status"),
        shop.http.post("/customers", data=json.dumps(PERSON)[:-1], content_type="application/json"),
        shop.http.post("/webhooks/stripe", json=event, headers={"Stripe-Signature": f"t=1,v1={'0' * 64}"}),
        post(shop, "/products", {"name": "x", "default_price": PERSON["username"]}),
    ]
    shop.stripe.restrict(KEY, {"billing_portal.session": "all"})
    answers.append(post(shop, "/customers/ada.lovelace@here.com/portal", {}))

    for response in answers:
        assert response.status_code >= 400, response.data
        clean(response.get_data(as_text=True))


def test_no_representation_shows_a_secret_or_a_person(shop: World) -> None:
    post(shop, "/customers", PERSON)
    shop.deliver()
    customer, here = Customer.objects.get(), current()
    reply = Reply(customer.stripe, 1, 2, False, "req_1")
    refusal = Refusal(
        {"type": "card_error", "code": "x", "message": f"{PERSON['email']} is bad"}, False, False, declined_object=reply
    )
    evidence = Observation("webhook", "cus_1", customer.stripe, PERSON, 1, 2)
    whatever = [
        *(here, here.settings, here.gateway, here.settings.api_tokens, shop.app, shop.app.extensions["rate"]),
        *(customer, customer.request, customer.address, customer.operation, Event.objects.get(), Event.objects),
        *(reply, refusal, evidence, Call("/v1/customers", PERSON), sync.Notice("1", "x", None, "event", event=PERSON)),
    ]

    for one in whatever:
        for spell in (repr, str, "{}".format):
            clean(spell(one))


def test_operators_are_told_of_ids_and_never_of_people(shop: World, logged: io.StringIO) -> None:
    shop.stripe.fault("cut_after", method="POST", times=2)
    post(shop, "/customers", PERSON)
    shop.stripe.clear_faults()

    ((one,),) = operations.pages()
    clean(operations.line(one))
    headers = {"Authorization": "Bearer the-token-of-the-operators"}
    for path in ("/status", "/operations"):
        clean(shop.http.get(path, headers=headers).get_data(as_text=True))


# --- the filter itself ---


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("key sk_live_abc123, rk_test_X9 and whsec_Zz/", "key sk_live_…, rk_test_… and whsec_…/"),
        ("Authorization: Bearer abc.def-123 x", "Authorization: Bearer … x"),
        ("{'Authorization': 'Basic dXNlcjo='}", "{'Authorization': 'Basic …'}"),
        ("t=1700000000,v1=" + "0f" * 32 + ",v0=" + "a" * 64, "t=1700000000,v1=…,v0=…"),
        ("pi_3Abc_secret_Def9 and seti_1_secret_x", "pi_3Abc_secret_… and seti_1_secret_…"),
        ("mongodb+srv://ann:p%40ss@db.example/shop", "mongodb+srv://…@db.example/shop"),
        ("dup key: { name: \"Ada\" }, full error: {'keyValue': {'name': 'Ada'}}", "dup key: …"),
        ("no such customer: 'ada+1@here.co.uk'.", "no such customer: '…@…'."),
        ("/ops/search?q=ada%40here.com&next=/x?q=ada%2540here.com", "/ops/search?q=…@…&next=/x?q=…@…"),
        ("customer 66f0 pending → active (webhook evt_1)", "customer 66f0 pending → active (webhook evt_1)"),
        ("task_force_test_x desk_test_1", "task_force_test_x desk_test_1"),
    ],
)
def test_what_looks_like_a_secret_is_left_out(text: str, left: str) -> None:
    assert redact(text) == left


def test_a_traceback_tells_the_whole_story_but_what_was_said() -> None:
    try:
        try:
            raise KeyError("ada")
        except KeyError:
            int("augusta")
    except ValueError as error:
        told = trace(error)

    assert told.index("builtins.KeyError") < told.index("and then:") < told.index("builtins.ValueError")
    assert "'ada'" not in told.replace('KeyError("ada")', "")
    assert "invalid literal" not in told


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "a@" * 50_000, "sk_test_" * 12_500, "x_secret_" * 11_000, "v1=" * 33_000]
)
def test_a_long_line_takes_no_long_time(text: str) -> None:
    timed("a line", lambda: redact(text), 1.0)


def test_settings_keep_no_token() -> None:
    environment = {"STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET, "API_TOKENS": TOKEN}
    settings = Settings.from_environment(serve=True, environment=environment)

    assert TOKEN not in str([vars(token) for token in settings.api_tokens])
