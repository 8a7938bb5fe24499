"""What Stripe's lists leave out, and what it lists under its owner only: asked for, or named as not compared."""

import json
from itertools import count
from typing import Any

import pytest

from stripe_mongo_sync.models import Customer, Invoice, PaymentMethod, Price, State, Subscription, SyncedDocument, kinds
from stripe_mongo_sync.models.owned import CLOCK, OWNED, OWNERS, Owned
from stripe_mongo_sync.models.state import CHECKPOINT, COMPARISON
from stripe_mongo_sync.sync.process.limits import OWNER_READS
from stripe_mongo_sync.sync.runs.progress import ProgressStep
from stripe_mongo_sync.sync.stripe.answers import api_version
from tests.integration.sync.runs.test_backfill import copy
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.representatives import representatives
from tests.support.run import Run
from tests.support.stock import stock
from tests.support.world import KEY, World

UNDER = [(owned, kind) for owned in OWNED if not owned.in_time for kind in owned.kinds]
CLOCKED = [owned for owned in OWNED if owned.of_clocks]
number = count()


def insert(world: World, kind: str, **fields: Any) -> dict[str, Any]:
    return world.stripe.insert(kind, created=int(world.stripe.clock.now()) - 7200 + next(number), **fields)


def cards(world: World, customers: int, each: int = 1) -> list[str]:
    """Let so many customers have cards; what events told of it was lost."""
    made = []
    for _ in range(customers):
        customer = world.stripe.dashboard.create("customer")
        for _ in range(each):
            card = world.stripe.dashboard.create("payment_method", type="card", card={"token": "tok_visa"})
            world.stripe.dashboard.act("payment_method", card["id"], "attach", customer=customer["id"])
            made.append(card["id"])
    world.webhooks()
    world.advance(days=40)
    return made


def ids(model: type[SyncedDocument]) -> set[str]:
    return {document.stripe_id for document in model.objects(status="active")}


def asked(under: tuple[Owned, str]) -> tuple[object, ...]:
    """How the list of one owner is asked for, and what is in it."""
    owned, _ = under
    return "{id}" in owned.path, bool(owned.query), bool(owned.shown), len(owned.kinds) > 1


@pytest.mark.parametrize("under", representatives(UNDER, asked, lambda under: f"{under[0].path} {under[1]}"))
def test_what_an_owner_has_is_copied_by_a_backfill_and_by_a_full_comparison(
    world: World, run: Run, under: tuple[Owned, str]
) -> None:
    owned, kind = under
    owner = insert(world, owned.owner)
    made = [insert(world, kind, **{owned.named: owner["id"]}) for _ in range(3)]
    if owned.shown:  # the beginning of it
        world.stripe.insert(owned.owner, {**owner, owned.shown: {"object": "list", "data": made, "has_more": False}})
    theirs = {remote["id"] for remote in made}
    model = kinds()[kind]

    code, told = run(f"backfill {kind}")
    assert (code, told["kinds"], ids(model)) == (0, {kind: {"adopt": 3}}, theirs), told

    model._get_collection().delete_many({})
    world.advance(hours=1)
    report = world.reconcile(full=True)
    assert (report.exit_code, ids(model)) == (0, theirs), report


def test_whose_owner_was_edited_by_hand_is_read_under_the_owner_that_the_list_shows(world: World) -> None:
    """Its path names the owner, and it has changed at Stripe since: the content that was stored is seen no more."""
    owner = insert(world, "customer")
    remote = insert(world, "card", customer=owner["id"], name="A")
    world.advance(hours=1)
    copy()
    model = kinds()["card"]
    (document,) = model.objects
    model._get_collection().update_one({"_id": document.id}, {"$set": {"stripe.customer": "cus_Another"}})
    world.stripe.insert("card", remote, name="B")

    report = world.reconcile(full=True)

    assert (report.counts["edited"], report.exit_code) == (1, 0), report
    after = document.fetch_latest()
    assert (after.status, after.stripe["customer"], after.stripe["name"]) == ("active", owner["id"], "B")


def test_a_backfill_of_everything_takes_the_cards_of_every_customer_along(world: World, run: Run) -> None:
    made = cards(world, 3, each=2)

    code, told = run("backfill")

    assert (code, told["finished"], told["kinds"]["payment_method"]) == (0, True, {"adopt": 6})
    assert ids(PaymentMethod) == {*made}
    assert State.read(CHECKPOINT) is not None
    assert_in_sync(world)


