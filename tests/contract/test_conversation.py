"""Every request of the service, and every reply of the emulator, agrees with the independent sources."""

import re
from contextlib import suppress
from typing import Any

import pytest
import stripe
from pymongo.database import Database

from stripe_mongo_sync import sync
from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.engine.calls import EVENT
from stripe_mongo_sync.emulator.engine.resource import BY_PATH, ROUTES
from stripe_mongo_sync.emulator.objects.read_only import READ_ONLY
from stripe_mongo_sync.models import Customer, created_kinds
from stripe_mongo_sync.sync.operator import endpoint
from stripe_mongo_sync.sync.operator.doctor import examine
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.runs.backfill import backfill
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.conftest import empty
from tests.contract import mirrored_samples
from tests.contract import samples as stripe_samples
from tests.contract.conversation import Exchange, Overheard
from tests.contract.openapi import PATH
from tests.contract.outsiders import reply_differences, request_differences, reviewed, template
from tests.support import samples
from tests.support.mongo import MongoServer
from tests.support.world import World

if not PATH.exists():
    pytest.skip("Stripe's OpenAPI file is not here", allow_module_level=True)

Json = dict[str, Any]
TOLD = {path: row for path, row in {**BY_PATH, EVENT.path: EVENT}.items() if row not in READ_ONLY}


@pytest.fixture(scope="module")
def spoken(mongo_server: MongoServer, _worker_database: Database[Any]) -> list[Exchange]:
    """The requests of the service in every journey: all verbs of every kind, then refresh, search, undo and lists."""
    exchanges: list[Exchange] = []
    empty(_worker_database)
    world = World(mongo_server.uri(_worker_database.name), around=lambda transport: Overheard(transport, exchanges))
    try:
        journeys(world)
    finally:
        world.stop()
    return exchanges


def name_of(kind: str) -> str:
    return re.sub(r"\W", "-", kind.replace("_", "-"))


def make_room() -> None:
    """Free the username, which all samples use."""
    for customer in Customer.objects(username="sample@here.com", is_current=True):
        sync.update(customer, {"username": f"was {customer.id} before"})


def journeys(world: World) -> None:
    for kind, model in created_kinds().items():
        document = samples.create(kind, name_of(kind))
        if kind in samples.CHANGES:
            sync.update(document.fetch_latest(), samples.CHANGES[kind])
        for action in samples.ACTS.get(kind, ()):
            make_room()
            ready = samples.ready(kind, action)
            make_room()
            sync.act(ready, action, samples.given(kind, action))
        if model.resource.deletable:
            with suppress(sync.Refused, sync.NotFound):
                sync.delete(document.fetch_latest())
        world.deliver()
    customer = sync.create_customer("portal@here.com", invoice_prefix="ABC", preferred_locales=["de"])
    sync.open_portal(customer, "https://shop.example/")
    sync.create_preview(subscription=str(samples.create("subscription", "preview").id))
    b"".join(sync.quote_pdf(sync.act(samples.create("quote", "pdf"), "finalize", {})))
    sync.attach_evidence(samples.create("dispute", "evidence"), receipt=("a receipt.pdf", b"%PDF-1.7"))
    for fault, method in (("decline", "POST"), ("cut_after", "POST"), ("500_repair", "POST"), ("503_edge", "GET")):
        world.stripe.fault(fault, method=method, times=2)
        with suppress(sync.Refused):
            sync.create_customer(f"{fault}@here.com")
    world.stripe.clear_faults()
    world.stripe.repair()
    world.advance(hours=30)
    world.converge()
    made, _ = endpoint.create("https://shop.example/other")
    endpoint.list_endpoints()
    endpoint.update(made)
    endpoint.roll(made)
    endpoint.delete(made, force=True)
    examine("https://shop.example/webhooks/stripe")
    backfill(patience=Throttle(1000.0, lambda seconds: None), since=int(world.stripe.clock.now()) - 86_400)
    backfill(patience=Throttle(1000.0, lambda seconds: None))
    world.reconcile(full=True)
    erase(str(customer.id))


