"""An event as it arrives: parsed once, and handed down as one value to all that apply and store it."""

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter
from typing import Any

from stripe_mongo_sync.models import SyncedDocument
from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.models.base.registry import synced_kind
from stripe_mongo_sync.models.event import Via
from stripe_mongo_sync.models.event_body import object_id, request_key
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.admission import why_not_mirrored
from stripe_mongo_sync.sync.engine.observations import from_event
from stripe_mongo_sync.sync.inbox.thin import LOST, THIN, as_snapshot

EVENT_ID = re.compile(r"evt_\w{1,250}", re.ASCII)
NAMED_BY_CUSTOMER = ("entitlements.active_entitlement_summary",)
EVENT_TYPE = re.compile(r"[a-z0-9_.\[\]]{1,250}", re.ASCII)  # v2.core.account[identity].updated


class Malformed(ValueError):
    says = "The body is not an event: it needs an id, a type and data."


@dataclass(frozen=True)
class Arrival:
    """One event, with the bytes to store of it. It may be of another account, and of a type that is not kept here."""

    event: dict[str, Any] = field(repr=False)
    raw: bytes = field(repr=False)
    via: Via = Via.WEBHOOK
    came: float = field(default_factory=perf_counter, repr=False, compare=False)  # by that clock

    @cached_property
    def id(self) -> str:
        """Return Stripe's id of the event."""
        return str(self.event["id"])

    @cached_property
    def remote(self) -> dict[str, Any]:
        """Return the object that the event shows; {} if it shows none."""
        data = self.event.get("data")
        remote = data.get("object") if isinstance(data, dict) else None
        return remote if isinstance(remote, dict) else {}

    @cached_property
    def model(self) -> type[SyncedDocument] | None:
        """Return the model of the object's kind; None if it has none."""
        return synced_kind(str(self.remote.get("object")))

    @cached_property
    def object_id(self) -> str | None:
        """Return the id of the object; None if it has none (invoice.upcoming, …)."""
        return object_id(self.event)

    @cached_property
    def evidence(self) -> Observation:
        """Return what the event shows of its object, which must have a model and an id."""
        return from_event(self._model, self.event)

    @cached_property
    def where(self) -> dict[str, Any]:
        """Return the query of the document that the event is about.

        One key causes events about several objects: it names a document only on the creation of that document's kind.
        """
        key, resource = IdempotencyKey.parse(request_key(self.event)), self._model.resource
        ours = key and (key.installation, key.kind) == (current().installation, resource.kind)
        if key and ours and self.event["type"] == resource.created_event:
            return {"_id": key.document, "creation_key": str(key)}
        return {"stripe_id": self.remote["id"]}

    @cached_property
    def why_not_mirrored(self) -> str | None:
        """Return why no type here mirrors its object, or None."""
        return why_not_mirrored(self.event)

    @property
    def _model(self) -> type[SyncedDocument]:
        return sure(self.model)


def arrive(raw: bytes, via: Via = Via.WEBHOOK) -> Arrival:
    """Return the event in a body, parsed. Raises Malformed."""
    return Arrival(parse(raw), raw, via)


def parse(raw: bytes) -> dict[str, Any]:
    """Return the event in a body; a thin event becomes the snapshot event that it announces. Raises Malformed."""
    try:
        event = json.loads(str(raw, "utf-8"))  # in another encoding, keys would not be found
        if isinstance(event, dict) and event.get("object") == THIN:
            event = as_snapshot(event)
    except (ValueError, TypeError, RecursionError) as error:
        raise Malformed from error
    if not isinstance(event, dict) or not isinstance(event.get("data", {}), dict):
        raise Malformed
    if isinstance(event.get("created"), float) and event["created"].is_integer():
        event["created"] = int(event["created"])  # in JSON, 1.0 and 1 are the same number
    _name_by_customer(event)
    id, type, created = (event.get(name) for name in ("id", "type", "created"))
    if not (isinstance(id, str) and EVENT_ID.fullmatch(id) and isinstance(type, str) and EVENT_TYPE.fullmatch(type)):
        raise Malformed
    if event.get("object") == "event" and not (isinstance(created, int) and 0 <= created < 2**53):
        raise Malformed
    return event


def _name_by_customer(event: dict[str, Any]) -> None:
    """Give a summary of entitlements, which Stripe shows without an id, that of its customer, who has one summary."""
    data = event.get("data")
    remote = data.get("object") if isinstance(data, dict) else None
    if isinstance(remote, dict) and remote.get("object") in NAMED_BY_CUSTOMER and "id" not in remote:
        customer = remote.get("customer")
        remote["id"] = customer.get("id") if isinstance(customer, dict) else customer


def listed(event: dict[str, Any]) -> Arrival:
    """Return an event that was read from Stripe's list instead of delivered."""
    return Arrival(event, json.dumps(event, separators=(",", ":")).encode(), Via.LIST)


def told_in_full(arrival: Arrival, *, quick: bool) -> Arrival:
    """Return an event with its object. A report of a lost event does not name it, so the report is read from Stripe.

    It is then applied as if the lost event came now, without content, so its object is read
    (docs.stripe.com/webhooks/handle-irrecoverable-events). Raises CannotReadStripe.
    """
    if arrival.event["type"] != LOST or arrival.event["data"]["object"] is not None:
        return arrival
    reply = current().gateway.get(f"/v2/core/events/{arrival.id}", quick=quick)
    return arrival if reply is None else Arrival(as_snapshot(reply.remote), arrival.raw, arrival.via)
