"""The types that the service only mirrors, called through stripe-python at the emulator."""

import json
from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator

SEPA = {"type": "sepa_debit", "billing_details": {"name": "A", "email": "a@example.com"}}
AGREED = {"customer_acceptance": {"type": "offline", "accepted_at": 1_590_590_577}}


def types(emulator: Emulator) -> list[str]:
    return [event["type"] for event in emulator.events()]


def earn(ask: Any, amount: int) -> None:
    how = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}, "confirm": True}
    ask("post", "payment_intents", amount=amount, currency="usd", payment_method="pm_card_bypassPending", **how)


def debit(ask: Any, iban: str) -> str:
    method = ask("post", "payment_methods", **SEPA, sepa_debit={"iban": iban})["id"]
    how = {"allowed_payment_method_types": ["sepa_debit"], "mandate_data": AGREED, "confirm": True}
    made = ask("post", "payment_intents", amount=500, currency="eur", payment_method=method, **how)
    assert made["status"] == "processing"
    return str(made["id"])


@pytest.mark.parametrize("path", ["payouts", "transfers"])
def test_no_more_is_paid_out_than_is_available(path: str, emulator: Emulator, ask: Any) -> None:
    earn(ask, 900)
    to = {"destination": ask("post", "accounts")["id"]} if path == "transfers" else {}

    with pytest.raises(stripe.InvalidRequestError) as caught:
        ask("post", path, amount=901, currency="usd", **to)
    assert caught.value.code == "balance_insufficient"
    ask("post", path, amount=900, currency="usd", **to)
    assert ask("get", "balance")["available"][0]["amount"] == 0


def test_an_automatic_payout_names_each_transaction_once_and_is_their_sum(emulator: Emulator, ask: Any) -> None:
    earn(ask, 1000)
    earn(ask, 2000)
    ask("post", "refunds", charge=ask("get", "charges")["data"][0]["id"], amount=300)
    first = emulator.pay_out("usd")
    earn(ask, 500)
    second = emulator.pay_out("usd")

    def paid(payout: Any) -> list[tuple[str, int, int]]:
        listed = ask("get", "balance_transactions", payout=payout["id"])["data"]
        assert sum(each["net"] for each in listed) == 0, "the payout itself is one of them"
        return [(each["type"], each["amount"], each["fee"]) for each in listed]

    assert paid(first) == [
        ("payout", -first["amount"], 0),
        ("refund", -300, 0),
        ("charge", 2000, 88),
        ("charge", 1000, 59),
    ]
    assert paid(second) == [("payout", -second["amount"], 0), ("charge", 500, 44)]
    assert types(emulator)[-2:] == ["payout.created", "payout.reconciliation_completed"]
    with pytest.raises(ValueError, match="nothing to pay out in usd"):
        emulator.pay_out("usd")


def test_what_a_payout_of_ones_own_pays_out_nobody_knows(emulator: Emulator, ask: Any) -> None:
    earn(ask, 900)
    payout = ask("post", "payouts", amount=500, currency="usd")["id"]

    with pytest.raises(stripe.InvalidRequestError, match="automatic payouts, not manual"):
        ask("get", "balance_transactions", payout=payout)
    assert [each["type"] for each in ask("get", "balance_transactions")["data"]] == ["payout", "charge"]


def test_payouts_are_listed_by_when_they_arrive(emulator: Emulator, ask: Any) -> None:
    earn(ask, 900)
    first = ask("post", "payouts", amount=100, currency="usd")
    emulator.clock.advance(86_400)
    second = ask("post", "payouts", amount=100, currency="usd")

    def listed(**asked: Any) -> list[str]:
        return [each["id"] for each in ask("get", "payouts", arrival_date=asked.pop("at", asked))["data"]]

    assert listed(gte=first["arrival_date"]) == [second["id"], first["id"]]
    assert listed(gt=first["arrival_date"]) == [second["id"]]
    assert listed(at=first["arrival_date"]) == [first["id"]]


def test_a_payout_arrives_when_its_time_has_come_and_cannot_be_canceled_then(emulator: Emulator, ask: Any) -> None:
    earn(ask, 900)
    payout = ask("post", "payouts", amount=500, currency="usd")["id"]
    emulator.clock.advance(3 * 86_400)

    assert ask("get", f"payouts/{payout}")["status"] == "paid"
    with pytest.raises(stripe.InvalidRequestError, match="cannot cancel this payout"):
        ask("post", f"payouts/{payout}/cancel")
    assert types(emulator)[-1] == "payout.paid"


def test_what_a_transfer_takes_back_is_never_more_than_it_gave(ask: Any) -> None:
    earn(ask, 900)
    account = ask("post", "accounts")["id"]
    transfer = ask("post", "transfers", amount=500, currency="usd", destination=account)["id"]
    ask("post", f"transfers/{transfer}/reversals", amount=400)

    with pytest.raises(stripe.InvalidRequestError):
        ask("post", f"transfers/{transfer}/reversals", amount=101)
    ask("post", f"transfers/{transfer}/reversals")
    assert ask("get", f"transfers/{transfer}")["reversed"] is True