def test_a_backfill_spends_no_more_reads_on_owners_than_it_may_and_goes_on_until_all_is_copied(
    world: World, run: Run
) -> None:
    made = cards(world, 7)
    before = len(world.stripe.requests)

    code, told = run("backfill payment_methods --owner-reads 5")

    assert code == 2, "everything is copied is said only when it is so"
    assert not told["finished"]
    assert State.read(CHECKPOINT) is None
    assert len([r for r in world.stripe.requests[before:] if r.path.endswith("/payment_methods")]) <= 5
    asked = ids(PaymentMethod)
    assert 0 < len(asked) < 7
    runs = 1
    while code == 2:
        code, told = run("backfill payment_methods --owner-reads 5")
        runs += 1
        assert asked <= ids(PaymentMethod)
        asked = ids(PaymentMethod)
    assert (code, told["finished"], asked, runs <= 4) == (0, True, {*made}, True)


def test_the_text_of_an_unfinished_backfill_names_whose_lists_are_left(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    cards(world, 7)

    told = copy("payment_method", owner_reads=3)

    assert told.exit_code == 2
    assert "not finished: of each customer (" in "\n".join(told.lines)
    assert "payment_method" in "\n".join(told.lines)
    assert OWNER_READS == 1250


def test_a_full_comparison_asks_a_share_of_the_owners_in_each_run_and_names_the_rest(world: World, run: Run) -> None:
    made = cards(world, 7)
    seen: set[str] = set()
    for _ in range(5):
        code, told = run("reconcile --full --owner-reads 9")
        assert (code, seen <= ids(PaymentMethod)) == (0, True)
        seen = ids(PaymentMethod)
        if not told["not_compared"]:
            break
        assert all("the next run continues" in why for why in told["not_compared"].values())
        assert State.read(COMPARISON) is not None
    assert seen == {*made}
    assert State.read(COMPARISON) is None, "the next one begins anew"
    assert_in_sync(world)


def test_a_comparison_that_is_not_whole_never_says_that_all_is_in_sync(world: World) -> None:
    cards(world, 7)
    copy(owner_reads=1000)
    world.reconcile()

    assert "in sync: nothing to do" in str(world.reconcile(full=True))
    partial = world.reconcile(full=True, owner_reads=3)
    assert partial.exit_code == 0
    assert "in sync" not in str(partial)
    assert "not compared: of each customer" in str(partial)
    world.stripe.restrict(KEY, {"customer": "read"})
    refused = world.reconcile(full=True)
    assert refused.exit_code == 2
    assert "in sync" not in str(refused)


def test_a_full_comparison_sees_that_a_card_was_detached_and_that_a_tax_id_is_gone(world: World) -> None:
    customer = samples.payer("cards")
    (card,) = PaymentMethod.objects
    tax_id = insert(world, "tax_id", customer=customer.stripe_id)
    world.deliver()
    world.advance(minutes=30)
    assert world.reconcile(full=True).exit_code == 0
    world.stripe.engine.events.expect("lose", "*", 9)
    world.stripe.dashboard.act("payment_method", card.stripe_id, "detach")
    world.stripe.dashboard.update("customer", customer.stripe_id, name="unseen")
    with world.stripe.engine.state():
        world.stripe.engine.realm().drop("tax_id", tax_id["id"])
    for _ in range(3):
        world.advance(hours=12)
        world.reconcile(full=True)

    assert card.fetch_latest().customer is None
    assert kinds()["tax_id"].objects.get().status == "deleted"
    assert customer.fetch_latest().name == "unseen"


def test_an_idle_reconcile_asks_no_owner(world: World) -> None:
    cards(world, 3)
    copy()
    world.reconcile()
    before = len(world.stripe.requests)

    world.reconcile()

    assert [request.path for request in world.stripe.requests[before:]] == ["/v1/events"]


def test_an_owner_that_goes_meanwhile_does_not_end_the_walk(world: World) -> None:
    made = cards(world, 3)
    second = world.stripe.objects("customer")[1]["id"]

    def meanwhile(step: ProgressStep) -> None:
        if (step.name, step.count) == ("of each customer", 1):  # they are on one page, and the first was asked
            world.stripe.dashboard.delete("customer", second)

    told = copy(on_progress=meanwhile)

    assert (told.exit_code, told.unseen) == (0, [])
    assert ids(PaymentMethod) == {made[0], made[2]}


# --- what lists leave out ---


def test_archived_prices_are_copied_and_not_asked_for_one_by_one(world: World, run: Run) -> None:
    product = world.stripe.dashboard.create("product", name="Lamp")
    priced = {"product": product["id"], "currency": "eur"}
    prices = [world.stripe.dashboard.create("price", **priced, unit_amount=100 + n) for n in range(12)]
    for price in prices[:10]:
        world.stripe.dashboard.update("price", price["id"], active=False)
    world.webhooks()
    world.advance(days=40)

    code, told = run("backfill")
    assert (code, told["kinds"]["price"]) == (0, {"adopt": 12})
    before = len(world.stripe.requests)
    assert world.reconcile(full=True).exit_code == 0
    assert not [r for r in world.stripe.requests[before:] if r.path.startswith("/v1/prices/")]
    assert_in_sync(world)


def test_what_no_list_shows_is_named_and_not_asked_for_in_each_comparison(world: World) -> None:
    for _ in range(2):
        review = insert(world, "review")
    copy()
    inline = {"currency": "eur", "unit_amount": 5, "product_data": {"name": "Once"}}
    world.stripe.dashboard.create("payment_link", line_items=[{"price_data": inline, "quantity": 1}])
    world.deliver()
    document = kinds()["review"].by_stripe_id(review["id"])
    assert document is not None
    world.stripe.insert("review", {**review, "open": False})
    world.advance(hours=1)
    assert world.reconcile(full=True).counts["drift"] == 1, "the one that is no longer open was looked at"
    world.converge()
    before = len(world.stripe.requests)

    report = world.reconcile(full=True)

    assert document.fetch_latest().stripe["open"] is False
    assert report.exit_code == 0
    assert {"review", "price"} <= report.coverage.not_compared.keys()
    assert report.as_json()["not_compared"]["review"] == "no list shows closed ones, and 1 may be such"
    asked = [r.path for r in world.stripe.requests[before:] if r.path.startswith(("/v1/prices/", "/v1/reviews/"))]
    assert asked == []


@pytest.mark.usefixtures("page_by_page")
def test_a_backfill_goes_on_between_two_questions_and_begins_lists_anew_that_an_older_version_read(
    world: World, run: Run
) -> None:
    product = world.stripe.dashboard.create("product", name="Lamp")
    prices = [
        world.stripe.dashboard.create("price", product=product["id"], currency="eur", unit_amount=n + 1)
        for n in range(120)
    ]
    for price in prices[:110]:
        world.stripe.dashboard.update("price", price["id"], active=False)
    world.webhooks()
    world.advance(days=40)
    left = count()

    def killed(step: ProgressStep) -> None:
        if step.name == "price" and next(left) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy("price", on_progress=killed)
    assert Price.objects.count() == 110
    code, told = run("backfill price")
    assert (code, told["resumed"], Price.objects.count()) == (0, True, 120)

    Price._get_collection().delete_many({"active": False})
    began = int(world.stripe.clock.now())
    done = {"kind": "price", "mark": None, "counts": {"adopt": 10}, "troubles": [], "missing": None, "done": True}
    State.write("backfill price", {"began_at": began, "events_from": began, "parts": [done]})
    assert run("backfill price")[0] == 0
    assert Price.objects.count() == 120


# --- one verdict ---


def test_a_list_that_a_secret_key_may_not_read_is_named_by_both_commands_where_nothing_of_it_is_here(
    world: World, run: Run
) -> None:
    stock(world, 2)
    world.stripe.restrict(KEY, {"charge": "all", "account": "none"})

    code, told = run("backfill")
    assert (code, "charge" in told["not_available"]) == (0, True)
    code, told = run("reconcile --full")
    assert (code, "charge" in told["not_available"], told["unseen"]) == (0, True, [])
    assert "not available for this account: " in str(world.reconcile(full=True))


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("here", [False, True])
def test_it_is_a_missing_permission_where_something_is_here_or_the_key_is_restricted(
    world: World, run: Run, restricted: bool, here: bool
) -> None:
    stock(world, 2)
    if here:
        insert(world, "charge")
        assert run("backfill charge")[0] == 0
    key = "rk_test_world" if restricted else KEY
    world.settings["STRIPE_SECRET_KEY"] = key
    world.start()
    world.stripe.restrict(key, {"charge": "all"})

    expected = 2 if restricted or here else 0
    for line in ("backfill", "reconcile --full"):
        code, told = run(line)
        assert (code, "charge" in told["not_available"]) == (expected, expected == 0), line
        assert any("rak_charge_read" in why for why in told["unseen"]) == (expected == 2)


@pytest.mark.parametrize("here", [False, True])
def test_an_unrecognized_list_is_not_there_unless_something_of_it_is_here(world: World, run: Run, here: bool) -> None:
    if here:
        kinds()["climate.order"]._get_collection().delete_many({})
        world.deliver([unserved(world)])
    expected = 2 if here else 0
    for line in ("backfill", "reconcile --full"):
        code, told = run(line)
        assert (code, "climate.order" in told["not_available"]) == (expected, not here), line


def unserved(world: World) -> bytes:
    """An event about an order of climate removals, which the emulator does not serve."""
    second = int(world.stripe.clock.now())
    event = {
        "id": "evt_climate",
        "object": "event",
        "api_version": api_version(),
        "created": second,
        "livemode": False,
        "type": "climate.order.created",
        "data": {"object": {"id": "climorder_1", "object": "climate.order", "created": second, "amount": 5}},
    }
    return json.dumps(event).encode()


# --- test clocks ---


def clocked(world: World, ahead: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """A clock so many days ahead, and a customer of it who is billed; what events told of it was lost."""
    boss, now = world.stripe.dashboard, int(world.stripe.clock.now())
    clock = boss.create(CLOCK, frozen_time=now + ahead * 86_400)
    customer = boss.create("customer", test_clock=clock["id"])
    card = boss.create("payment_method", type="card", card={"token": "tok_visa"})
    boss.act("payment_method", card["id"], "attach", customer=customer["id"])
    boss.update("customer", customer["id"], invoice_settings={"default_payment_method": card["id"]})
    price = boss.create(
        "price", currency="eur", unit_amount=500, recurring={"interval": "month"}, product_data={"name": "P"}
    )
    boss.create("subscription", customer=customer["id"], items=[{"price": price["id"]}])
    boss.create("invoiceitem", customer=customer["id"], amount=100, currency="eur")
    world.webhooks()
    world.advance(days=40)
    return clock, customer


@pytest.mark.parametrize("ahead", [-300, 0, 80, 300])
@pytest.mark.parametrize("line", ["backfill", "reconcile --full"])
def test_what_a_test_clock_has_is_copied(world: World, run: Run, line: str, ahead: int) -> None:
    _, customer = clocked(world, ahead)

    code, told = run(line)

    assert code == 0, told
    assert ids(Customer) == {customer["id"]}
    for kind in ("subscription", "invoice", "invoiceitem", "payment_method", "payment_intent", "charge"):
        assert ids(kinds()[kind]) == {remote["id"] for remote in world.stripe.objects(kind)} != set(), kind
    assert_in_sync(world)


def test_a_full_comparison_sees_what_changed_by_a_clock_and_asks_for_nothing_one_by_one(world: World) -> None:
    clock, customer = clocked(world)
    copy()
    world.reconcile()
    world.stripe.engine.events.expect("lose", "*", 99)
    frozen = clock["frozen_time"] + 35 * 86_400
    world.stripe.dashboard.act(CLOCK, clock["id"], "advance", frozen_time=frozen)
    world.advance(days=1)
    world.webhooks()

    report = world.reconcile(full=True)
    assert report.counts["adopt"] > 0
    assert Invoice.objects(customer=customer["id"]).count() == 2
    world.converge()
    before = len(world.stripe.requests)
    again = world.reconcile(full=True)
    assert (again.exit_code, again.counts["drift"]) == (0, 0)
    singles = ("/v1/customers/cus_", "/v1/subscriptions/sub_", "/v1/invoices/in_", "/v1/invoiceitems/ii_")
    paths = [request.path for request in world.stripe.requests[before:]]
    assert [path for path in paths if path.startswith(singles) and path.count("/") == 3] == []
    assert_in_sync(world)


def test_the_clocks_that_are_left_are_named(world: World) -> None:
    clocked(world)
    clocked(world)

    report = world.reconcile(full=True, owner_reads=2)

    assert f"of each {CLOCK}" in report.coverage.not_compared
    assert Subscription.objects.count() == 1
    assert world.reconcile(full=True).coverage.not_compared == {}
    assert Subscription.objects.count() == 2


def test_in_live_mode_there_are_no_clocks_to_ask(world: World) -> None:
    world.settings["STRIPE_SECRET_KEY"] = "sk_live_world"
    world.start()

    report = world.reconcile(full=True)

    assert report.exit_code == 0
    assert not [r for r in world.stripe.requests if (r.params or {}).get("test_clock")]
    assert len(OWNERS) == 6
    assert CLOCKED
