"""The embedded documents: an operation, an undo, a failure and a caller's request."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mongoengine import BooleanField, DateTimeField, IntField, ListField, StringField
from mongoengine.base import BaseField

from stripe_mongo_sync.models.rows.database import Part


class JsonField(BaseField):
    """Any JSON value, stored as it is."""


class Plain(ListField):
    """A list of Stripe's values: a plain ListField turns a value with a `_cls` into a document."""

    _auto_dereference = False


@dataclass(frozen=True)
class Call:
    """One request that changes something at Stripe."""

    path: str
    params: dict[str, Any] = field(repr=False)
    method: str = "post"  # or delete, which needs no key
    key: str = ""  # the idempotency key


class Operation(Part):
    """The calls that Stripe must still get. They are frozen: every attempt sends exactly these."""

    verb: str = StringField()  # create, update, delete, or an action
    prerequisites: list[dict[str, Any]] = Plain(JsonField())  # calls to be done before, each with its own key
    method: str = StringField()
    path: str = StringField()
    params: dict[str, Any] = JsonField()
    api_version: str = StringField()
    key: str = StringField()
    staged_at: datetime = DateTimeField()  # when the key was written; its age decides whether it may be sent again
    sent_at: datetime | None = DateTimeField()  # written before each send: a request may be in flight since then
    attempts: int = IntField()  # counted before the attempt
    outcome_unknown: bool = BooleanField()  # an attempt ended with an unknown outcome
    saved_error_at: datetime | None = DateTimeField()  # a replay showed that Stripe saved a 5xx for this key

    @property
    def calls(self) -> list[Call]:
        """Return the calls of every attempt, in order. Its key keeps a repeated call from having a second effect."""
        return [*(Call(**call) for call in self.prerequisites), Call(self.path, self.params, self.method, self.key)]


class Undoing(Part):
    """The undo of an orphan, written before it is sent; the `operation` beside it stays as evidence of the creation."""

    orphan: str = StringField()
    way: str = StringField()  # one of the resource's `undo`
    key: str | None = StringField()  # of every attempt; None once repeating it is useless
    staged_at: datetime = DateTimeField()  # when the key was written
    sent_at: datetime = DateTimeField()  # written before each send


class Failure(Part):
    """Why a document was rolled back, or how the last attempt failed."""

    type: str = StringField()
    code: str | None = StringField()
    decline_code: str | None = StringField()
    param: str | None = StringField()  # the one that Stripe refused
    message: str = StringField()
    key: str | None = StringField()  # of the operation that failed


class Request(Part):
    """The caller's own idempotency key: one document per caller, route and key."""

    caller: str = StringField()  # the name of its token, or of what calls in process
    route: str = StringField()
    key: str = StringField()
    digest: str = StringField()  # of the body: the same key with another body is an error
