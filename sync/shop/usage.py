"""Usage: records what customers use, and sends it to Stripe's meters, each record once.

A call only writes the record, so it neither waits for Stripe nor is lost with it. A worker (`usage run`, and each
reconcile) sends the records that are due, at the pace of its throttle. As Stripe cannot be asked for a meter event, a
record without an answer is repeated with its identifier, as long as Stripe surely knows it; then it is in review.
"""

import hashlib
import json
import secrets
from collections import Counter
from decimal import Decimal
from typing import Any

from bson import ObjectId
from pymongo.errors import PyMongoError

from stripe_mongo_sync.models import Meter, Status
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.input import Invalid, require_json, wrong_text
from stripe_mongo_sync.models.meter import DEFAULT_NAMES
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.keys import PREFIX, wrong_key
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.models.usage import UsageRecord, UsageState
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.errors import (
    CannotReadStripe,
    InProgress,
    KeyReused,
    NotFound,
    NotPossible,
    Outage,
    Unavailable,
)
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.backoff import backoff
from stripe_mongo_sync.sync.process.deadline import within_lease
from stripe_mongo_sync.sync.process.isolation import counted, isolated
from stripe_mongo_sync.sync.process.stop import STOP
from stripe_mongo_sync.sync.shop.customers import customer_of
from stripe_mongo_sync.sync.shop.lists import asking
from stripe_mongo_sync.sync.stripe.about import an
from stripe_mongo_sync.sync.stripe.answers import Answer, Refusal, Reply, Unknown, api_version
from stripe_mongo_sync.sync.tokens import IN_PROCESS

METER_EVENTS = "/v1/billing/meter_events"
OLDEST, NEWEST = 35 * 86_400 - 3_600, 300  # s before and after now: Stripe takes 35 days, and sending may take an hour
LONGEST = 100  # characters of a meter's event name, and of a value in its payload
DIGITS = 15  # of a value before the point, and after it
DUPLICATE = "already exists with identifier"  # Stripe: "An event already exists with identifier …", as 400


def record_usage(
    username: str,
    meter: str,
    value: int | str | Decimal = 1,
    *,
    timestamp: int | None = None,
    idempotency_key: str | None = None,
) -> UsageRecord:
    """Record that a customer used a quantity of what a meter measures; return the record, which a worker sends: each
    `reconcile`, or `usage run`.

    `meter` is the meter's event name, our id or Stripe's; `value` a number, as a text or a Decimal if it is no whole
    one; `timestamp` the second when it was used, now by default, at most 34 days ago. A repeated call with the same
    key returns the same record. Raises NotConnected, Invalid, NotFound, InProgress (the customer has no Stripe id
    yet), KeyReused, Unavailable.

    Example:

        record_usage("user@here.com", "api_requests", 250, idempotency_key="requests-2026-11-29")
    """
    return _recorded(username, meter, value, timestamp, idempotency_key, IN_PROCESS)[0]


def recorded(body: dict[str, Any], idempotency_key: str | None, token: str) -> tuple[UsageRecord, bool]:
    """Record what the body of a request says; return the record, and whether this call repeats an earlier one."""
    names = ("username", "meter", "value", "timestamp")
    errors = {name: "is not a field of a usage record" for name in body if name not in names}
    errors |= {name: "is required" for name in names[:2] if name not in body}
    if errors:
        raise Invalid(errors)
    value, timestamp = body.get("value", 1), body.get("timestamp")
    return _recorded(body["username"], body["meter"], value, timestamp, idempotency_key, token)


