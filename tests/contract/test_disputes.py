"""Disputes, called through stripe-python: chargebacks, reversals and inquiries."""

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator, Problem
from tests.contract.test_payments import pay

Client = stripe.StripeClient


def told(emulator: Emulator) -> list[str]:
    """Return the events of disputes."""
    return [event["type"].removeprefix("charge.dispute.") for event in emulator.events() if "dispute" in event["type"]]


def moved(client: Client) -> list[int]:
    (found,) = client.v1.disputes.list().data
    return [each.amount for each in found.balance_transactions]


def test_a_dispute_takes_the_money_and_no_refund_is_possible(emulator: Emulator, client: Client) -> None:
    paid = pay(client, "pm_card_createDispute")
    (found,) = client.v1.disputes.list({"payment_intent": paid.id}).data

    assert (found.status, found.amount, found.charge, found.reason) == (
        "needs_response",
        1000,
        paid.latest_charge,
        "fraudulent",
    )
    assert (told(emulator), moved(client)) == (["created", "funds_withdrawn"], [-1000])
    assert client.v1.charges.retrieve(paid.latest_charge).disputed
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": paid.id})
    assert refused.value.code == "charge_disputed"


@pytest.mark.parametrize(
    ("evidence", "status", "more", "money"),
    [
        ("winning_evidence", "won", ["updated", "closed", "funds_reinstated"], [-1000, 1000]),
        ("losing_evidence", "lost", ["updated", "closed"], [-1000]),
    ],
)
def test_what_is_written_in_a_sandbox_decides(
    emulator: Emulator, client: Client, evidence: str, status: str, more: list[str], money: list[int]
) -> None:
    pay(client, "pm_card_createDispute")
    (found,) = client.v1.disputes.list().data

    sent = client.v1.disputes.update(found.id, {"evidence": {"uncategorized_text": evidence}, "submit": True})

    assert sent.status == "under_review"
    assert client.v1.disputes.retrieve(found.id).status == status
    assert (told(emulator), moved(client)) == (["created", "funds_withdrawn", *more], money)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.disputes.close(found.id)


def test_who_gives_in_loses(emulator: Emulator, client: Client) -> None:
    pay(client, "pm_card_createDispute")

    assert client.v1.disputes.close(client.v1.disputes.list().data[0].id).status == "lost"
    assert told(emulator)[-1] == "closed"


def test_an_inquiry_takes_nothing_until_it_is_a_dispute(emulator: Emulator, client: Client) -> None:
    paid = pay(client, "pm_card_createDisputeInquiry")
    (found,) = client.v1.disputes.list().data
    assert (found.status, told(emulator), moved(client)) == ("warning_needs_response", ["created"], [])
    assert client.v1.refunds.create({"payment_intent": paid.id, "amount": 100}).status == "succeeded"

    emulator.decide(found.id, "needs_response")

    assert (told(emulator), moved(client)) == (["created", "updated", "funds_withdrawn"], [-1000])


def test_a_bank_may_dispute_a_part_and_only_what_was_paid(emulator: Emulator, client: Client) -> None:
    paid = pay(client)
    held = pay(client, capture_method="manual")

    assert emulator.dispute(paid.id, amount=300, reason="duplicate")["amount"] == 300
    with pytest.raises((ValueError, Problem)):
        emulator.dispute(held.id)
