"""Quotes: offered, accepted or canceled, on both sides; what accepting makes is a document, and opens the door."""

import asyncio
import socket
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest

from stripe_mongo_sync import aio, sync
from stripe_mongo_sync.emulator.fronts.server import Server
from stripe_mongo_sync.models import Quote, kinds
from stripe_mongo_sync.sync.errors import BadKey, CannotReadStripe, InProgress, NotFound, NotPossible
from stripe_mongo_sync.sync.stripe.gateway import Gateway
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

NAME = "sample@here.com"


def offered(world: World, **more: Any) -> Quote:
    """A finalized quote of a monthly price."""
    card = samples.payer("sample")
    quote, _ = sync.create(Quote, {**samples.body("quote"), "customer": card.username, **more})
    return sync.act(quote, "finalize")


def recurring() -> str:
    plan = {**samples.body("price", "plan"), "recurring": {"interval": "month"}}
    return str(sync.create(kinds()["price"], plan)[0].stripe_id)


def test_a_quote_goes_from_draft_to_accepted(world: World) -> None:
    quote, _ = sync.create(Quote, samples.body("quote"))
    assert (quote.stripe_status, quote.amount_total, quote.currency, quote.number) == ("draft", 1980, "eur", None)
    assert quote.expires_at == quote.stripe["created"] + 30 * 86_400

    quote = sync.act(quote, "finalize")
    assert (quote.stripe_status, quote.number is None) == ("open", False)
    assert quote.status_transitions.finalized_at == quote.stripe["created"]
    quote = sync.act(quote, "accept")

    assert (quote.stripe_status, quote.subscription) == ("accepted", None)
    world.deliver()
    invoice = kinds()["invoice"].by_stripe_id(quote.invoice)
    assert (invoice.customer, invoice.total, invoice.stripe_status) == (quote.customer, 1980, "draft")
    world.converge()
    assert_in_sync(world)


@pytest.mark.parametrize("heard", [True, False], ids=["by webhooks", "by reconcile"])
@pytest.mark.parametrize("adopt", ["yes", "no"])
def test_a_subscription_that_our_quote_made_is_a_document_and_opens_the_door(
    world: World, heard: bool, adopt: str
) -> None:
    world.settings["ADOPT"] = adopt
    world.start()
    price = recurring()
    product = kinds()["price"].by_stripe_id(price).product
    quote = offered(world, line_items=[{"price": price, "quantity": 1}])
    assert not sync.access(NAME, product=product)["entitled"]

    quote = sync.act(quote, "accept")
    if heard:
        world.deliver()
    else:
        world.webhooks()
        world.advance(minutes=20)
        world.reconcile()

    subscription = kinds()["subscription"].by_stripe_id(quote.subscription)
    assert (subscription.stripe_status, subscription.customer) == ("active", quote.customer)
    assert subscription.latest_invoice == quote.invoice
    assert sync.access(NAME, product=product)["by"][0]["id"] == str(subscription.id)
    assert_in_sync(world)


def test_a_quote_that_begins_later_makes_a_schedule(world: World) -> None:
    later = int(world.stripe.clock.now()) + 86_400
    data = {"effective_date": later}
    quote = offered(world, line_items=[{"price": recurring(), "quantity": 1}], subscription_data=data)

    quote = sync.act(quote, "accept")

    world.deliver()
    assert (quote.subscription, quote.invoice) == (None, None)
    schedule = kinds()["subscription_schedule"].by_stripe_id(quote.subscription_schedule)
    assert (schedule.stripe_status, schedule.phases[0].start_date) == ("not_started", later)


def test_stripe_cancels_what_nobody_accepts_in_time(world: World) -> None:
    quote = offered(world)

    world.advance(hours=31 * 24)
    world.deliver()

    quote = quote.fetch_latest()
    assert (quote.stripe_status, quote.status_transitions.canceled_at) == ("canceled", quote.expires_at)
    with pytest.raises(sync.Refused, match="status of canceled"):
        sync.act(quote, "accept")


def test_a_revision_takes_the_place_of_the_quote_before(world: World) -> None:
    quote = offered(world)

    again, _ = sync.create(Quote, {"from_quote": {"quote": str(quote.id), "is_revision": True}})
    again = sync.act(again, "finalize")
    world.deliver()

    assert (again.amount_total, again.customer, again.stripe_status) == (1980, quote.customer, "open")
    assert quote.fetch_latest().stripe_status == "canceled"


def test_lists_know_the_customer_and_the_status(world: World) -> None:
    quote, draft = offered(world), sync.create(Quote, samples.body("quote"))[0]

    found = list(sync.find("quote", customer=NAME, stripe_status="open"))

    assert [each.id for each in found] == [quote.id]
    below = world.http.get(f"/customers/{NAME}/quotes").json["data"]
    assert {each["id"] for each in below} == {str(quote.id), str(draft.id)}


