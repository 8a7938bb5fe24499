"""What is stored of the body of an event: Stripe's own bytes without keys, or only whose it is and what it is about."""

import json
import re
from typing import Any

from stripe_mongo_sync.models.base.resource import KINDS, is_id
from stripe_mongo_sync.models.base.whose import listed, owners_of_event
from stripe_mongo_sync.models.rows.content import event_shown, is_key, may_have_keys
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.rows.scrub import ERASED, ID, scrub

ACCOUNT = re.compile(r"acct_\w{1,100}", re.ASCII)
ACCOUNTS = re.compile(r"\w{1,100}(?:/\w{1,100}){0,8}", re.ASCII)  # acct_…, or a path of accounts: an event's context
# Of an object that was created without a key, and with a key of another program, which may contain anything.
NO_KEY, OTHERS_KEY = "", "other"


def storable(event: dict[str, Any], raw: bytes) -> bytes:
    """Return the bytes to store of an event: Stripe's own, with keys removed.

    An object that is a key itself, or is nested too deep to be searched, is not stored.
    """
    if not may_have_keys(raw):
        return raw
    if is_key(event):
        return without_content(event)
    try:
        told = json.loads(raw)
        left = event_shown(told)
    except RecursionError:
        return without_content(event)
    return raw if left == told else json.dumps(left, separators=(",", ":")).encode()


def without_content(event: dict[str, Any]) -> bytes:
    """Return an event without the content of its object. It has no API version, so applying it refreshes the object."""
    data = event.get("data")
    remote = data.get("object") if isinstance(data, dict) else None
    kind = str(remote.get("object")) if isinstance(remote, dict) else ""
    shown = {"id": id_left(event), "object": scrub(kind, "object")}
    model = KINDS.get(kind)
    if model is not None and model.resource.deletes(event["type"]):
        shown["deleted"] = True
    key = IdempotencyKey.parse(request_key(event))  # a key of another program may contain anything
    left = {name: scrub(event.get(name)) for name in ("created", "livemode")}
    for name, form in (("account", ACCOUNT), ("context", ACCOUNTS)):  # a replay needs them to see whose it is
        owner = event.get(name) and str(event[name])
        left[name] = owner if not owner or form.fullmatch(owner) else ERASED
    left |= {
        "id": event["id"],
        "object": scrub(event.get("object"), "object"),
        "type": event["type"],
        "api_version": None,
    }
    return json.dumps({**left, "request": {"idempotency_key": key and str(key)}, "data": {"object": shown}}).encode()


def request_key(event: dict[str, Any]) -> str | None:
    """Return the idempotency key of the call that caused an event, or None if Stripe or the Dashboard caused it."""
    request = event.get("request")  # an object, null, or (before API 2017-05-25) a bare string
    key = request.get("idempotency_key") if isinstance(request, dict) else None
    return key if isinstance(key, str) else None


def owners_left(event: dict[str, Any]) -> set[str]:
    """Return the ids that show whose an event is, when it has no content any more."""
    return owners_of_event(json.loads(without_content(event)))


def id_left(event: dict[str, Any]) -> str | None:
    """Return the id of an event's object, for an event without content; None for a customer's id that was chosen.

    Such an id may be an e-mail address, and the customer is deleted, so that no refresh needs it.
    """
    id = object_id(event)
    return None if id and event["data"]["object"].get("object") == "customer" and not ID.fullmatch(id) else id


def creation_key(event: dict[str, Any]) -> str | None:
    """Return the key of the call that created an event's object, `NO_KEY` or `OTHERS_KEY`; None if it does not say.

    Where Stripe sends no creation event, any call with a key of ours says it: that installation has the object.
    """
    data = event.get("data")
    remote = data.get("object") if isinstance(data, dict) else None
    model = KINDS.get(str(remote.get("object"))) if isinstance(remote, dict) else None
    if model is None or model.resource.mirrored or event.get("object") != "event":
        return None
    told = request_key(event)
    key = IdempotencyKey.parse(told)
    if not model.resource.has_created_event:
        return str(key) if key else None
    if event["type"] != model.resource.created_event:
        return None
    return str(key) if key else OTHERS_KEY if told else NO_KEY


def of_others(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event that is not ours, without its object's id if a caller chose it: it may be a person's name."""
    if (id := object_id(event)) is None or ID.fullmatch(id):
        return event
    return {**event, "data": {"object": {**event["data"]["object"], "id": None}}}


def object_id(event: dict[str, Any]) -> str | None:
    """Return the id of an event's object, or None if it has none (invoice.upcoming, …)."""
    data = event.get("data")
    remote = data.get("object") if isinstance(data, dict) else None
    found = remote.get("id") if isinstance(remote, dict) else None
    return found if is_id(found) else None


def fields_of(
    event: dict[str, Any], words: Any, *, erased: bool = False, others: bool = False, bare: bool = False
) -> dict[str, Any]:
    """Return what the row of an event has of it; `words` are the bytes to store, which show no content if `bare`."""
    created = event.get("created")
    bare = bare or is_key(event)  # of a key, nothing but its id is stored
    return {
        "type": event["type"],
        "created": created if isinstance(created, int) and 0 <= created < 2**53 else None,  # None: it is no event
        "object_id": id_left(event) if erased else object_id(event),
        "creation_key": None if others else creation_key(event),
        "owners": listed(owners_left(event) if bare else owners_of_event(event)),
        "raw": words,
    }
