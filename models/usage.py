"""Usage: what a customer used of something that is billed by a meter, one row for each record, with its state.

Stripe keeps a record as a meter event, which has no id and cannot be read. It refuses a second one with the same
identifier for at least a day (docs.stripe.com/api/billing/meter-event/create), so within that time a repeat is safe.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Self

from bson import ObjectId
from mongoengine import DateTimeField, DictField, EmbeddedDocumentField, IntField, ListField, ObjectIdField, StringField
from pymongo import IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models.base.embedded import Request
from stripe_mongo_sync.models.base.facts import KEY_REPLAY_WINDOW
from stripe_mongo_sync.models.erasure import Erasure
from stripe_mongo_sync.models.rows.claimable import Broken, Claimable, claim_each, tell_log
from stripe_mongo_sync.models.rows.clock import IDLE, DueReason, Expression, due, from_now, leased, literal
from stripe_mongo_sync.models.rows.indexes import A_DATE, A_STRING
from stripe_mongo_sync.models.rows.sure import sure


class UsageState(StrEnum):
    """The state of a record."""

    PENDING = "pending"  # to be sent, or sent without an answer
    SENT = "sent"  # Stripe has it
    REFUSED = "refused"  # Stripe does not have it, and never will
    REVIEW = "review"  # Stripe may have it; an operator decides


class UsageRecord(Claimable):
    """A quantity that a customer used at some time. Its identifier is the same in every attempt to send it."""

    meta: ClassVar = {"collection": "usage_records", "strict": False, "auto_create_index": False, "index_cls": False}
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel("due_at", partialFilterExpression={"due_at": A_DATE}),
        IndexModel([("state", 1), ("_id", 1)]),
        IndexModel([("owners", 1), ("_id", 1)]),
        IndexModel(
            [(f"request.{name}", 1) for name in ("caller", "key")],
            unique=True,
            partialFilterExpression={"request.key": A_STRING},
        ),
    ]
    id: ObjectId = ObjectIdField(primary_key=True)
    customer: ObjectId = ObjectIdField()  # the customer's document
    owners: list[str] = ListField(StringField())  # Stripe's id of the customer
    meter: str = StringField()  # its event name
    value: str = StringField()  # a decimal number
    payload: dict[str, str] = DictField()  # as it is sent: the customer and the value under the meter's own names
    timestamp: int = IntField()  # when it was used, in Stripe's seconds
    api_version: str = StringField()
    identifier: str = StringField()
    key: str = StringField()  # the idempotency key: a new one only after Stripe saved an error for the last
    claimed_at: datetime | None = DateTimeField()  # when the last attempt began
    unknown_since: datetime | None = DateTimeField()  # when the first attempt began of which the outcome is unknown
    request: Request | None = EmbeddedDocumentField(Request)  # the caller's own key; none once the person was erased
    state: str = StringField(choices=[str(state) for state in UsageState])
    erased_at: datetime | None = DateTimeField()

    @classmethod
    def wanted(cls, keep: timedelta) -> list[IndexModel]:
        """Return its indexes. A record never expires: it says what a customer is billed for."""
        return [*cls.indexes]

    def identity(self) -> dict[str, Any]:
        """Return the fields that identify it in logs."""
        return {"state": self.state}

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the meter event."""
        about = {"identifier": self.identifier, "timestamp": self.timestamp}
        return {"event_name": self.meter, "payload": dict(self.payload), **about}

    @classmethod
    def stage(cls, values: dict[str, Any], request: dict[str, str]) -> tuple[Self, bool] | None:
        """Insert a record that is due at once. Return it, and whether this request had inserted it before; None if its
        customer was erased. The majority has it.
        """
        row = {**values, "state": UsageState.PENDING, "attempts": 0, "finished_at": None}
        told = {name: literal(value) for name, value in row.items() if name != "_id"}
        told |= {"created_at": from_now(), **due(DueReason.NEW)}
        collection = cls.insert_collection()

        def write(erased: bool, in_time: Callable[[Any], Expression]) -> dict[str, Any] | None:
            if erased:
                return None
            made: dict[str, Any] = collection.find_one_and_update(
                {"_id": values["_id"], "state": {"$exists": False}},
                [{"$set": {**told, "request": in_time(request)}}],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
            return made

        try:
            made = Erasure.unless_forgotten({*values["owners"]}, write)
        except DuplicateKeyError:
            first = cls.of_request(request)
            return None if first is None else (first, True)
        return None if made is None else (cls._from_son(made), False)

    @classmethod
    def of_request(cls, request: dict[str, str]) -> Self | None:
        """Return the record that a request made; None if it made none."""
        where = {f"request.{name}": request[name] for name in ("caller", "key")}
        found: Self | None = cls.objects(__raw__=where).first()
        return found

    @classmethod
    def claim_due(cls, at: datetime, broken: Broken = tell_log) -> Iterator[Self]:
        """Claim the records that are due at `at`; the outcome of each attempt counts as unknown until it ends."""
        attempt = {"claimed_at": from_now(), "unknown_since": {"$ifNull": ["$unknown_since", from_now()]}}
        taken = {**leased(), "attempts": {"$add": ["$attempts", 1]}, **attempt}
        yield from claim_each(cls, at, [{"$set": taken}], broken)

    @property
    def unknown_before(self) -> datetime | None:
        """Since when an outcome is unknown, this attempt's apart; None: Stripe has nothing of it."""
        return None if self.unknown_since == self.claimed_at else self.unknown_since

    @property
    def is_repeatable(self) -> bool:
        """Whether a claimed record cannot be counted twice if it is sent now: Stripe still knows its identifier."""
        return sure(self.claimed_at) - sure(self.unknown_since) < KEY_REPLAY_WINDOW

    def end(self, state: UsageState, reason: str | None = None) -> Self | None:
        """Record that it was sent, refused, or is in review."""
        over = from_now() if state != UsageState.REVIEW else None
        return self._change({"state": state, "reason": reason, "finished_at": over, **IDLE})

    def retry(self, reason: str, delay: timedelta, *, since: datetime | None, key: str | None = None) -> Self | None:
        """Let it be sent again after `delay`. An outcome is unknown `since` then; None: Stripe certainly has none."""
        again = {"reason": reason, "unknown_since": since, "key": key or self.key}
        return self._change({**again, **due(DueReason.RETRY, delay)})

    def resend(self) -> Self | None:
        """Let a record in review be sent as a new meter event: an operator knows that Stripe does not have it."""
        fresh = f"{self.identifier.partition('/')[0]}/{self.attempts}"
        changes = {"state": UsageState.PENDING, "unknown_since": None, "identifier": fresh, "key": fresh}
        return self._change({**changes, "finished_at": None, **due(DueReason.OPERATOR)})

    def erase(self) -> Self | None:
        """Remove what its caller chose, and Stripe's words; the amounts stay. Return None if it was just changed."""
        return self._change({"request": None, "reason": None, "erased_at": from_now()})