# --- the PDF ---


@pytest.mark.parametrize("by", ["document", "id", "stripe_id"])
def test_the_pdf_is_read_piece_by_piece_and_nothing_is_stored(world: World, by: str) -> None:
    quote = offered(world)
    before = {name: list(rows) for name, rows in stored(world).items()}
    named = quote if by == "document" else str(getattr(quote, by))

    pieces = list(sync.quote_pdf(named))

    assert len(pieces) > 1
    pdf = b"".join(pieces)
    assert (pdf[:5], pdf[-6:], quote.number.encode() in pdf) == (b"%PDF-", b"%%EOF\n", True)
    assert stored(world) == before


def stored(world: World) -> dict[str, Any]:
    database = Quote._get_collection().database
    return {name: list(database[name].find()) for name in database.list_collection_names()}


def test_the_api_hands_the_pdf_on(world: World) -> None:
    quote = offered(world)

    told = world.http.get(f"/quotes/{quote.id}/pdf")

    assert (told.status_code, told.mimetype) == (200, "application/pdf"), told.data
    assert told.headers["Content-Disposition"] == f'inline; filename="{quote.number}.pdf"'
    assert told.headers["Cache-Control"] == "no-store"
    assert told.data == b"".join(sync.quote_pdf(quote))


async def _collected(quote: str) -> bytes:
    return b"".join([piece async for piece in aio.quote_pdf(quote)])


def test_a_coroutine_reads_it_without_waiting(world: World) -> None:
    quote = offered(world)

    assert asyncio.run(_collected(str(quote.id))) == b"".join(sync.quote_pdf(quote))


def test_a_quote_without_a_pdf_says_why(world: World) -> None:
    draft, _ = sync.create(Quote, samples.body("quote"))
    with pytest.raises(NotPossible, match="not finalized"):
        sync.quote_pdf(draft)
    problem(world.http.get(f"/quotes/{draft.id}/pdf"), 409, "not-possible")
    with pytest.raises(NotFound):
        sync.quote_pdf("qt_unknown")
    problem(world.http.get("/quotes/qt_unknown/pdf"), 404, "not-found")
    world.stripe.fault("cut_before", method="POST", times=2)
    pending, _ = sync.create(Quote, {"customer": NAME})
    with pytest.raises(InProgress):
        sync.quote_pdf(pending)
    problem(world.http.get(f"/quotes/{draft.id}/pdf?expand=stripe"), 422, "invalid")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("cut_before", "Stripe was not reached|no readable answer"),
        ("timeout_before", "no readable answer"),
        ("503_edge", "503|no readable answer"),
        ("rate_limit", "429"),
        ("html_body", "is no PDF"),
        ("500_before", "500"),
    ],
)
def test_what_goes_wrong_on_the_way_is_said(world: World, fault: str, says: str) -> None:
    quote = offered(world)
    world.stripe.fault(fault, method="GET", path="/v1/quotes/*/pdf", times=2)

    with pytest.raises(CannotReadStripe, match=says):
        sync.quote_pdf(quote)
    problem(world.http.get(f"/quotes/{quote.id}/pdf"), 504, "cannot-look")


@pytest.mark.parametrize(
    ("sent", "says"), [(b"%PDF" + b"x" * 70_000, None), (b"%PDF-1.7" + b"x" * 70_000, "broke off")]
)
def test_a_download_that_breaks_off_says_so(world: World, sent: bytes, says: str | None) -> None:
    """A server of its own, which promises more than it sends; or what it sends is no PDF."""
    quote = offered(world)
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = Thread(target=_answer, args=(server, sent))
        answering.start()
        base = f"http://127.0.0.1:{server.getsockname()[1]}"
        gateway = Gateway(replace(world.read, stripe_api_base=base))

        if says is None:
            with pytest.raises(CannotReadStripe, match="is no PDF"):
                gateway.quote_pdf(quote.stripe_id)
        else:
            pieces = gateway.quote_pdf(quote.stripe_id)
            assert len(next(pieces)) == 65_536
            with pytest.raises(CannotReadStripe, match=says):
                list(pieces)
        answering.join(10)


def _answer(server: socket.socket, sent: bytes) -> None:
    caller, _ = server.accept()
    with caller:
        caller.recv(65_536)
        caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nContent-Length: 999999\r\n\r\n" + sent)


def test_it_is_read_through_a_connection_as_it_is(world: World) -> None:
    quote = offered(world)
    with Server(world.stripe) as server:
        gateway = Gateway(replace(world.read, stripe_api_base=server.url))

        assert b"".join(gateway.quote_pdf(quote.stripe_id)) == b"".join(sync.quote_pdf(quote))


def test_a_key_that_is_refused_is_said(world: World) -> None:
    quote = offered(world)
    world.stripe.revoke(world.read.stripe_secret_key)

    with pytest.raises(BadKey):
        sync.quote_pdf(quote)
