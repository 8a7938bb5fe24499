"""Admission: decides which events concern this database, whether they come by webhook or from Stripe's list.

An event is not admitted if it is of another account or mode, if no type here mirrors its object, if it is a sample of
the Dashboard, or if it is a question: Stripe then waits for a decision that the application must make.
"""

import re
from typing import Any

from stripe_mongo_sync.models import synced_kind
from stripe_mongo_sync.models.event_body import object_id
from stripe_mongo_sync.models.mirrored import QUESTIONS, REASONS
from stripe_mongo_sync.models.state import STRIPE, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.errors import CannotReadStripe

OTHERS = OTHER_ACCOUNT, OTHER_MODE = "of another account", "of the other mode"  # of such events, no body is stored
SAMPLE = re.compile(r"(?:evt(?:_test)?|\w*)_0{14,}")  # as in the Dashboard's "send test event": evt_00000000000000


def asks(event: dict[str, Any]) -> bool:
    """Whether this event is a question: Stripe would take whatever we answer for a decision."""
    return event["type"] in QUESTIONS


def sample(event: dict[str, Any]) -> bool:
    """Whether an event is a sample of the Dashboard: its object does not exist."""
    return any(SAMPLE.fullmatch(id or "") for id in (event["id"], object_id(event)))


def why_not_ours(event: dict[str, Any], *, quick: bool) -> str | None:
    """Return why an event is not of this account and mode, or None. Raises CannotReadStripe if our account is unknown.

    `account` names the connected account that the event is about. `context` names the account that an event at an
    organization's endpoint belongs to, as a path of accounts that ends with it
    (docs.stripe.com/changelog/basil/2025-04-30/additional-context-organization-events). Of a connected account only its
    own `account` object is mirrored, because it shows whether the account may charge.
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
    """Return the accounts that a context names, without the organization."""
    return [name for name in str(told or "").split("/") if name and not name.startswith("org_")]


def _is_account(event: dict[str, Any]) -> bool:
    remote = event.get("data", {}).get("object")
    return isinstance(remote, dict) and remote.get("object") == "account"


def account(*, quick: bool = False) -> str:
    """Return this database's Stripe account; bind a new database to the key's account. Raises CannotReadStripe."""
    known = State.read(STRIPE)
    if known is None:
        current().gateway.verify_account(quick=quick)
        known = State.read(STRIPE)
    if known is None:
        raise CannotReadStripe("the Stripe account of this database is not known yet: try again")
    return str(known["account"])


def why_not_mirrored(event: dict[str, Any]) -> str | None:
    """Return why no type here mirrors the object of an event, or None."""
    remote = event.get("data", {}).get("object")
    kind = str(remote.get("object")) if isinstance(remote, dict) else ""
    if event["type"] in REASONS or asks(event) or synced_kind(kind) is None:
        why = REASONS.get(event["type"]) or REASONS.get(kind)
        return "of a type that is not kept here" + (f": {why}" if why else "")
    if object_id(event) is None:
        return "about an object without an id"
    return None
