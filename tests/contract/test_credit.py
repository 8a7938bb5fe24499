"""Credit: credit notes, and the balance of a customer, as Stripe keeps them."""

from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator

Json = dict[str, Any]


@pytest.fixture
def customer(ask: Any) -> str:
    card = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    return str(ask("post", "customers", **card)["id"])


def bill(ask: Any, customer: str, amount: int = 2000) -> str:
    """Return an open invoice."""
    ask("post", "invoiceitems", customer=customer, amount=amount, currency="usd")
    invoice = ask("post", "invoices", customer=customer, pending_invoice_items_behavior="include")["id"]
    ask("post", f"invoices/{invoice}/finalize")
    return str(invoice)


@pytest.fixture
def paid(ask: Any, customer: str) -> str:
    invoice = bill(ask, customer)
    ask("post", f"invoices/{invoice}/pay")
    return invoice


def balance(ask: Any, customer: str) -> int:
    return int(ask("get", f"customers/{customer}")["balance"])


# --- credit notes ---


def test_what_was_paid_is_refunded_with_a_refund(ask: Any, paid: str) -> None:
    note = ask("post", "credit_notes", invoice=paid, amount=500, refund_amount=500)

    (refunded,) = note["refunds"]
    refund = ask("get", f"refunds/{refunded['refund']}")
    assert (refund["amount"], refunded["amount_refunded"]) == (500, 500)
    assert ask("get", f"charges/{refund['charge']}")["amount_refunded"] == 500
    assert (note["type"], note["pre_payment_amount"], note["post_payment_amount"]) == ("post_payment", 0, 500)
    invoice = ask("get", f"invoices/{paid}")
    assert (invoice["post_payment_credit_notes_amount"], invoice["amount_paid"]) == (500, 2000)


def test_what_was_paid_is_credited_to_the_balance(emulator: Emulator, ask: Any, customer: str, paid: str) -> None:
    note = ask("post", "credit_notes", invoice=paid, lines=[line(600)], credit_amount=600)

    (moved,) = ask("get", f"customers/{customer}/balance_transactions")["data"]
    assert note["customer_balance_transaction"] == moved["id"]
    told = {name: moved[name] for name in ("amount", "ending_balance", "type", "credit_note", "invoice", "currency")}
    assert told == {
        "amount": -600,
        "ending_balance": -600,
        "type": "credit_note",
        "credit_note": note["id"],
        "invoice": paid,
        "currency": "usd",
    }
    assert balance(ask, customer) == -600


def line(amount: int) -> Json:
    return {"type": "custom_line_item", "description": "it was late", "unit_amount": amount, "quantity": 1}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"refund_amount": 400},
        {"refund_amount": 400, "credit_amount": 200},
        {"out_of_band_amount": 501},
        {"credit_amount": 500, "out_of_band_amount": 500},
    ],
    ids=str,
)
def test_the_ways_back_must_add_up_to_what_was_paid(ask: Any, paid: str, given: Json) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="must equal the post payment amount"):
        ask("post", "credit_notes", invoice=paid, amount=500, **given)
    parts = {"refund_amount": 200, "credit_amount": 200, "out_of_band_amount": 100}
    assert ask("post", "credit_notes", invoice=paid, amount=500, **parts)["out_of_band_amount"] == 100


def test_no_more_is_credited_than_the_invoice_has_left(ask: Any, paid: str) -> None:
    ask("post", "credit_notes", invoice=paid, amount=1500, out_of_band_amount=1500)

    with pytest.raises(stripe.InvalidRequestError, match=r"greater than the amount left of the invoice \(500\)"):
        ask("post", "credit_notes", invoice=paid, amount=501, credit_amount=501)
    ask("post", "credit_notes", invoice=paid, amount=500, credit_amount=500)


