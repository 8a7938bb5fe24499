"""Every call that can be made of every type, and what its caller may be told: the journeys that faults are put into.

They are generated from the registry and the samples, so a new type or action is broken in every way by itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from werkzeug.test import TestResponse

from stripe_mongo_sync.api.resources import plural_of
from stripe_mongo_sync.models import Status, SyncedDocument, changed_kinds, created_kinds, kinds
from stripe_mongo_sync.models.rows.content import digest
from stripe_mongo_sync.sync.engine.refresh import shows_update
from tests.support import samples
from tests.support.in_sync import assert_in_sync, person_decides
from tests.support.world import World

KEY = {"Idempotency-Key": "the caller's own"}


class Told(StrEnum):
    """What a caller can be told."""

    DONE = "done"
    PENDING = "pending"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


TOLD = {
    200: Told.DONE,
    201: Told.DONE,
    202: Told.PENDING,
    402: Told.REFUSED,
    422: Told.REFUSED,
    503: Told.UNAVAILABLE,
}


@dataclass(frozen=True)
class Call:
    """One call of one type: `verb` is create, update, delete or an action."""

    kind: str
    verb: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.verb}"

    @property
    def model(self) -> type[SyncedDocument]:
        return kinds()[self.kind]

    def ready(self, world: World) -> "Ready":
        """Set the scene, and let Stripe's events of it arrive."""
        plural = f"/{plural_of(self.model)}"
        document = None
        match self.verb:
            case "create":
                request: dict[str, Any] = {"path": plural, "method": "POST", "json": samples.body(self.kind)}
                request["headers"] = KEY
            case "update":
                document = samples.create(self.kind)
                request = {"path": "", "method": "PATCH", "json": samples.CHANGES[self.kind]}
            case "delete":
                document = samples.create(self.kind)
                request = {"path": "", "method": "DELETE"}
            case action:
                document = samples.ready(self.kind, action)
                request = {"path": f"/{action}", "method": "POST", "json": samples.given(self.kind, action)}
        if document is not None:
            request["path"] = f"{plural}/{document.id}{request['path']}"
        world.deliver()
        world.reconcile()
        there = world.stripe.objects(self.kind) if self.model.resource.path else []
        return Ready(self, world, request, document, {remote["id"]: digest(remote) for remote in there})


@dataclass
class Ready:
    """A call that is about to be made; `send` may be repeated, as callers do."""

    call: Call
    world: World
    request: dict[str, Any]
    document: SyncedDocument | None
    before: dict[str, str]  # the objects of its kind that Stripe had, and the digest of each

    def send(self) -> TestResponse:
        """Make the call."""
        return self.world.http.open(**self.request)

    def told(self) -> Told:
        """Make the call and return what its caller is told; anything but these few things is a failure."""
        response = self.send()
        assert response.status_code in TOLD, f"{self.call} was told {response.status_code}: {response.json}"
        told = TOLD[response.status_code]
        if told == Told.DONE:
            assert response.json["operation"] is None, response.json
            gone = self.call.verb == "delete"
            assert response.json["status"] == (Status.DELETED if gone else Status.ACTIVE), response.json
        return told

    @property
    def made(self) -> set[str]:
        """The objects of its kind that Stripe did not have before."""
        if not self.call.model.resource.path:
            return set()
        return {remote["id"] for remote in self.world.stripe.objects(self.call.kind)} - self.before.keys()

    def subject(self) -> SyncedDocument | None:
        """The document that the call is about, as it is now; None where there is none."""
        if self.document is not None:
            return self.document.fetch_latest()
        found: SyncedDocument | None = self.call.model.objects(request__key=KEY["Idempotency-Key"]).first()
        return found

    def settle(self, *, heard: bool) -> None:
        """Let what is left be settled: Stripe is well again, and its events arrive or are lost."""
        world = self.world
        world.stripe.clear_faults()
        world.deliver() if heard else world.webhooks()
        world.advance(minutes=5)
        world.reconcile()
        world.stripe.release_late_requests()
        world.converge()
        if heard:
            world.deliver()
            world.converge()

    def assert_kept(self, *told: Told, at_most: int = 1) -> None:
        """Assert that both sides are one, that nothing was done twice, and that the caller was told no lie."""
        assert_in_sync(self.world)
        document = self.subject()
        story = f"{self.call} was told {', '.join(told)}; now {document and document.to_mongo().to_dict()}"
        if self.call.verb == "create":
            assert len(self.made) <= at_most, f"made {self.made}: {story}"
        if document is None:
            assert not {Told.DONE, Told.PENDING} & {*told}, story
            return
        if self.call.verb != "send" and document.review_reason is None:  # an invoice does not show whether it was sent
            assert Told.DONE not in told or self.done(document), story
            assert Told.REFUSED not in told or not self.done(document), story
        assert Told.DONE not in told or document.review_reason is None, story
        again = self.world.reconcile()
        assert not any(count for name, count in again.counts.items() if name != "review"), f"no end: {again}"

    def done(self, document: SyncedDocument) -> bool:
        """Whether the call was done, as Stripe has it."""
        match self.call.verb:
            case "create":
                return document.status == Status.ACTIVE
            case "delete":
                return document.status == Status.DELETED
            case "update":
                return shows_update(type(document), samples.CHANGES[self.call.kind], document.stripe or {})
        remote = document.stripe or {}
        if self.call.kind == "order":
            ends = {"cancel": ("expired", "canceled"), "refund": ("refunded", "partially_refunded")}
            return document.payment_status in ends[self.call.verb]
        return document.resource.actions[self.call.verb].done(
            type(document).in_request_shape(remote), self.sent(document)
        )

    def sent(self, document: SyncedDocument) -> dict[str, Any]:
        """What an action was given, with Stripe's ids."""
        given = dict(self.request.get("json") or {})
        for name, kind in (("customer", "customer"), ("payment_method", "payment_method")):
            if name in given and (found := kinds()[kind].lookup(given[name])):
                given[name] = found.stripe_id
        if self.call.verb == "payment_method":
            return {"invoice_settings": {"default_payment_method": given["payment_method"]}}
        return given

    def left_to_a_person(self) -> bool:
        """Whether a person has to decide about it, and may."""
        document = self.subject()
        return document is not None and document.review_reason is not None and person_decides(document)


def every_call() -> Iterator[Call]:
    """Yield every call of every type, those of a customer first."""
    for kind, model in sorted(changed_kinds().items(), key=lambda item: (item[0] != "customer", item[0])):
        if kind in created_kinds():
            yield Call(kind, "create")
        if kind in samples.CHANGES:
            yield Call(kind, "update")
        if model.resource.deletable:
            yield Call(kind, "delete")
        for action in samples.ACTS.get(kind, {}):
            yield Call(kind, action)


def every_type(row: str, fits: Callable[[type[SyncedDocument]], bool] = lambda model: True) -> list[Any]:
    """Return every type that Stripe has and that fits, as cases of a row; all but a customer not in the usual run."""
    return [
        pytest.param(kind, marks=[pytest.mark.fault(row), *([] if kind == "customer" else [pytest.mark.long])])
        for kind, model in sorted(created_kinds().items())
        if model.resource.path and fits(model)
    ]


def has_created_event(model: type[SyncedDocument]) -> bool:
    """Whether Stripe tells of its creations."""
    return model.resource.has_created_event
