"""The parts of a document that are no documents themselves."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from mongoengine import BooleanField, DateTimeField, IntField, ListField, StringField
from mongoengine.base import BaseField

from stripe_mongo_sync.models.rows.database import Part


class JsonField(BaseField):
    """Any JSON value, stored as it is."""


class Plain(ListField):
    """A list of what Stripe shows: in others, MongoEngine makes a document of what has a `_cls`."""

    _auto_dereference = False


@dataclass(frozen=True)
class Call:
    """One request that changes something at Stripe."""

    path: str
    params: dict[str, Any] = field(repr=False)
    method: str = "post"  # or delete, which needs no key
    key: str = ""  # the idempotency key


class Operation(Part):
    """What must still be told to Stripe, frozen: every attempt sends exactly this."""

    meta: ClassVar = {"strict": False}
    verb: str = StringField()  # create, update, delete, or an action
    first: list[dict[str, Any]] = Plain(JsonField())  # the calls that must be done before, each with its own key
    method: str = StringField()
    path: str = StringField()
    params: dict[str, Any] = JsonField()
    api_version: str = StringField()
    key: str = StringField()
    since: datetime = DateTimeField()  # when the key was written: its age decides whether it may be replayed
    sent_at: datetime | None = DateTimeField()  # written before each send: after this, one may be under way
    attempts: int = IntField()  # counted before the attempt
    doubt: bool = BooleanField()  # some attempt ended without a known outcome
    stored_failure_at: datetime | None = DateTimeField()  # a replay showed that this key answers 5xx for ever

    @property
    def calls(self) -> list[Call]:
        """What every attempt sends, in order; a call that was done is done again without effect, by its key."""
        return [*(Call(**call) for call in self.first), Call(self.path, self.params, self.method, self.key)]


class Undoing(Part):
    """The undo of an orphan, written before it is sent; the `operation` beside it stays as evidence of the creation."""

    meta: ClassVar = {"strict": False}
    orphan: str = StringField()
    way: str = StringField()  # one of the resource's `undo`
    key: str | None = StringField()  # of every attempt; None once it can teach nothing more
    since: datetime = DateTimeField()  # when the key was written
    sent_at: datetime = DateTimeField()  # written before each send


class Failure(Part):
    """Why a document was rolled back, or what the last attempt said."""

    meta: ClassVar = {"strict": False}
    type: str = StringField()
    code: str | None = StringField()
    decline_code: str | None = StringField()
    message: str = StringField()
    key: str | None = StringField()  # of the operation that ended so


class Request(Part):
    """The caller's own idempotency key: one document per token, route and key."""

    meta: ClassVar = {"strict": False}
    token: str = StringField()
    route: str = StringField()
    key: str = StringField()
    digest: str = StringField()  # of the body: the same key with another body is an error