def test_no_more_is_refunded_than_the_charge_has_left(ask: Any, paid: str) -> None:
    ask("post", "credit_notes", invoice=paid, amount=500, refund_amount=500)
    (charge,) = ask("get", "charges")["data"]
    ask("post", "refunds", charge=charge["id"], amount=1000)

    with pytest.raises(stripe.InvalidRequestError, match="unrefunded amount"):
        ask("post", "credit_notes", invoice=paid, amount=600, refund_amount=600)


def test_a_refund_that_exists_is_linked_once(ask: Any, paid: str) -> None:
    (charge,) = ask("get", "charges")["data"]
    refund = ask("post", "refunds", charge=charge["id"], amount=700)["id"]

    note = ask("post", "credit_notes", invoice=paid, amount=300, refunds=[{"refund": refund, "amount_refunded": 300}])

    assert [each["refund"] for each in note["refunds"]] == [refund]
    with pytest.raises(stripe.InvalidRequestError, match="Only 400 of this refund"):
        ask("post", "credit_notes", invoice=paid, amount=700, refunds=[{"refund": refund}])


def test_only_a_note_of_an_open_invoice_is_voided(ask: Any, customer: str, paid: str) -> None:
    note = ask("post", "credit_notes", invoice=paid, amount=500, credit_amount=500)["id"]
    with pytest.raises(stripe.InvalidRequestError, match="open"):
        ask("post", f"credit_notes/{note}/void")
    assert balance(ask, customer) == -500


# --- the balance of a customer ---


def test_a_transaction_moves_the_balance_and_the_customer_tells_it(emulator: Emulator, ask: Any, customer: str) -> None:
    made = ask("post", f"customers/{customer}/balance_transactions", amount=-900, currency="usd", description="sorry")

    assert (made["object"], made["type"], made["ending_balance"]) == (
        "customer_balance_transaction",
        "adjustment",
        -900,
    )
    event = emulator.events()[-1]
    assert (event["type"], event["data"]["previous_attributes"]) == (
        "customer.updated",
        {"balance": 0, "currency": None},
    )
    path = f"customers/{customer}/balance_transactions"
    assert ask("get", f"{path}/{made['id']}") == made == ask("get", path)["data"][0]
    assert ask("post", f"{path}/{made['id']}", description="very")["description"] == "very"
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        ask("get", f"customers/{ask('post', 'customers')['id']}/balance_transactions/{made['id']}")


def test_another_currency_has_a_balance_of_its_own(ask: Any, customer: str) -> None:
    path = f"customers/{customer}/balance_transactions"
    for currency in ("usd", "eur", "eur"):
        made = ask("post", path, amount=-100, currency=currency)

    assert (made["ending_balance"], balance(ask, customer)) == (-200, -100)


def test_a_balance_that_is_set_is_a_transaction(ask: Any) -> None:
    customer = ask("post", "customers", balance=-500)["id"]
    ask("post", f"customers/{customer}", balance=-200)

    told = ask("get", f"customers/{customer}/balance_transactions")["data"]

    assert [(each["type"], each["amount"], each["ending_balance"]) for each in told] == [
        ("adjustment", 300, -200),
        ("initial", -500, -500),
    ]


@pytest.mark.parametrize(
    ("before", "due", "after"), [(-500, 1500, 0), (-2500, 0, -500), (300, 2300, 0)], ids=["some", "all", "owed"]
)
def test_an_invoice_uses_the_balance_up(ask: Any, customer: str, before: int, due: int, after: int) -> None:
    ask("post", f"customers/{customer}/balance_transactions", amount=before, currency="usd")

    invoice = ask("get", f"invoices/{bill(ask, customer)}")

    assert (invoice["starting_balance"], invoice["ending_balance"]) == (before, after)
    assert (invoice["amount_due"], balance(ask, customer)) == (due, after)
    assert invoice["status"] == ("open" if due else "paid")
    newest = ask("get", f"customers/{customer}/balance_transactions")["data"][0]
    assert (newest["type"], newest["invoice"], newest["amount"]) == (
        "applied_to_invoice",
        invoice["id"],
        after - before,
    )
    if due:
        ask("post", f"invoices/{invoice['id']}/void")
        assert balance(ask, customer) == before
