"""What an older version stored, written raw as it was then, becomes what this one stores at the first run."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Invoice, PaymentIntent
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.content import digest
from stripe_mongo_sync.models.rows.scrub import scrub
from stripe_mongo_sync.models.state import MIGRATIONS, State
from stripe_mongo_sync.sync.process.stop import Stopped
from stripe_mongo_sync.sync.runs import migrations
from stripe_mongo_sync.sync.runs.backfill import backfill
from stripe_mongo_sync.sync.shop.erase import erase
from stripe_mongo_sync.sync.stripe import answers
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.mongo import our_database
from tests.support.scenes import begin
from tests.support.world import World

KEY = "https://billing.stripe.com/p/session/zq7x"


def old_digest(remote: dict[str, Any]) -> str:
    """As all were, before links were left out and the erased told only what stays."""
    return hashlib.sha256(json.dumps(remote, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def age(collection: str) -> None:
    """Make all documents of a collection what an older version stored."""
    for row in our_database()[collection].find({"stripe": {"$type": "object"}}):
        changes = {"$set": {"digest": old_digest(row["stripe"])}, "$unset": {"links_seen_at": 1}}
        our_database()[collection].update_one({"_id": row["_id"]}, changes)


def told(what: str) -> list[str]:
    database = our_database()
    return [name for name in database.list_collection_names() for row in database[name].find() if what in str(row)]


def portal(id: str) -> dict[str, Any]:
    return {"id": id, "object": "billing_portal.session", "customer": "cus_1", "url": KEY}


def old_event(type: str, remote: dict[str, Any], number: int = 0) -> dict[str, Any]:
    about = {"id": f"evt_old{number}", "object": "event", "type": type, "created": 1_700_000_000, "livemode": False}
    raw = json.dumps({**about, "api_version": answers.api_version(), "data": {"object": remote}}).encode()
    row = {"_id": about["id"], "type": type, "created": about["created"], "object_id": remote["id"], "raw": raw}
    return row | {"state": "applied", "error": None, "attempts": 1, "via": "webhook", "lease": None}


def live(world: World) -> None:
    """Have an invoice and a payment."""
    sync.act(samples.create("invoice"), "finalize", {})
    samples.create("payment_intent")
    world.deliver()
    world.advance(minutes=30)
    world.converge()


@pytest.fixture
def old(world: World) -> World:
    """A database as an older version left it: keys in the snapshots and the inbox, digests of everything."""
    begin(world, live)
    State.clear(MIGRATIONS)
    database, intent = our_database(), PaymentIntent.objects.get(description="of sample")
    for name in ("invoices", "payment_intents", "customers", "charges"):
        age(name)
    inner = {
        "last_payment_error": {"payment_intent": {"object": "payment_intent", "client_secret": "pi_9_secret_zq7x"}}
    }
    database.setup_intents.insert_one(
        {"_id": ObjectId(), "status": "deleted", "live": False, "revision": 3, "stripe_id": "seti_1", "seen_at": 5}
        | {"stripe": {"id": "seti_1", "object": "setup_intent", **inner}, "digest": "old"}
    )
    database.identity_verification_sessions.insert_one(
        {"_id": ObjectId(), "status": "active", "live": True, "revision": 1, "stripe_id": "vs_1", "seen_at": 5}
        | {"stripe": {"id": "vs_1", "object": "identity.verification_session", "url": f"{KEY}/vs"}, "digest": "old"}
    )
    database.billing_portal_sessions.insert_one(
        {"_id": ObjectId(), "status": "active", "revision": 1, "stripe_id": "bps_1", "stripe": portal("bps_1")}
    )
    events = [old_event("billing_portal.session.created", portal("bps_1"))]
    events.append(old_event("payment_intent.created", dict(intent.stripe or {}), 1))
    events.append({**old_event("customer.created", {"id": "cus_1", "object": "customer"}, 2), "raw": b"no JSON"})
    database.stripe_events.insert_many(events)
    delivery = {"_id": "n:h", "raw": events[1]["raw"], "kind": "event", "state": "done", "attempts": 1, "lease": None}
    database.hook_deliveries.insert_one(delivery)
    return world


RUNS: dict[str, Callable[[World], Any]] = {
    "reconcile": lambda world: world.reconcile(),
    "backfill": lambda world: backfill(patience=Throttle(pause=lambda seconds: None)),
}


@pytest.mark.parametrize("command", RUNS)
def test_the_first_run_removes_the_keys_that_were_stored(old: World, command: str) -> None:
    intent = PaymentIntent.objects.get(description="of sample")
    assert "stripe_events" in told(str(intent.client_secret))

    RUNS[command](old)

    assert told(KEY) == told("pi_9_secret_zq7x") == []
    assert told(str(intent.client_secret)) == ["payment_intents"], "which stays where a shop hands it on"
    assert our_database().stripe_events.find_one({"_id": "evt_old2"})["raw"] != b"no JSON"
    assert "billing_portal_sessions" not in our_database().list_collection_names()
    assert State.read(MIGRATIONS)["done"] == [each.name for each in migrations.MIGRATED]


def test_a_full_comparison_after_the_upgrade_finds_no_drift_and_writes_only_what_must_change(old: World) -> None:
    our_database().identity_verification_sessions.delete_many({})
    our_database().setup_intents.delete_many({})
    before = {document.id: document.revision for document in old.documents()}

    report = old.reconcile(full=True)

    assert report.counts["drift"] == 0, dict(report.counts)
    assert {document.id: document.revision for document in old.documents()} == before
    invoice = Invoice.objects.get()
    assert invoice.digest == digest(invoice.stripe)
    assert clock.now().timestamp() - invoice.links_seen_at.timestamp() < 3600
    assert_in_sync(old)


def test_the_digest_of_the_erased_tells_nothing_that_can_be_tried(world: World) -> None:
    customer = sync.create_customer("user@here.com", name="A Name", phone="+49 555 1234")
    world.deliver()
    whole = dict(customer.fetch_latest().stripe or {})
    erase("user@here.com")
    gone = customer.fetch_latest()
    assert gone.digest == digest(gone.stripe) == digest(scrub(whole)) != old_digest(whole)
    our_database().customers.update_one({"_id": customer.id}, {"$set": {"digest": old_digest(whole)}})
    State.clear(MIGRATIONS)

    world.reconcile()

    assert customer.fetch_latest().digest == gone.digest
    assert not told(old_digest(whole))
    assert not told(digest(whole))


@pytest.mark.parametrize("dies_at", range(1, 5))
def test_a_run_that_dies_goes_on_from_its_place(old: World, monkeypatch: pytest.MonkeyPatch, dies_at: int) -> None:
    monkeypatch.setattr(migrations, "BATCH", 1)
    notes: list[Any] = []

    def note(step: Any) -> None:
        notes.append(step)
        if len(notes) == dies_at:
            raise Stopped

    with pytest.raises(Stopped):
        migrations.migrate(note)
    at = State.read(MIGRATIONS)["place"]
    read: list[tuple[str, Any]] = []
    real = migrations.stored.rows_after
    monkeypatch.setattr(migrations.stored, "rows_after", lambda *given: (read.append(given[:2]), real(*given))[1])

    old.reconcile()

    assert read[0] == (at["collection"], at["after"]), "what was done is not read again"
    assert told(KEY) == []


def test_what_somebody_changes_meanwhile_is_not_overwritten(old: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., bool] = migrations.stored.rewrite
    met: list[str] = []

    def rewrite(collection: str, row: dict[str, Any], guard: str, changes: dict[str, Any]) -> bool:
        if collection == "invoices" and not met:
            met.append(collection)
            invoice = Invoice.objects.get()
            assert invoice.update_if_unchanged(stripe={**(invoice.stripe or {}), "description": "newer"})
        return real(collection, row, guard, changes)

    monkeypatch.setattr(migrations.stored, "rewrite", rewrite)

    migrations.migrate(lambda step: None)

    invoice = Invoice.objects.get()
    assert met
    assert (invoice.stripe["description"], invoice.digest) == ("newer", digest(invoice.stripe))


def test_afterwards_it_costs_one_read(old: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old.reconcile()
    monkeypatch.setattr(migrations.stored, "rows_after", lambda *given: pytest.fail("it was done"))
    old.reconcile()


def test_a_dry_run_migrates_nothing(old: World) -> None:
    old.reconcile(dry=True)
    assert told(KEY)
    assert State.read(MIGRATIONS) is None