@pytest.fixture(scope="module")
def heard(spoken: list[Exchange]) -> list[Exchange]:
    """The same, and good and bad requests to every route of the emulator that the service does not use."""
    exchanges: list[Exchange] = []
    emulator = Emulator()
    client = stripe.StripeClient("sk_test_x", http_client=Overheard(emulator.transport(), exchanges))
    for make in (stripe_samples.pay, stripe_samples.check_out, stripe_samples.bill, stripe_samples.host):
        make(emulator)
    client.v1.webhook_endpoints.create({"url": "https://example.com", "enabled_events": ["*"]})
    refund = emulator.objects("refund")[0]
    emulator.insert("refund", {**refund, "status": "requires_action"})
    client.v1.refunds.cancel(refund["id"])
    mirrored_samples.tell(emulator, client)
    client.v1.disputes.close(next(each["id"] for each in emulator.objects("dispute") if each["status"] != "won"))
    for path, row in TOLD.items():
        whose = {name: emulator.objects(name)[0]["id"] for name, each in row.filters.items() if each.field.required}
        listed = client.raw_request("get", f"/v1/{path}", limit=3, **whose).data["data"] if row.readable else []
        for one in listed[:1]:
            client.raw_request("get", f"/v1/{path}/{one['id']}")
            for name in row.lists:
                client.raw_request("get", f"/v1/{path}/{one['id']}/{name}")
            if "metadata" in (row.update or {}):
                client.raw_request("post", f"/v1/{path}/{one['id']}", **{"metadata": {"k": "v"}})
        for verb, rest in (("get", "/nothing"), ("post", ""), ("post", "/nothing"), ("delete", "/nothing")):
            with suppress(stripe.StripeError):
                client.raw_request(verb, f"/v1/{path}{rest}", colour="red")
    client.v1.subscriptions.resume(paused(emulator))
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000})
    client.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": 1_900_000_000})
    client.v1.test_helpers.test_clocks.delete(clock.id)
    return [*spoken, *exchanges]


def paused(emulator: Emulator) -> str:
    """Create a subscription whose trial ended without a card."""
    boss = emulator.dashboard
    customer = boss.create("customer")["id"]
    data = {"currency": "usd", "unit_amount": 500, "recurring": {"interval": "month"}, "product_data": {"name": "P"}}
    made = boss.create(
        "subscription",
        customer=customer,
        items=[{"price": boss.create("price", **data)["id"]}],
        trial_period_days=1,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )
    emulator.clock.advance(86_400 + 3_600)
    boss.update("customer", customer, name="wakes it")
    return str(made["id"])


def served() -> set[tuple[str, str]]:
    """Return every route of the emulator, with `{}` for each id."""
    found = {("get", "/v1/account")}
    for path, row in TOLD.items():
        all, one = f"/v1/{path}", f"/v1/{path}/{{}}"
        found |= {("get", all), ("get", one)} if row.readable else set()
        found |= {("post", all)} if row.create is not None else set()
        found |= {("post", one)} if row.update is not None else set()
        found |= {("delete", one)} if row.delete_action is not None or row.delete != "never" else set()
        found |= {("post", f"{one}/{action}") for action in row.actions}
        found |= {("get", f"{one}/{name}") for name in row.lists}
    unknown = ("payment_pages", "test/authorizations")  # routes of Stripe's command line, which neither source has
    odd = {(way.method.lower(), f"/v1/{way.path}") for way in ROUTES}
    return found | {(method, path) for method, path in odd if not any(name in path for name in unknown)}


def route_of(said: Exchange) -> tuple[str, str]:
    return said.method, template(said.path) or said.path


def test_every_request_of_the_service_is_as_the_outsiders_have_it(spoken: list[Exchange]) -> None:
    told = [
        (route_of(said), what) for said in spoken for what in request_differences(said.method, said.path, said.params)
    ]

    assert len(spoken) > 300
    reviewed(((f"asks {method.upper()} {path}", what) for (method, path), what in told), "asks *")


def test_every_reply_of_the_emulator_is_as_the_outsiders_have_it(heard: list[Exchange]) -> None:
    told = {repr((said.method, route_of(said), said.status, said.reply)): said for said in heard}
    found = (
        each for said in told.values() for each in reply_differences(said.method, said.path, said.status, said.reply)
    )

    reviewed(((f"shows {kind}", what) for kind, what in found), "shows *")


@pytest.mark.parametrize(
    ("path", "told"), [("billing/credit_grants", set()), ("billing/grants", {"?POST /v1/billing/grants"})]
)
def test_a_call_that_nobody_knows_is_none(path: str, told: set[str]) -> None:
    given = {"amount": {"type": "monetary"}, "applicability_config": {"scope": {"price_type": "metered"}}}

    assert request_differences("post", f"/v1/{path}", given) == told


def test_every_route_of_the_emulator_is_heard(heard: list[Exchange]) -> None:
    assert served() - {route_of(said) for said in heard if said.status == 200} == set()
    assert {said.status for said in heard} >= {200, 400, 402, 404}
