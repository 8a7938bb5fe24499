"""Links that Stripe renders anew at each reading: no content, and never served when they are long dead."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Invoice, kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.content import has_links
from stripe_mongo_sync.sync.stripe import answers
from stripe_mongo_sync.sync.stripe.gateway import QUICK
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.scenes import begin
from tests.support.world import World

LINKS = ("hosted_invoice_url", "invoice_pdf")


@pytest.fixture
def invoice(world: World) -> Invoice:
    """An invoice that was paid, and its charge."""
    begin(world, paid)
    found: Invoice = Invoice.objects.get()
    return found


def paid(world: World) -> None:
    made = sync.act(samples.create("invoice"), "finalize", {})
    sync.act(made, "pay", {})
    world.deliver()
    world.advance(minutes=30)
    world.converge()


def shown(world: World, path: str) -> dict[str, Any]:
    response = world.http.get(path)
    assert response.status_code == 200
    told: dict[str, Any] = response.json
    return told


def test_stripe_renders_links_anew_at_each_reading(world: World, invoice: Invoice) -> None:
    path = f"/v1/invoices/{invoice.stripe_id}"
    seen = [sync.current().gateway.get(path) for _ in range(2)]
    first, second = ({name: each.remote[name] for name in LINKS} for each in seen if each)
    assert all(first[name] != second[name] for name in LINKS)


def test_what_nobody_changed_is_no_drift_and_is_not_written(world: World, invoice: Invoice) -> None:
    world.reconcile(full=True)
    before = {document.id: document.revision for document in world.documents()}
    assert sum(has_links(document.stripe) for document in world.documents()) >= 2, "the invoice and the charge"
    for _ in range(2):
        world.advance(minutes=30)
        report = world.reconcile(full=True)
        assert (report.counts["drift"], report.exit_code) == (0, 0), dict(report.counts)

    assert {document.id: document.revision for document in world.documents()} == before
    assert_in_sync(world)


def test_a_change_is_still_drift(world: World, invoice: Invoice) -> None:
    world.stripe.dashboard.update("invoice", invoice.stripe_id, metadata={"note": "changed"})
    world.webhooks()  # and lost
    world.advance(minutes=30)

    assert world.reconcile(full=True).counts["event_applied"] == 1
    assert invoice.fetch_latest().stripe["metadata"] == {"note": "changed"}


def test_an_event_of_the_same_second_that_shows_another_link_costs_no_look(world: World, invoice: Invoice) -> None:
    raw = json.dumps(
        {
            "id": "evt_same",
            "object": "event",
            "type": "invoice.updated",
            "created": invoice.snapshot_earliest,
            "livemode": False,
            "api_version": answers.api_version(),
            "data": {"object": {**(invoice.stripe or {}), "hosted_invoice_url": "https://invoice.stripe.com/another"}},
        }
    ).encode()
    asked = len(world.stripe.requests)

    assert world.send(raw).json == {"state": "applied"}

    assert len(world.stripe.requests) == asked


def test_a_newer_event_brings_newer_links(world: World, invoice: Invoice) -> None:
    world.advance(hours=1)
    world.stripe.dashboard.update("invoice", invoice.stripe_id, metadata={"note": "changed"})
    (raw,) = world.webhooks()
    told = json.loads(raw)["data"]["object"]["hosted_invoice_url"]

    world.deliver([raw])

    after = invoice.fetch_latest()
    assert after.hosted_invoice_url == told
    assert after.links_seen_at > invoice.links_seen_at


def test_one_document_is_read_again_when_its_links_are_old(world: World, invoice: Invoice) -> None:
    old = shown(world, f"/invoices/{invoice.id}")
    world.advance(days=29)
    asked = len(world.stripe.requests)
    assert shown(world, f"/invoices/{invoice.id}") == old
    assert len(world.stripe.requests) == asked, "they are still good"
    world.advance(days=2)

    new = shown(world, f"/invoices/{invoice.id}")

    assert all(new[name] and new[name] != old[name] for name in LINKS)
    assert clock.now() - datetime.fromisoformat(new["links_seen_at"]) < timedelta(minutes=1)
    assert shown(world, f"/invoices/{invoice.id}") == new, "and is not read again at once"


def test_the_snapshot_of_a_mirrored_type_is_read_again_too(world: World, invoice: Invoice) -> None:
    charge = kinds()["charge"].objects.get()
    world.advance(days=31)

    told = shown(world, f"/charges/{charge.stripe_id}?expand=stripe")

    assert told["stripe"]["receipt_url"] not in (None, charge.stripe["receipt_url"])


@pytest.mark.parametrize("fault", ["cut_before", "timeout_before", "rate_limit", "500_before"])
def test_without_an_answer_an_old_link_is_null(world: World, invoice: Invoice, fault: str) -> None:
    world.advance(days=31)
    world.stripe.fault(fault, method="GET", times=None)

    told = shown(world, f"/invoices/{invoice.id}?expand=stripe")

    assert [told[name] for name in LINKS] == [None, None]
    assert [told["stripe"][name] for name in LINKS] == [None, None]
    assert told["stripe"]["number"] == invoice.number, "the rest is shown"
    assert invoice.fetch_latest().hosted_invoice_url == invoice.hosted_invoice_url


def test_a_look_inside_of_a_request_takes_three_seconds_at_most() -> None:
    assert sum(QUICK) <= 3


def test_lists_say_when_a_link_was_seen(world: World, invoice: Invoice) -> None:
    world.advance(days=31)
    asked = len(world.stripe.requests)

    (told,) = shown(world, "/invoices")["data"]

    assert told["hosted_invoice_url"] == invoice.hosted_invoice_url
    assert clock.now() - datetime.fromisoformat(told["links_seen_at"]) > timedelta(days=30)
    assert len(world.stripe.requests) == asked, "a list asks Stripe nothing"
    assert "links_seen_at" not in shown(world, f"/customers/{invoice.customer}"), "a customer has no links"


def test_a_row_of_an_older_version_whose_link_has_no_age_is_read_again(world: World, invoice: Invoice) -> None:
    Invoice._get_collection().update_many({}, {"$unset": {"links_seen_at": 1}})

    told = shown(world, f"/invoices/{invoice.id}")

    assert told["hosted_invoice_url"] != invoice.hosted_invoice_url
