"""Disputes: the buyer's bank takes the money of a charge back or inquires, and later decides."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Resource, blank, same
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Fields, Flag, Hash, Metadata, Ref, Text
from stripe_mongo_sync.emulator.protocol.wire import Json

RESPONSE_TIME = 9 * 86_400  # seconds that a seller has for the evidence
NAMES = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal "
    "customer_communication customer_email_address customer_name customer_purchase_ip customer_signature "
    "duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt "
    "refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation "
    "shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number "
    "uncategorized_file uncategorized_text"
)
SHORT = (  # of up to 5,000 characters; all others have up to 20,000
    "billing_address customer_email_address customer_name customer_purchase_ip duplicate_charge_id service_date "
    "shipping_address shipping_carrier shipping_date shipping_tracking_number"
)
FILES = (
    "cancellation_policy customer_communication customer_signature duplicate_charge_documentation receipt "
    "refund_policy service_documentation shipping_documentation uncategorized_file"
)
EVIDENCE: Fields = {name: Text(longest=5000 if name in SHORT.split() else 20_000) for name in NAMES.split()} | {
    name: Ref(kind="file") for name in FILES.split()
}
UNDECIDED = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")
# In a sandbox, the text of the evidence decides (docs.stripe.com/testing#disputes).
VERDICTS = {"winning_evidence": "won", "losing_evidence": "lost", "escalate_inquiry_evidence": "needs_response"}


def dispute(
    ctx: Effects, charge: str, amount: int | None = None, reason: str = "fraudulent", inquiry: bool = False
) -> Json:
    """Dispute a charge or a part of it, and withdraw the money unless it is an inquiry. Return the dispute."""
    paid = copy.deepcopy(ctx.need("charge", charge))
    if paid["status"] != "succeeded" or not paid["captured"]:
        raise ValueError(f"{charge} cannot be disputed: it is not succeeded and captured")
    paid["disputed"] = True
    ctx.keep("charge", paid)  # without an event of the charge: the dispute has its own
    made = ctx.make(
        "dispute",
        amount=paid["amount"] if amount is None else amount,
        charge=charge,
        currency=paid["currency"],
        is_charge_refundable=inquiry,
        payment_intent=paid["payment_intent"],
        payment_method_details=_seen(paid["payment_method_details"], inquiry),
        reason=reason,
        status="warning_needs_response" if inquiry else "needs_response",
    )
    made["evidence_details"]["due_by"] = ctx.second + RESPONSE_TIME
    ctx.keep("dispute", made)
    ctx.announce("charge.dispute.created", made)
    if not inquiry:
        _move(ctx, made, "funds_withdrawn", -made["amount"])
    return made


def _seen(details: Json, inquiry: bool) -> Json:
    brand = details["card"]["brand"]
    kind = "inquiry" if inquiry else "chargeback"
    return {"type": "card", "card": {"brand": brand, "case_type": kind, "network": brand, "network_reason_code": "10"}}


def _move(ctx: Effects, object: Json, event: str, amount: int) -> None:
    """Withdraw or reinstate money, with a balance transaction and an event."""
    old = copy.deepcopy(object)
    fee = 1500 if amount < 0 else 0
    object["balance_transactions"].append(
        {
            "id": "txn_" + ctx.draw(24, "base62"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": ctx.second,
            "balance_type": "payments",
            "created": ctx.second,
            "currency": object["currency"],
            "description": f"Chargeback {'withdrawal' if amount < 0 else 'reversal'} for {object['charge']}",
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [],
            "net": amount - fee,
            "reporting_category": "dispute" if amount < 0 else "dispute_reversal",
            "source": object["id"],
            "status": "pending",
            "type": "adjustment",
        }
    )
    ctx.keep("dispute", object)
    ctx.announce(f"charge.dispute.{event}", object, old)


def decide(ctx: Effects, object: Json, status: str) -> Json:
    """Set the bank's decision: won, lost, or a dispute after an inquiry."""
    old = copy.deepcopy(object)
    object |= {"status": status, "is_charge_refundable": status in ("won", "warning_closed")}
    ctx.keep("dispute", object)
    ctx.announce(f"charge.dispute.{'updated' if status == 'needs_response' else 'closed'}", object, old)
    if status == "needs_response":
        _move(ctx, object, "funds_withdrawn", -object["amount"])
    if status == "won" and object["balance_transactions"]:
        _move(ctx, object, "funds_reinstated", object["amount"])
    return object


def refundable(ctx: Effects, charge: str) -> None:
    """Refuse a refund of a charge whose money the bank has withdrawn."""
    if any(each["charge"] == charge and not each["is_charge_refundable"] for each in ctx.realm.all("dispute")):
        message = f"Charge {charge} has been charged back; cannot issue a refund."
        raise Problem(400, message, code="charge_disputed")


def _check_state(ctx: Effects, params: Json, object: Json | None) -> None:
    if object is not None and "evidence" in params and object["status"] not in UNDECIDED:
        raise errors.invalid(f"This dispute is already closed: its status is {object['status']}.", "evidence")


def _finish(ctx: Effects, params: Json, object: Json) -> None:
    given, details = bool(params.get("evidence")), object["evidence_details"]
    details["has_evidence"] |= given
    if details["has_evidence"] and params.get("submit", given):
        details |= {"submission_count": 1, "submission_method": "manual"}
        object["status"] = object["status"].replace("needs_response", "under_review")
        ctx.schedule(object, ctx.second)


def _on_due(ctx: Effects, object: Json) -> None:
    """Decide by the text of the evidence, as a sandbox does immediately."""
    verdict = VERDICTS.get(str(object["evidence"]["uncategorized_text"]))
    if verdict and object["status"] in UNDECIDED:
        inquiry = object["status"].startswith("warning_")
        decide(ctx, object, "warning_closed" if inquiry and verdict != "needs_response" else verdict)


def _close(ctx: Effects, object: Json, params: Json) -> Json:
    """Close a dispute as lost, for the seller."""
    if object["status"] not in UNDECIDED:
        raise Problem(400, f"This dispute is already closed: its status is {object['status']}.")
    return decide(ctx, object, "warning_closed" if object["status"].startswith("warning_") else "lost")


DISPUTE = Resource(
    kind="dispute",
    path="disputes",
    prefix="du_",
    update={
        "evidence": Hash(fields=EVIDENCE, merge=True),
        "metadata": Metadata(),
        "submit": Flag(hidden=True),
    },
    defaults=blank("charge payment_intent payment_method_details")
    | {
        "amount": 0,
        "balance_transactions": [],
        "currency": "usd",
        "enhanced_eligibility_types": [],
        "evidence": {**blank(NAMES), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": None,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "metadata": {},
        "reason": "fraudulent",
        "status": "needs_response",
    },
    filters={"charge": same("charge"), "payment_intent": same("payment_intent")},
    expands={"charge": "charge", "payment_intent": "payment_intent"},
    events=("updated",),
    event_name="charge.dispute",
    check_state=_check_state,
    finish=_finish,
    on_due=_on_due,
    actions={"close": Action(_close)},
)