def _recorded(
    username: Any, meter: Any, value: Any, timestamp: Any, key: str | None, token: str
) -> tuple[UsageRecord, bool]:
    value = str(value) if isinstance(value, Decimal) else value
    given = {"username": username, "meter": meter, "value": value, "timestamp": timestamp}
    require_json(given)
    if key is not None and (wrong := wrong_key(key)):
        raise Invalid({"idempotency_key": wrong})
    digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
    request = {"caller": token, "route": UsageRecord.plural(), "key": key or secrets.token_hex(16), "digest": digest}
    with asking():
        first = UsageRecord.of_request(request) if key is not None else None
    if first is not None:  # its time may be too long ago by now, and its customer deleted
        return _repeated(first, digest), True
    _require_valid(**given)
    customer = customer_of(username)
    if customer.status != Status.ACTIVE:
        raise InProgress(f"Customer {customer.id} is {customer.status}: usage can be recorded once it is active.")
    try:
        name, by, valued = _meter(meter)
        id = ObjectId()
        identifier = ":".join((PREFIX, current().installation, str(id)))
        staged = UsageRecord.stage(
            {
                "_id": id,
                "customer": customer.id,
                "owners": [customer.stripe_id],
                "meter": name,
                "value": str(value),
                "payload": {by: customer.stripe_id, valued: str(value)},
                "timestamp": int(clock.now().timestamp()) if timestamp is None else timestamp,
                "api_version": api_version(),
                "identifier": identifier,
                "key": identifier,
            },
            request,
        )
    except PyMongoError as error:
        raise Unavailable(idempotency_key=request["key"]) from error
    if staged is None:
        raise NotFound(f"There is no customer {username!r}.")
    record, repeated = staged
    return (_repeated(record, digest) if repeated else record), repeated


def _repeated(record: UsageRecord, digest: str) -> UsageRecord:
    """Return the record that the same call made before. Raises KeyReused if that one said something else."""
    if sure(record.request).digest != digest:
        raise KeyReused
    return record


def _require_valid(username: Any, meter: Any, value: Any, timestamp: Any) -> None:
    errors = {}
    if not isinstance(meter, str) or not 0 < len(meter) <= LONGEST or wrong_text(meter, "meter"):
        errors["meter"] = f"must be the name or id of a meter, of 1 to {LONGEST} characters"
    if not _is_number(value):
        errors["value"] = f"must be a whole number, or a text with a decimal number, of at most {DIGITS} digits"
    now = int(clock.now().timestamp())
    if timestamp is not None and (isinstance(timestamp, bool) or not isinstance(timestamp, int)):
        errors["timestamp"] = "must be a whole number of seconds"
    elif timestamp is not None and not now - OLDEST <= timestamp <= now + NEWEST:
        errors["timestamp"] = "must be within the past 34 days, or up to 5 minutes ahead"
    if errors:
        raise Invalid(errors)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return False
    whole, point, rest = str(value).removeprefix("-").partition(".")
    parts = [whole, rest] if point else [whole]
    return all(part.isascii() and part.isdigit() and len(part) <= DIGITS for part in parts)


def _meter(named: str) -> tuple[str, str, str]:
    """Return the event name of a meter, and the names under which its payload has the customer and the value.

    A meter that is not known here is taken by its event name, with Stripe's default names.
    """
    found = Meter.named(named)
    if found is not None and found.status == Status.PENDING:
        raise InProgress(f"Meter {found.id} is pending: usage can be recorded once it is active.")
    if found is not None and found.status == Status.ROLLED_BACK:
        raise Invalid({"meter": f"is meter {found.id}, which was not created"})
    return found.payload_names if found is not None else (named, *DEFAULT_NAMES)


# --- the worker ---


def send_usage() -> Counter[str]:
    """Send the records that are due; return how many were sent, refused, put in review, or are to be repeated.

    A record that cannot be worked on counts as `failed`. Several processes share the work. Raises CannotReadStripe:
    BadKey, MissingPermission, WrongAccount or Outage.
    """
    counts: Counter[str] = Counter()
    if STOP.asked:
        return counts
    for claimed in UsageRecord.claim_due(clock.now(), counted(counts, "usage record")):
        with isolated(counts, f"usage record {claimed.id}"):
            counts[_sent(claimed)] += 1
        if STOP.asked:
            break
    return counts


