"""A world: one shop with its Stripe. Everything in it is real but Stripe, and its time moves only when told."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar

import stripe as stripe_python
from flask import Flask
from flask.testing import FlaskClient
from pymongo.monitoring import CommandListener
from werkzeug.test import TestResponse

from stripe_mongo_sync import sync
from stripe_mongo_sync.api import create_app
from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.models import Event, SyncedDocument, present_kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.sync.runs.reconcile import Report, run_once
from stripe_mongo_sync.sync.settings import Settings
from tests.simulation.schedule import Schedule
from tests.support.fuse import Fuse

KEY = "sk_test_world"
TOKEN = "a-token-of-the-shop"
SECRET = "whsec_7Qm2ZxT9bKc4LwRf6VnHs3JdPy8GaUeX"
URL = "https://shop.example/webhooks/stripe"


@dataclass
class World:
    """The service connected to an emulator in process."""

    usual: ClassVar[Flask | None] = None  # the application without settings of a test: leave it as it is
    client: ClassVar[Callable[[Flask], FlaskClient]] = staticmethod(lambda app: app.test_client())

    database: str
    stripe: "Emulator" = field(default_factory=Emulator)
    settings: dict[str, str] = field(default_factory=dict)
    listeners: tuple[CommandListener, ...] = ()
    fuse: Fuse | Schedule | None = None
    around: Callable[[stripe_python.HTTPClient], stripe_python.HTTPClient] = lambda transport: transport

    def __post_init__(self) -> None:
        self.stripe.endpoint(URL, secret=SECRET)
        self.start()

    def start(self) -> None:
        """(Re)start the service."""
        sync.disconnect()
        vars(self).pop("app", None)
        vars(self).pop("http", None)
        transport = self.around(self.stripe.transport())
        self.read = Settings.from_environment(
            serve=True,
            environment={
                "STRIPE_SECRET_KEY": KEY,
                "STRIPE_WEBHOOK_SECRET": SECRET,
                "API_TOKENS": TOKEN,
                "API_RATE": "0",
                "MONGODB_URI": self.database,
                **self.settings,
            },
        )
        sync.connect(
            self.read,
            http_client=self.fuse.around(transport) if self.fuse else transport,
            listeners=(self.fuse, *self.listeners) if self.fuse else self.listeners,
        )

    @cached_property
    def app(self) -> Flask:
        """The application. Its routes cost more than all the rest of a world: those that set nothing share one."""
        if self.settings:
            return create_app(self.read)
        World.usual = World.usual or create_app(self.read)
        return World.usual

    @cached_property
    def http(self) -> FlaskClient:
        """A client of the application, with a good token."""
        client = World.client(self.app)
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
        return client

    def stop(self) -> None:
        """End it, and let time be what it is."""
        clock.TEST_OFFSET = timedelta()
        sync.disconnect()

    def advance(self, **delta: float) -> None:
        """Let time pass, for MongoDB and for Stripe alike."""
        passed = timedelta(**delta)
        clock.TEST_OFFSET += passed
        self.stripe.clock.advance(passed.total_seconds())

    def webhooks(self) -> list[bytes]:
        """Take the events that Stripe has to deliver, oldest first."""
        return [delivery.body for delivery in self.stripe.webhooks.take()]

    def send(self, raw: bytes, client: FlaskClient | None = None, **headers: str) -> TestResponse:
        """Deliver one event, signed now (Stripe signs each attempt anew)."""
        signature = stripe_python.WebhookSignature.generate_signature_header(raw.decode(), SECRET)
        return (client or self.http).post(
            "/webhooks/stripe",
            data=raw,
            content_type="application/json",
            headers={"Stripe-Signature": signature, **headers},
        )

    def deliver(self, bodies: Iterable[bytes] | None = None) -> list[str]:
        """Deliver these events, or all that are due; return what the service said became of each."""
        told = []
        for raw in self.webhooks() if bodies is None else bodies:
            response = self.send(raw)
            assert response.status_code == 200, response.json
            told.append(response.json["state"])
        return told

    def reconcile(self, **options: Any) -> Report:
        """Run reconcile once."""
        return run_once(**options)

    def converge(self) -> Report:
        """Let reconcile run until nothing is left: as operations would, over days if it takes them."""
        report = self.reconcile()
        for _ in range(12):
            if not (self.unfinished() or Event.objects(due_at__ne=None).first() or report.exit_code):
                break
            self.advance(hours=3)
            report = self.reconcile()
        if any(report.counts.values()):
            self.reconcile()  # hears of what the last one did
        return report

    def documents(self) -> list[SyncedDocument]:
        """Every document of every kind."""
        return [document for model in having(present_kinds().values(), {}) for document in model.objects]

    def unfinished(self) -> list[SyncedDocument]:
        """The documents on which something is still to be done."""
        due = {"due_at": {"$type": "date"}}
        return [document for model in having(present_kinds().values(), due) for document in model.objects(__raw__=due)]
