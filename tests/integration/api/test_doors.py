"""People's doors: what may be given, what is named by what, and what is told when Stripe does not answer."""

import io
import logging
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, PaymentMethod, SyncedDocument, kinds
from stripe_mongo_sync.sync.errors import CannotReadStripe
from stripe_mongo_sync.sync.logs import NAMES, Redaction, log_to_stderr
from tests.support import samples
from tests.support.answers import problem, untouched
from tests.support.world import World

# --- an answer that did not come ---


@pytest.mark.parametrize("fault", ["timeout_before", "cut_before", "503_edge", "html_body"])
def test_what_stripe_did_not_answer_is_no_failure_of_mongodb(world: World, fault: str) -> None:
    user = samples.payer("user")
    world.stripe.fault(fault, path="/v1/billing_portal/sessions", times=None)

    response = world.http.post(f"/customers/{user.username}/portal", json={})

    problem(response, 504, "cannot-look")
    assert response.headers["Retry-After"]
    with pytest.raises(CannotReadStripe):
        sync.open_portal(user)


# --- names with slashes ---


def test_a_username_with_slashes_has_actions_and_a_portal(world: World) -> None:
    for name in ("team/user", "a/b/c", "team/portal", "portal", "x/payment_method", "/", "team//user"):
        customer = sync.create_customer(name)
        method = samples.create("payment_method")
        ends_as_an_action = name in ("team/portal", "x/payment_method")  # it is reached by its id
        reached = world.http.get(f"/customers/{customer.id if ends_as_an_action else name}")
        assert reached.json["id"] == str(customer.id)

        paid = world.http.post(f"/customers/{name}/payment_method", json={"payment_method": str(method.id)})
        opened = world.http.post(f"/customers/{name}/portal", json={})

        assert (paid.status_code, opened.status_code) == (200, 201), (paid.json, opened.json)
        assert paid.json["id"] == str(customer.id)


def test_an_action_is_the_last_part_of_a_path(world: World) -> None:
    sync.create_customer("team")

    assert world.http.post("/customers/team/portal", json={}).status_code == 201
    problem(world.http.post("/customers/team/portal/portal", json={}), 404, "not-found")
    problem(world.http.post("/customers/team/nothing"), 405, "method-not-allowed")


# --- values that JSON does not know ---


ODD = [date(2026, 1, 1), Decimal("1"), b"x", {1}, {"a": date(2026, 1, 1)}, [b"x"], {1: "a"}, complex(1)]


def doors(customer: SyncedDocument, price: SyncedDocument, odd: Any) -> Iterator[Callable[[], object]]:
    """Yield a call for each place that takes a value."""
    user = str(customer.username)
    item = {"price": str(price.id), "quantity": 1}
    yield from (
        lambda: sync.create_customer("x@here.com", name=odd),
        lambda: sync.create_customer(odd),
        lambda: sync.create_customer("x@here.com", idempotency_key=odd),
        lambda: sync.create(Customer, {"username": "x", "address": {"city": odd}}),
        lambda: sync.create(PaymentMethod, {"type": odd}),
        lambda: sync.update(customer, {"name": odd}),
        lambda: sync.act(customer, "payment_method", {"payment_method": odd}),
        lambda: sync.set_payment_method(user, odd),
        lambda: sync.set_payment_method(odd, "pm_card_visa"),
        lambda: sync.open_portal(customer, odd),
        lambda: sync.create_order(odd, [item], "payment_intent"),
        lambda: sync.create_order(user, odd, "payment_intent"),
        lambda: sync.create_order(user, [{**item, "quantity": odd}], "payment_intent"),
        lambda: sync.create_order(user, [item], odd),
        lambda: sync.create_order(user, [item], "payment_intent", payment_method=odd),
    )


def test_what_json_does_not_know_is_invalid_at_every_door_of_python(world: World) -> None:
    customer, price = samples.payer("user"), samples.create("price")
    with untouched(world):
        for odd in ODD:
            for call in doors(customer, price, odd):
                with pytest.raises(sync.Invalid):
                    call()


def test_an_id_that_is_no_text_is_told_how_to_be_one(world: World) -> None:
    product = samples.create("product")
    with pytest.raises(sync.Invalid, match=r"is an ObjectId: give the id as a text, str\(id\)"):
        sync.create(kinds()["price"], {**samples.body("price", "a"), "product": product.id})


@pytest.mark.parametrize(
    "key", ["", " ", "  ", "key-\ud800", "k" * 256, "a\tb", "a\nb", "\0", "a\u200bb", 7], ids=ascii
)
def test_a_key_that_is_none_is_an_error_at_every_door(world: World, key: Any) -> None:
    with untouched(world):
        for call in (
            lambda: sync.create_customer("x@here.com", idempotency_key=key),
            lambda: sync.create_order("x@here.com", [], "payment_intent", idempotency_key=key),
            lambda: sync.create(Customer, {"username": "x@here.com"}, idempotency_key=key),
        ):
            with pytest.raises(sync.Invalid) as told:
                call()
            assert list(told.value.errors) == ["idempotency_key"]
        if isinstance(key, str) and key.isascii() and not {"\n", "\0"}.intersection(key):
            response = world.http.post("/customers", json={"username": "x"}, headers={"Idempotency-Key": key})
            assert list(problem(response, 422, "invalid")["errors"]) == ["Idempotency-Key"]


def test_a_body_without_end_is_invalid(world: World) -> None:
    endless: dict[str, Any] = {}
    endless["city"] = endless
    with pytest.raises(sync.Invalid, match="too deep"):
        sync.create_customer("x@here.com", address=endless)


# --- one line for one record ---


LINES = ["a\nERROR sync: forged", "a\r\nb", "a\x0bb", "a\x85b", "a\u2028b", "\x1b[2Ja"]


@pytest.mark.parametrize("text", LINES, ids=ascii)
@pytest.mark.parametrize("name", [*NAMES, "", "gunicorn.error", "gunicorn.access", "elsewhere"])
def test_nobody_writes_a_line_into_the_log(name: str, text: str) -> None:
    written = io.StringIO()
    logger, handler = logging.getLogger(name), logging.StreamHandler(written)
    logger.addHandler(handler)
    usual, logger.propagate = logger.propagate, False
    try:
        log_to_stderr()
        if name == "elsewhere":  # everything else is read by the handlers of the root
            handler.addFilter(Redaction())
        logger.error("GET %s: no %s", f"/customers/{text}", text)
    finally:
        logger.propagate = usual
        logger.removeHandler(handler)

    assert written.getvalue().count("\n") == 1
    assert len(written.getvalue().splitlines()) == 1
    assert "\x1b" not in written.getvalue()
