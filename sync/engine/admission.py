"""Admission: which events are any of our business, at every door (webhook, thin event, Stripe's list).

An event is not ours when it is of another account or the other mode, when nothing here keeps its object, when it is a
sample, or when it is a question: Stripe then waits for a decision, which is not ours to make.
"""

import re
from typing import Any

from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.event import object_id
from stripe_mongo_sync.models.mirrored import QUESTIONS, REASONS
from stripe_mongo_sync.models.state import STRIPE, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.errors import CannotLook

OTHERS = OTHER_ACCOUNT, OTHER_MODE = "of another account", "of the other mode"  # of these, no body is kept
SAMPLE = re.compile(r"(?:evt(?:_test)?|\w*)_0{14,}")  # what the Dashboard's "send test event" shows: evt_00000000000000


def asks(event: dict[str, Any]) -> bool:
    """Whether Stripe waits for our answer to this event: whatever it says would be taken for a decision."""
    return event["type"] in QUESTIONS


def sample(event: dict[str, Any]) -> bool:
    """Whether an event was made up by the Dashboard: the object that it shows does not exist."""
    return any(SAMPLE.fullmatch(id or "") for id in (event["id"], object_id(event)))


def why_not_ours(event: dict[str, Any], *, quick: bool) -> str | None:
    """Return why an event is not of this account and mode, or None. Raises CannotLook while it is not known who we are.

    `account` names the connected account of which it tells; `context` whose events they are, where an organization's
    endpoint is sent those of all its accounts: a path of accounts that ends with the one
    (docs.stripe.com/changelog/basil/2025-04-30/additional-context-organization-events). Of a connected account only its
    own `account` object is kept: it tells whether they may charge.
    """
    if event.get("object") != "event":
        return "neither a snapshot event nor a thin one"
    path = _accounts(event.get("context"))
    owners = {*path[-1:], *_accounts(event.get("account"))}
    if owners:
        known = {account(quick=quick)}
        if not owners <= known and not (_is_account(event) and owners == {object_id(event)} and known >= {*path[:-1]}):
            return OTHER_ACCOUNT
    if event.get("livemode") is not current().settings.livemode:
        return OTHER_MODE
    return None


def _accounts(told: Any) -> list[str]:
    """Return the accounts that a context names; the organization that they are of is none."""
    return [name for name in str(told or "").split("/") if name and not name.startswith("org_")]


def _is_account(event: dict[str, Any]) -> bool:
    remote = event.get("data", {}).get("object")
    return isinstance(remote, dict) and remote.get("object") == "account"


def account(*, quick: bool = False) -> str:
    """Return this database's Stripe account; one that knows none is bound to that of the key. Raises CannotLook."""
    known = State.read(STRIPE)
    if known is None:
        current().gateway.verify_account(quick=quick)
        known = State.read(STRIPE)
    if known is None:
        raise CannotLook("it is not known of which Stripe account this database is")
    return str(known["account"])


def why_not_mirrored(event: dict[str, Any]) -> str | None:
    """Return why nothing here keeps the object of an event, or None."""
    remote = event.get("data", {}).get("object")
    kind = str(remote.get("object")) if isinstance(remote, dict) else ""
    known = kinds().get(kind)
    if event["type"] in REASONS or asks(event) or known is None or not (known.resource.path or known.resource.mirrored):
        why = REASONS.get(event["type"]) or REASONS.get(kind)
        return "of a type that is not kept here" + (f": {why}" if why else "")
    if object_id(event) is None:
        return "about an object without an id"
    return None