@pytest.mark.parametrize(
    ("iban", "status", "told"),
    [
        ("AT611904300234573201", "succeeded", "payment_intent.succeeded"),
        ("AT861904300235473202", "requires_payment_method", "payment_intent.payment_failed"),
    ],
)
def test_a_bank_answers_later(iban: str, status: str, told: str, emulator: Emulator, ask: Any) -> None:
    intent = debit(ask, iban)

    assert ask("get", f"payment_intents/{intent}")["status"] == status
    assert types(emulator)[-1] == told
    assert "charge.pending" in types(emulator)


def test_a_debit_needs_a_mandate(ask: Any) -> None:
    method = ask("post", "payment_methods", **SEPA, sepa_debit={"iban": "AT611904300234573201"})["id"]
    how = {"allowed_payment_method_types": ["sepa_debit"], "confirm": True}

    with pytest.raises(stripe.InvalidRequestError) as caught:
        ask("post", "payment_intents", amount=500, currency="eur", payment_method=method, **how)
    assert caught.value.param == "mandate_data"


def test_a_card_of_a_customer_is_a_payment_method_with_the_same_id(emulator: Emulator, ask: Any) -> None:
    customer = ask("post", "customers", source="tok_visa")
    card = customer["default_source"]

    assert ask("get", f"payment_methods/{card}")["card"]["last4"] == "4242"
    assert ask("get", f"customers/{customer['id']}/sources/{card}")["object"] == "card"
    assert types(emulator) == ["customer.source.created", "customer.created"]
    with pytest.raises(stripe.CardError):
        ask("post", f"customers/{customer['id']}/sources", source="tok_chargeDeclined")
    with pytest.raises(stripe.InvalidRequestError, match="No such token: 'tok_horse'"):
        ask("post", f"customers/{customer['id']}/sources", source="tok_horse")


def test_a_plan_is_a_price_with_the_same_id_and_goes_with_it(emulator: Emulator, ask: Any) -> None:
    plan = ask("post", "plans", currency="usd", interval="month", amount=2000, product={"name": "News"})["id"]

    assert ask("get", f"prices/{plan}")["recurring"]["interval"] == "month"
    ask("delete", f"plans/{plan}")
    assert types(emulator)[-2:] == ["plan.deleted", "price.deleted"]
    with pytest.raises(stripe.InvalidRequestError):
        ask("get", f"prices/{plan}")


def test_a_credit_note_takes_off_what_is_owed_until_it_is_voided(ask: Any) -> None:
    customer = ask("post", "customers")["id"]
    ask("post", "invoiceitems", customer=customer, amount=2000, currency="usd")
    invoice = ask("post", "invoices", customer=customer, pending_invoice_items_behavior="include")["id"]
    ask("post", f"invoices/{invoice}/finalize")

    note = ask("post", "credit_notes", invoice=invoice, amount=500)["id"]
    assert ask("get", f"invoices/{invoice}")["amount_due"] == 1500
    with pytest.raises(stripe.InvalidRequestError):
        ask("post", "credit_notes", invoice=invoice, amount=1501)
    ask("post", f"credit_notes/{note}/void")
    assert ask("get", f"invoices/{invoice}")["amount_due"] == 2000
    ask("post", "credit_notes", invoice=invoice, amount=2000)
    assert ask("get", f"invoices/{invoice}")["status"] == "paid"


def test_a_schedule_turns_its_subscription_over_and_ends(emulator: Emulator, ask: Any) -> None:
    customer = ask("post", "customers", source="tok_visa")["id"]
    product = ask("post", "products", name="News")["id"]
    prices = [
        ask("post", "prices", currency="usd", unit_amount=n, recurring={"interval": "month"}, product=product)["id"]
        for n in (500, 700)
    ]
    phases = [{"items": [{"price": price}], "duration": {"interval": "month"}} for price in prices]
    end = {"end_behavior": "cancel", "start_date": "now"}
    schedule = ask("post", "subscription_schedules", customer=customer, phases=phases, **end)

    emulator.clock.advance(32 * 86_400)
    subscription = ask("get", f"subscriptions/{schedule['subscription']}")
    assert subscription["items"]["data"][0]["price"]["id"] == prices[1]
    emulator.clock.advance(31 * 86_400)
    assert ask("get", f"subscription_schedules/{schedule['id']}")["status"] == "completed"
    assert ask("get", f"subscriptions/{schedule['subscription']}")["status"] == "canceled"
    assert "subscription_schedule.expiring" in types(emulator)


def test_what_happens_in_a_connected_account_is_told_to_endpoints_for_connect_alone(
    emulator: Emulator, ask: Any
) -> None:
    emulator.endpoint("https://example.com/own")
    ask("post", "webhook_endpoints", url="https://example.com/theirs", enabled_events=["*"], connect=True)
    ask("post", "customers")
    account = ask("post", "accounts")["id"]
    ask("post", f"accounts/{account}", metadata={"a": "b"})
    ask("delete", f"accounts/{account}")

    assert types(emulator) == ["customer.created"]
    told = [(each.url.rpartition("/")[2], json.loads(each.body)) for each in emulator.webhooks.take()]
    assert [(url, event["type"], event.get("account")) for url, event in told] == [
        ("own", "customer.created", None),
        ("theirs", "account.updated", account),
        ("theirs", "account.application.deauthorized", account),
    ]