@within_lease
def _sent(claimed: UsageRecord) -> str:
    """Send a claimed record; return what became of it."""
    before, wait = claimed.unknown_before, backoff(claimed.attempts)
    if before is not None and not claimed.is_repeatable:
        return _ended(claimed, UsageState.REVIEW, "Stripe has not answered for 23 hours, and may have counted it")
    call = Call(METER_EVENTS, claimed.params, key=claimed.key)
    fits = an("billing.meter_event", identifier=claimed.identifier)
    try:
        answer: Answer = current().gateway.write(call, fits, claimed.api_version)
    except Outage as error:  # after an answer that did not come
        claimed.retry(str(error), wait, since=claimed.unknown_since)
        raise
    except CannotReadStripe as error:  # the key is refused, or the account could not be read: nothing was done
        claimed.retry(str(error), wait, since=before)
        raise
    match answer:
        case Reply():
            return _ended(claimed, UsageState.SENT)
        case Refusal() if DUPLICATE in str(answer.problem.get("message")):
            return _ended(claimed, UsageState.SENT, "Stripe had it already")
        case Refusal() if before is None and not answer.replayed:
            return _ended(claimed, UsageState.REFUSED, str(answer.problem.get("message")))
        case Refusal():
            told = f"Stripe refuses it, and may have counted an earlier attempt: {answer.problem.get('message')}"
            return _ended(claimed, UsageState.REVIEW, told)
        case Unknown():
            since = before if answer.retry_later else claimed.unknown_since
            key = f"{claimed.identifier}/{claimed.attempts}" if answer.saved else None
            claimed.retry(answer.reason, wait, since=since, key=key)
    return "repeated"


def _ended(claimed: UsageRecord, state: UsageState, reason: str | None = None) -> str:
    if claimed.end(state, reason) is not None and state != UsageState.SENT:
        log.warning("usage record %s → %s", claimed.id, state)
    return str(state)


# --- an operator ---


def record_of(id: str) -> UsageRecord:
    """Return a record by its id. Raises NotFound."""
    found: UsageRecord | None = UsageRecord.objects(id=ObjectId(id)).first() if ObjectId.is_valid(id) else None
    if found is None:
        raise NotFound("There is no such usage record.")
    return found


def listed(customer: str | None, state: str | None, after: str | None, limit: int) -> list[UsageRecord]:
    """Return the records, the newest first, of a customer, in a state, after the one with this id.

    Raises NotFound, also for an unknown customer.
    """
    where: dict[str, Any] = {} if state is None else {"state": state}
    if customer is not None:
        where["owners"] = customer_of(customer).stripe_id
    if after is not None:
        where["_id"] = {"$lt": record_of(after).id}
    return list(UsageRecord.objects(__raw__=where).order_by("-id").limit(limit))


def resend(id: str) -> UsageRecord:
    """Send a record again that was refused or is in review: it is counted again if Stripe had it.

    Raises NotFound, NotPossible.
    """
    return _decided(record_of(id), UsageRecord.resend)


def mark_sent(id: str) -> UsageRecord:
    """Mark a record that was refused or is in review as sent. Raises NotFound, NotPossible."""
    return _decided(record_of(id), lambda row: row.end(UsageState.SENT, "marked as sent by an operator"))


def _decided(record: UsageRecord, change: Any) -> UsageRecord:
    if record.state not in (UsageState.REFUSED, UsageState.REVIEW):
        raise NotPossible(
            f"Usage record {record.id} is {record.state}: only one in review, or refused, can be decided."
        )
    changed: UsageRecord | None = change(record)
    if changed is None:
        raise NotPossible(f"Usage record {record.id} has just changed: see it in `usage list`, and try again.")
    return changed


def as_shown(record: UsageRecord) -> dict[str, Any]:
    """Return a record as the API and the command show it."""
    return {
        "id": str(record.id),
        "customer": str(record.customer),
        "meter": record.meter,
        "value": record.value,
        "timestamp": record.timestamp,
        "state": record.state,
        "reason": record.reason,
        "attempts": record.attempts,
        "identifier": record.identifier,
    }
