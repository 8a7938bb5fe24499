"""The emulator behind every front: its objects, actors, endpoints and faults."""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any, Self

from stripe_mongo_sync.emulator.engine.engine import Engine
from stripe_mongo_sync.emulator.engine.resource import RESOURCES
from stripe_mongo_sync.emulator.engine.thin import moment
from stripe_mongo_sync.emulator.objects import resources  # noqa: F401 - fills the table of types
from stripe_mongo_sync.emulator.objects.account import DEFAULT
from stripe_mongo_sync.emulator.people.actors import Actor
from stripe_mongo_sync.emulator.people.buyers import Buyer
from stripe_mongo_sync.emulator.people.trouble import NO_REQUEST, Trouble
from stripe_mongo_sync.emulator.protocol.renamed import renamed
from stripe_mongo_sync.emulator.protocol.wire import API_VERSION, Json, LogEntry
from stripe_mongo_sync.emulator.state.clock import Clock
from stripe_mongo_sync.emulator.state.destinations import DESTINATION, destination, destinations, is_thin
from stripe_mongo_sync.emulator.state.store import Store
from stripe_mongo_sync.emulator.state.webhooks import Delivery


class Service(Trouble):
    """A small stateful Stripe without a front. With `path`, its state survives a restart; a `seed` repeats its ids."""

    def __init__(
        self,
        seed: int = 0,
        path: str | Path | None = None,
        *,
        account: str = DEFAULT,
        api_version: str = API_VERSION,
    ) -> None:
        super().__init__(Engine(Store(path), seed, account, api_version))
        self.clock: Clock = self.engine.clock
        self.dashboard: Actor = Actor(self.engine, has_request_id=True)
        self.automation: Actor = Actor(self.engine, cause=NO_REQUEST)
        self.buyer: Buyer = Buyer(self.engine)
        self.token: str | None = None  # what the control API requires; None: every process on this machine may use it
        self.webhooks.recover()

    def copy(self) -> Self:
        """Return an independent copy of this Stripe, in memory."""
        with self.engine.lock:
            return copy.deepcopy(self, {id(self.engine.lock): threading.RLock()})

    def become(self, other: Self) -> None:
        """Take over the state of another Stripe, which must not be used afterwards. Transports stay valid."""
        vars(self).update(vars(other))

    # State

    @property
    def account(self) -> str:
        return self.engine.account

    @property
    def requests(self) -> list[LogEntry]:
        """Every request that reached the emulator, oldest first."""
        with self.engine.lock:
            return list(self.engine.log)

    def objects(self, kind: str, livemode: bool = False) -> list[Json]:
        """Return the objects that are not deleted, including archived ones, oldest first."""
        with self.engine.lock:
            realm, row = self.engine.realm(livemode), RESOURCES.get(kind)
            within = row.within if row is not None else None
            return copy.deepcopy(within(self.engine.execution(realm, None)) if within else realm.all(kind))

    def usable(self, kind: str, livemode: bool = False) -> list[Json]:
        """Return the objects that are neither deleted nor archived."""
        return [each for each in self.objects(kind, livemode) if each.get("active") is not False]

    def events(self, livemode: bool = False) -> list[Json]:
        """Return every event, oldest first, including those that the API does not show."""
        with self.engine.lock:
            return [copy.deepcopy(row["event"]) for row in self.engine.realm(livemode).table("event").values()]

    # Actors

    def actor(self, *, livemode: bool = False, request: Json | None = None) -> Actor:
        """Return an actor whose events carry this `request`: null, or a key of Stripe's own."""
        return Actor(self.engine, livemode, request)

    def neighbour(self, account: str, *, livemode: bool = False) -> Actor:
        """Return the Dashboard of another account of the same organization."""
        return Actor(self.engine, livemode, has_request_id=True, account=account)

    def authenticate(self, id: str, agrees: bool = True, livemode: bool = False) -> Json:
        """Confirm or refuse 3-D Secure as the cardholder, for a payment or setup intent."""
        return self.buyer.authenticate(id, agrees, livemode)

    def pay_session(
        self,
        id: str,
        card: str = "pm_card_visa",
        email: str = "buyer@example.com",
        code: str | None = None,
        livemode: bool = False,
    ) -> Json:
        """Pay a checkout session as a buyer, who may enter a promotion code. A declined card leaves it open."""
        return self.buyer.pay_session(id, card, email, code, livemode)

    def dispute(
        self,
        id: str,
        amount: int | None = None,
        reason: str = "fraudulent",
        inquiry: bool = False,
        livemode: bool = False,
    ) -> Json:
        """Dispute a charge or payment intent, or a part of it, as the bank. An inquiry takes no money yet."""
        return self.buyer.dispute(id, amount, reason, inquiry, livemode)

    def pay_out(self, currency: str = "usd", livemode: bool = False) -> Json:
        """Pay out all that was not paid out yet, as Stripe's schedule does; return the payout. Raises ValueError."""
        return self.buyer.pay_out(currency, livemode)

    def decide(self, id: str, status: str, livemode: bool = False) -> Json:
        """Decide a dispute as the bank: "won", "lost", or "needs_response", which turns an inquiry into a dispute."""
        return self.buyer.decide(id, status, livemode)

    def insert(self, kind: str, object: Json | None = None, *, livemode: bool = False, **fields: Any) -> Json:
        """Insert an object without checks or event, such as an old customer. Fields replace those of `object`."""
        row = RESOURCES[kind]
        with self.engine.state():
            inserted = {
                "id": row.new_id(self.engine.ids.draw, livemode),
                "object": kind,
                **copy.deepcopy(row.defaults),
                **({row.created_field: int(self.clock.now())} if row.created_field else {}),
                **({"livemode": livemode} if row.has_livemode else {}),
                **(object or {}),
                **fields,
            }
            self.engine.realm(livemode).put(kind, inserted["id"], {"object": inserted, "deleted": False})
            return copy.deepcopy(inserted)

    plant = renamed("plant", insert)

    # Webhook endpoints

    def endpoint(
        self,
        url: str,
        secret: str | None = None,
        api_version: str | None = None,
        enabled_events: list[str] | None = None,
        livemode: bool = False,
        payload: str = "snapshot",
        organization: bool = False,
        connect: bool = False,
    ) -> Json:
        """Register a webhook endpoint, or change the one with this `url`; return it with its secret.

        With `payload="thin"` it is an event destination, which receives thin events. An endpoint of an `organization`
        also receives the events of its other accounts, each with its `context`. An endpoint for `connect` receives
        only the events of connected accounts.
        """
        with self.engine.state():
            realm, thin = self.engine.realm(livemode), payload == "thin"
            wanted = {"enabled_events": enabled_events or ["*"], "api_version": api_version, "url": url}
            alike = (each for each in destinations(realm) if each["url"] == url and is_thin(each) == thin)
            known = next(alike, None)
            if thin:
                id = known["id"] if known else "ed_test_" + self.engine.ids.draw(24, "base62")
                made = destination(id, url, enabled_events or ["*"], livemode, moment(self.clock.now()))
                realm.put(DESTINATION, id, {"object": made, "deleted": False})
            else:
                made = self.insert("webhook_endpoint", known, livemode=livemode, **wanted)
            if connect:
                realm.put("connect", made["id"], {})
            if organization:
                realm.put("organization", made["id"], {})
            old = realm.table("secret").get(made["id"])
            if old is None or secret is not None:
                secret = secret or "whsec_" + self.engine.ids.draw(32, "base62")
                realm.put("secret", made["id"], {"secrets": [{"secret": secret, "until": None}]})
            return {**made, "secret": realm.table("secret")[made["id"]]["secrets"][0]["secret"]}

    def roll_secret(
        self, endpoint_id: str, secret: str | None = None, keep: float = 86_400, livemode: bool = False
    ) -> str:
        """Return a new secret. The old ones sign, too, for `keep` seconds (stripe-facts.md#events-and-webhooks)."""
        with self.engine.state():
            realm, until = self.engine.realm(livemode), self.clock.now() + keep
            old = realm.table("secret")[endpoint_id]["secrets"]
            fresh = secret or "whsec_" + self.engine.ids.draw(32, "base62")
            kept = [{"secret": each["secret"], "until": each["until"] or until} for each in old]
            realm.put("secret", endpoint_id, {"secrets": [{"secret": fresh, "until": None}, *kept]})
            return fresh

    def resend(self, event_id: str, livemode: bool = False) -> None:
        """Deliver an event again, as the Dashboard's button does."""
        with self.engine.state():
            self.webhooks.resend(self.engine.realm(livemode), event_id)

    def forge(self, event: Json | bytes, livemode: bool = False) -> Delivery:
        """Return a delivery of any event or body, signed for the first endpoint; it is in no log or queue."""
        with self.engine.lock:
            return self.webhooks.forge(self.engine.realm(livemode), event)

    def close(self) -> None:
        with self.engine.lock:
            self.engine.store.close()
