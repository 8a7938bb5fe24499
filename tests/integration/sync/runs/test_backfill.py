"""Backfill: what was there before us is here afterwards, whatever happens meanwhile, and nothing is asked twice."""

import io
import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Coupon, Customer, Event, State, Status, Subscription, created_kinds, kinds
from stripe_mongo_sync.models.order import PaymentStatus
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.state import CHECKPOINT
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.commands.progress_bar import Progress
from stripe_mongo_sync.sync.runs.backfill import Backfill, KindProgress, backfill
from stripe_mongo_sync.sync.runs.progress import OnProgress, ProgressStep
from stripe_mongo_sync.sync.stripe.listing import ListCursor
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support import samples
from tests.support.answers import at_once, everything, untouched
from tests.support.in_sync import assert_in_sync
from tests.support.stock import assert_copied, stock
from tests.support.world import KEY, World

Run = Callable[..., tuple[int, Any]]
SEVERAL = 230  # three pages
FEW = 30


class Waits:
    """Waits that take no time, but are counted."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def copy(*wanted: str, **options: Any) -> Backfill:
    """Backfill at once."""
    waits = Waits()
    return backfill(wanted, patience=Throttle(1000.0, waits.pause, waits.clock), **options)


@pytest.fixture
def run(world: World, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process; returns its exit code and what its --json says."""

    def command(line: str = "") -> tuple[int, Any]:
        capsys.readouterr()
        code = main(["backfill", *line.split(), "--rate", "1000", "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return command


def lists(world: World, path: str = "/v1/customers") -> list[str | None]:
    """After which object each page of a list was asked for."""
    asked = [request for request in world.stripe.requests if (request.method, request.path) == ("GET", path)]
    return [request.params.get("starting_after") for request in asked]


@contextmanager
def asleep_before_it_stores(world: World, *wanted: str, path: str = "/v1/customers") -> Iterator[list[Backfill]]:
    """Run a backfill that has read a page, and stores it only after the block; then the list has its report."""
    told: list[Backfill] = []
    held = world.stripe.fault("hold_after", method="GET", path=path)
    thread = threading.Thread(target=lambda: told.append(copy(*wanted)))
    thread.start()
    assert held.entered.wait(10)
    yield told
    held.release()
    thread.join()


# --- what is copied ---


def test_everything_that_stripe_lists_is_here_and_equal(world: World, run: Run) -> None:
    stock(world, SEVERAL)
    stock(world, 120, "product")
    for kind in ("coupon", "tax_rate"):
        given = {"coupon": {"percent_off": 10, "duration": "once"}}.get(kind) or {
            "display_name": "VAT",
            "percentage": 19,
            "inclusive": True,
        }
        world.stripe.dashboard.create(kind, **given)
    world.webhooks()
    world.advance(minutes=20)

    code, told = run()

    assert (code, told["exit_code"], told["finished"], told["troubles"], told["unseen"]) == (0, 0, True, [], [])
    assert told["kinds"] == {
        "customer": {"adopt": SEVERAL},
        "product": {"adopt": 120},
        "coupon": {"adopt": 1},
        "tax_rate": {"adopt": 1},
    }
    assert_copied(world)
    assert_in_sync(world)
    (customer,) = Customer.objects(email="0@here.com")
    assert (customer.status, customer.is_current, customer.revision, customer.username) == (
        Status.ACTIVE,
        True,
        1,
        None,
    )
    assert customer.confirmed_at is not None
    assert customer.created_at is not None


def test_it_costs_one_request_for_a_hundred_objects(world: World) -> None:
    stock(world, SEVERAL)
    before = len(world.stripe.requests)

    copy("customer")

    asked = [request.path for request in world.stripe.requests[before:]]
    assert asked.count("/v1/customers") == 3
    assert len(asked) <= 7  # the account, one page of events, and the list of test clocks
    assert {request.method for request in world.stripe.requests} == {"GET"}


def test_a_second_one_finds_everything_the_same_and_changes_nothing(world: World, run: Run) -> None:
    stock(world, FEW)
    run("customer")

    with untouched(world, may_read=True):
        code, told = run("customer")

    assert (code, told["kinds"], told["resumed"]) == (0, {"customer": {"same": FEW}}, False)


def test_what_differs_follows_stripe_without_a_request_of_its_own(world: World) -> None:
    stock(world, 150)
    copy("customer")
    world.advance(hours=1)
    for customer in Customer.objects:
        world.stripe.dashboard.update("customer", customer.stripe_id, name="Edited")
    world.webhooks()
    world.advance(minutes=1)
    before = len(world.stripe.requests)

    told = copy("customer")

    assert told.counts == {"drift": 150}
    assert len(world.stripe.requests) - before <= 4  # one of them for the test clocks
    assert_copied(world)
    assert_in_sync(world)


def test_types_are_kinds_or_collections_and_others_are_refused_by_name(
    world: World, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    stock(world, 3)
    stock(world, 2, "product")

    assert run("customers promotion-codes Promotion_Code")[1]["kinds"] == {"customer": {"adopt": 3}}
    assert run("product")[1]["kinds"] == {"product": {"adopt": 2}}
    with untouched(world):
        assert main(["backfill", "customer", "speed"]) == 2
    told = capsys.readouterr().err
    assert "speed" in told
    assert "promotion_code" in told


@pytest.mark.parametrize("dated", [True, False])
def test_since_copies_only_what_was_created_since_then(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch, dated: bool
) -> None:
    old = stock(world, SEVERAL)
    monkeypatch.setattr(Customer, "resource", replace(Customer.resource, created_filter=dated))
    since = old[119]["created"]

    assert copy("customer", since=since).counts == {"adopt": 120}

    assert {customer.stripe_id for customer in Customer.objects} == {remote["id"] for remote in old[:120]}
    assert len(lists(world)) == 2
    assert all(
        ("created" in request.params) == dated for request in world.stripe.requests if "customers" in request.path
    )
    assert run("customer --since 2020-01-01")[1]["counts"]["adopt"] == SEVERAL - 120
    assert run("customer --since 2199-01-01T12:00")[1]["counts"] == {}


@pytest.mark.parametrize("bad", ["--since yesterday", "--rate 0", "--rate nan", "--rate fast"])
def test_options_that_make_no_sense_are_refused(world: World, bad: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["backfill", *bad.split()])

    assert ended.value.code == 2


def test_with_adopt_no_there_is_nothing_to_copy(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.settings["ADOPT"] = "no"
    world.start()

    with untouched(world):
        assert main(["backfill", "customer"]) == 2
    assert "ADOPT=no" in capsys.readouterr().err


def test_the_first_reconcile_after_it_need_not_list_everything_again(world: World) -> None:
    stock(world, FEW)
    copy()
    world.advance(minutes=1)
    (gone, edited, *_) = Customer.objects
    world.stripe.dashboard.delete("customer", gone.stripe_id)
    world.stripe.dashboard.update("customer", edited.stripe_id, name="Edited")
    world.webhooks()
    before = len(world.stripe.requests)

    report = world.reconcile()

    assert (report.full, report.exit_code) == (False, 0)
    assert [request.path for request in world.stripe.requests[before:]] == ["/v1/events"]
    assert (gone.fetch_latest().status, edited.fetch_latest().name) == (Status.DELETED, "Edited")
    assert_in_sync(world)


def test_a_canceled_subscription_is_copied_too(world: World) -> None:
    subscription = sync.create(kinds()["subscription"], samples.body("subscription"))[0]
    world.deliver()
    world.stripe.dashboard.end("subscription", subscription.stripe_id)
    world.webhooks()
    world.advance(minutes=20)
    Subscription._get_collection().delete_many({})

    assert copy("subscription").counts == {"adopt": 1}

    assert Subscription.objects.get().stripe["status"] == "canceled"
    assert_in_sync(world)


@pytest.mark.parametrize("part", ["customer --rate 1000", "--since 2020-01-01"])
def test_a_part_is_no_substitute_for_the_first_comparison(world: World, run: Run, part: str) -> None:
    run(part)

    assert State.read(CHECKPOINT) is None


# --- killed, and run again ---


def killed_after(pages: int, of: str = "customer") -> OnProgress:
    """A note that ends the process, as far as the code can tell, after so many pages of a kind."""
    left = iter(range(pages - 1))

    def note(step: ProgressStep) -> None:
        if step.name == of and next(left, None) is None:
            raise KeyboardInterrupt

    return note


@pytest.mark.usefixtures("page_by_page")
def test_it_goes_on_where_it_was_killed(world: World, run: Run) -> None:
    remotes = stock(world, SEVERAL)
    stock(world, 5, "product")
    with pytest.raises(KeyboardInterrupt):
        copy("customer", "product", on_progress=killed_after(2))
    assert lists(world) == [None, remotes[99]["id"], remotes[199]["id"]]
    assert Customer.objects.count() == 200, "the third page was read while the second was stored, and is lost"

    code, told = run("customer product")

    assert lists(world)[3:] == [remotes[199]["id"]]
    assert (code, told["resumed"], told["finished"]) == (0, True, True)
    assert told["kinds"] == {"customer": {"adopt": SEVERAL}, "product": {"adopt": 5}}
    assert_copied(world)


@pytest.mark.usefixtures("page_by_page")
def test_a_kind_that_is_done_is_not_read_again_by_the_same_backfill(world: World) -> None:
    stock(world, 5)
    stock(world, SEVERAL, "product")
    with pytest.raises(KeyboardInterrupt):
        copy("customer", "product", on_progress=killed_after(1, of="product"))
    listed = len(lists(world))

    copy("customer", "product")

    assert len(lists(world)) == listed
    assert_copied(world)


def test_one_that_was_finished_begins_anew(world: World) -> None:
    stock(world, FEW)
    copy("customer")

    told = copy("customer")

    assert (told.resumed, told.counts["same"]) == (False, FEW)


@pytest.mark.usefixtures("page_by_page")
def test_restart_begins_anew(world: World, run: Run) -> None:
    stock(world, SEVERAL)
    with pytest.raises(KeyboardInterrupt):
        copy("customer", on_progress=killed_after(2))

    _, told = run("customer --restart")

    assert (told["resumed"], told["counts"]) == (False, {"same": 200, "adopt": 30})


@pytest.mark.usefixtures("page_by_page")
def test_another_command_has_a_place_of_its_own(world: World) -> None:
    stock(world, SEVERAL)
    with pytest.raises(KeyboardInterrupt):
        copy(on_progress=killed_after(2))

    assert not copy("customer").resumed
    assert copy().resumed


@pytest.mark.usefixtures("page_by_page")
def test_one_that_was_left_for_a_month_begins_anew(world: World) -> None:
    stock(world, SEVERAL)
    with pytest.raises(KeyboardInterrupt):
        copy(on_progress=killed_after(2))
    world.advance(days=30)  # the events of that time are gone: only its list tells what appeared
    late = world.stripe.insert("customer")
    world.advance(days=1)

    told = copy()

    assert not told.resumed
    assert Customer.objects.get(stripe_id=late["id"])
    assert_copied(world)


def test_ctrl_c_says_how_to_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    adopt_many = Customer.adopt_many

    def interrupted(*args: Any, **options: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return adopt_many(*args, **options)

    monkeypatch.setattr(Customer, "adopt_many", interrupted)
    stock(world, 1)

    assert main(["backfill", "customer", "product"]) == 2

    assert "types are copied. Run the same command again to resume" in capsys.readouterr().out
    assert Customer.objects.count() == 1, "what was in hand is finished"


@pytest.mark.usefixtures("page_by_page")
@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.fault("97")
def test_the_object_at_its_place_may_be_gone_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch, dated: bool
) -> None:
    monkeypatch.setattr(Customer, "resource", replace(Customer.resource, created_filter=dated))
    remotes = stock(world, SEVERAL)
    with pytest.raises(KeyboardInterrupt):
        copy("customer", on_progress=killed_after(1))
    forget(world, remotes[99]["id"])  # without a trace: Stripe refuses the cursor

    def again(step: ProgressStep) -> None:
        """And within a run."""
        (remembered,) = (State.read("backfill customer") or {})["parts"]
        if remembered["mark"] == {"id": remotes[199]["id"], "born": remotes[199]["created"]}:
            forget(world, remotes[199]["id"])

    told = copy("customer", on_progress=again)

    assert (told.resumed, told.exit_code) == (True, 0)
    assert {c.stripe_id for c in Customer.objects} == {remote["id"] for remote in remotes}
    asked = [request.params for request in world.stripe.requests if request.path == "/v1/customers"]
    by_time = [params for params in asked if "lte" in repr(params.get("created"))]
    assert bool(by_time) == dated


def test_a_full_comparison_survives_that_too(world: World) -> None:
    remotes = stock(world, SEVERAL)
    held = world.stripe.fault("hold", method="GET", path="/v1/customers", skip=1)
    told: list[Any] = []
    thread = threading.Thread(target=lambda: told.append(world.reconcile(full=True)))
    thread.start()
    assert held.entered.wait(10)
    forget(world, remotes[99]["id"])
    held.release()
    thread.join()

    assert told[0].counts["adopt"] == SEVERAL


def forget(world: World, id: str) -> None:
    """Let Stripe know nothing of an object any more."""
    with world.stripe.engine.state():
        world.stripe.engine.realm().drop("customer", id)


def test_two_at_once_are_as_good_as_one(world: World) -> None:
    stock(world, SEVERAL)
    stock(world, SEVERAL, "product")

    told = at_once(2, lambda number: copy("customer", "product"))

    assert [one.exit_code for one in told] == [0, 0]
    assert_copied(world)
    assert_in_sync(world)


# --- beside live webhooks ---


@pytest.mark.usefixtures("page_by_page")
def test_beside_live_webhooks_it_ends_in_sync(world: World) -> None:
    remotes = stock(world, 420)
    ids = [remote["id"] for remote in remotes]
    turn = iter(range(99))

    def meanwhile(step: ProgressStep) -> None:
        """People edit and delete what was copied and what was not, and make more; events come at once or late."""
        n = next(turn)
        if n < 4:
            for at in (n * 100 + 3, n * 100 + 150, 419 - n):
                world.stripe.dashboard.update("customer", ids[at % 420], name=f"Edited {n}")
            for at in (n * 100 + 7, (n * 100 + 160) % 400):
                world.stripe.dashboard.delete("customer", ids[at])
                ids[at] = ids[0]
            world.stripe.dashboard.create("customer", email=f"new{n}@here.com")
            letters = world.webhooks()
            world.deliver(letters if n % 2 else [*letters[::-1], *letters])
            world.advance(seconds=1)

    told = copy("customer", on_progress=meanwhile)

    assert told.exit_code == 0
    world.advance(minutes=20)
    world.converge()
    assert_copied(world)
    assert_in_sync(world)


def test_what_is_deleted_between_reading_and_storing_does_not_stay(world: World) -> None:
    remotes = stock(world, 3)

    with asleep_before_it_stores(world, "customer"):
        world.stripe.dashboard.delete("customer", remotes[1]["id"])
        world.stripe.dashboard.update("customer", remotes[2]["id"], name="Edited")
        assert world.deliver() == ["waiting", "waiting"]

    world.advance(minutes=20)
    world.converge()
    assert [c.status for c in Customer.objects(stripe_id=remotes[1]["id"])] == [Status.DELETED]
    assert Customer.objects.get(stripe_id=remotes[2]["id"]).name == "Edited"
    assert_in_sync(world)


@pytest.mark.fault("97")
@pytest.mark.parametrize("ours", [False, True], ids=["made by others", "with a key of ours"])
def test_a_page_that_was_slept_over_is_read_again_one_by_one(world: World, ours: bool) -> None:
    """A deletion of which all events are over by then brings no document to life, by whatever way one is adopted."""
    world.reconcile()
    remotes = lost(world) if ours else stock(world, 3)

    with asleep_before_it_stores(world) as told:
        world.stripe.dashboard.delete("customer", remotes[1]["id"])
        world.deliver()
        world.advance(minutes=20)
        world.converge()  # that event is done with: the object was unknown here, and is gone

    assert (told[0].exit_code, told[0].finished) == (0, True)
    assert told[0].counts == {"adopt": 2, "deleted": 1}
    assert_copied(world)


def lost(world: World) -> list[dict[str, Any]]:
    """Three customers whose documents were lost: Stripe tells that we made them."""
    for number in range(3):
        sync.create_customer(f"{number}@here.com")
    world.deliver()
    world.advance(hours=1)
    Customer._get_collection().delete_many({})
    return world.stripe.objects("customer")


@pytest.mark.fault("61")
@pytest.mark.parametrize("ahead", [-60, 60], ids=["behind", "ahead"])
def test_all_is_copied_although_mongodbs_clock_is_an_hour_off(world: World, ahead: int) -> None:
    """A page that MongoDB's clock makes old is no reason to say that anybody slept."""
    stock(world, 3)
    clock.TEST_OFFSET += timedelta(minutes=ahead)

    assert copy("customer").exit_code == 0
    assert world.reconcile(full=True).exit_code == 0

    assert_copied(world)


def test_what_a_webhook_brought_since_the_page_was_read_is_not_overwritten(world: World) -> None:
    (remote,) = stock(world, 1)
    copy("customer")
    world.advance(hours=1)
    world.stripe.dashboard.update("customer", remote["id"], name="old")
    world.webhooks()

    with asleep_before_it_stores(world, "customer"):
        world.advance(seconds=10)
        world.stripe.dashboard.update("customer", remote["id"], name="new")
        world.deliver()

    assert Customer.objects.get().name == "new"
    assert_in_sync(world)


def test_what_happens_in_the_second_of_the_page_is_looked_at(world: World) -> None:
    (remote,) = stock(world, 1)
    copy("customer")
    world.advance(hours=1)
    world.stripe.dashboard.update("customer", remote["id"], name="old")
    world.webhooks()

    with asleep_before_it_stores(world, "customer"):
        world.stripe.dashboard.update("customer", remote["id"], name="new")
        world.deliver()

    assert Customer.objects.get().name == "new"
    assert_in_sync(world)


def test_a_deleted_document_does_not_come_back(world: World) -> None:
    (remote,) = stock(world, 1)
    copy("customer")
    (customer,) = Customer.objects
    world.advance(minutes=1)

    with asleep_before_it_stores(world, "customer"):
        world.advance(seconds=10)
        world.stripe.dashboard.delete("customer", remote["id"])
        world.deliver()

    assert customer.fetch_latest().status == Status.DELETED
    assert Customer.objects.count() == 1


def test_what_is_younger_than_fifteen_minutes_is_left_to_its_events(world: World) -> None:
    stock(world, 2)
    world.stripe.dashboard.create("customer", email="new@here.com")

    assert copy("customer").counts == {"adopt": 2, "young": 1}

    world.deliver()
    assert_in_sync(world)


def test_a_chosen_id_that_lives_again_gets_a_new_document(world: World) -> None:
    given = {"id": "SUMMER", "percent_off": 10, "duration": "once"}
    first, _ = sync.create(Coupon, given)
    sync.delete(first)
    world.webhooks()
    world.advance(minutes=1)
    world.stripe.dashboard.create("coupon", **{**given, "percent_off": 20})
    world.webhooks()
    world.advance(minutes=20)

    assert copy("coupon").counts == {"adopt": 1}

    assert (first.fetch_latest().status, Coupon.objects(is_current=True).get().percent_off) == (Status.DELETED, 20)


# --- whose it is ---


def lost_creation(world: World, number: int = 0) -> Customer:
    """A pending customer whose object is there, and of which no webhook came."""
    world.stripe.fault("cut_after", method="POST", times=2)
    customer = sync.create_customer(f"lost{number}@here.com")
    world.webhooks()
    assert customer.status == Status.PENDING
    return customer


def test_the_object_of_a_pending_document_is_given_to_it(world: World) -> None:
    stock(world, FEW)
    pending = [lost_creation(world, number) for number in range(3)]
    world.advance(minutes=20)

    told = copy("customer")

    assert told.exit_code == 0
    assert [customer.fetch_latest().status for customer in pending] == [Status.ACTIVE] * 3
    assert Customer.objects.count() == FEW + 3
    world.converge()
    assert_in_sync(world)


def test_the_session_of_a_lost_creation_is_known_by_its_mark_and_its_order_follows(world: World) -> None:
    body = samples.body("order")
    world.stripe.fault("cut_after", method="POST", times=2)
    order = sync.create_order(**body)
    assert order.status == Status.PENDING
    ((session),) = world.stripe.objects("checkout.session")
    world.stripe.pay_session(session["id"])
    world.webhooks()
    world.advance(minutes=16)

    assert copy("checkout-sessions").exit_code == 0

    assert (order.fetch_latest().status, order.fetch_latest().payment_status) == (Status.ACTIVE, PaymentStatus.PAID)
    world.converge()
    assert_in_sync(world)


def test_what_differs_is_told_to_the_order_that_follows_it(world: World) -> None:
    order = sync.create_order(**samples.body("order"))
    world.deliver()
    world.advance(minutes=20)
    world.stripe.pay_session(order.checkout_session)
    world.webhooks()
    world.advance(minutes=20)

    copy()

    assert order.fetch_latest().payment_status == PaymentStatus.PAID
    assert_in_sync(world)


def test_what_another_installation_made_is_not_adopted(world: World) -> None:
    theirs = str(IdempotencyKey.generate("another", "customer", ObjectId(), "create"))
    world.stripe.actor(request={"id": "req_1", "idempotency_key": theirs}).create("customer", email="a@b.ch")
    world.stripe.dashboard.create("customer", email="c@d.ch")
    world.webhooks()
    world.advance(minutes=20)

    assert copy("customer").counts == {"foreign": 1, "adopt": 1}

    assert Customer.objects.get().email == "c@d.ch"


def test_the_keys_are_read_beside_the_list_and_no_further(world: World) -> None:
    stock(world, SEVERAL)
    for _ in range(5):
        actor = world.stripe.actor(
            request={
                "id": "req",
                "idempotency_key": str(IdempotencyKey.generate("another", "customer", ObjectId(), "create")),
            }
        )
        world.advance(hours=5)
        actor.create("customer", email="theirs@here.com")
        for _ in range(120):
            world.stripe.dashboard.create("customer")
    world.webhooks()
    world.advance(days=29 - 1)  # the first of them, and those of the stock, are older than Stripe's list of events
    pages = len(lists(world, "/v1/events"))

    told = copy("customer")

    assert told.counts["foreign"] == 5
    assert told.counts["adopt"] == SEVERAL + 600
    assert len(lists(world, "/v1/events")) - pages <= 8
    assert len(lists(world)) == 9


def test_what_may_be_the_object_of_a_document_in_doubt_is_left_to_a_person(world: World, run: Run) -> None:
    stock(world, 5)
    world.stripe.fault("500_repair", method="POST", times=1)
    customer = sync.create_customer("user@here.com")
    world.webhooks()
    (made,) = world.stripe.repair()
    world.webhooks()
    world.advance(minutes=20)

    code, told = run("customer")

    assert (code, told["counts"]) == (1, {"adopt": 5, "doubt": 1})
    assert [(one["kind"], one["id"]) for one in told["troubles"]] == [("customer", made["id"])]
    assert customer.fetch_latest().review_reason is not None


def test_an_orphan_that_is_to_be_undone_is_not_adopted(world: World) -> None:
    world.stripe.fault("500_before", method="POST")
    customer = sync.create_customer("user@here.com")
    world.advance(hours=1)
    world.converge()
    assert customer.fetch_latest().status == Status.ROLLED_BACK
    orphan = world.stripe.insert("customer", created=int(world.stripe.clock.now()) - 3600)
    Customer._get_collection().update_one({"_id": customer.id}, {"$set": {"undone_orphans": [orphan["id"]]}})

    assert copy("customer").counts == {"twin": 1}


# --- what cannot be kept, and what cannot be read ---


def deep(levels: int) -> dict[str, Any]:
    return {"deeper": deep(levels - 1)} if levels else {}


BAD: dict[str, dict[str, Any]] = {
    "nested": {"address": deep(190)},
    "number": {"balance": 2**70},
    "half a character": {"name": "\ud83d"},
    "a key with NUL": {"shipping": {"a\0b": 1}},
    "16 MB": {"description": "x" * 9_000_000},
    "an id that is a number": {"id": 7},
    "half an id": {"id": "cus_\ud83d"},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
@pytest.mark.fault("86")
def test_a_bad_object_is_reported_and_the_rest_is_copied(world: World, run: Run, bad: dict[str, Any]) -> None:
    stock(world, 120)
    made = world.stripe.insert("customer", created=int(world.stripe.clock.now()) - 4000, **bad)
    stock(world, 3, "product")

    code, told = run("customer product")

    assert (code, told["finished"], told["unseen"]) == (1, True, [])
    assert told["counts"] == {"adopt": 123, "failed": 1}
    ((kind, id, why),) = [tuple(one.values()) for one in told["troubles"]]
    assert (kind, bool(why)) == ("customer", True)
    if "id" not in bad:
        assert id == made["id"]
    assert Customer.objects.count() == 120
    assert_copied(world, "product")


@pytest.mark.usefixtures("page_by_page")
def test_a_bad_object_is_not_forgotten_by_a_kill(world: World, run: Run) -> None:
    stock(world, SEVERAL)
    world.stripe.insert("customer", created=int(world.stripe.clock.now()) - 3700, **BAD["number"])
    with pytest.raises(KeyboardInterrupt):
        copy("customer", on_progress=killed_after(2))

    code, told = run("customer")

    assert (code, len(told["troubles"]), told["counts"]["failed"]) == (1, 1, 1)


def test_one_that_has_a_document_and_cannot_be_kept_any_more_is_reported(world: World) -> None:
    remotes = stock(world, 120)
    copy("customer")
    bad = remotes[50]["id"]
    world.advance(hours=1)
    world.stripe.insert("customer", {**remotes[50], **BAD["number"]})
    world.stripe.insert("customer", {**remotes[51], "name": "Edited"})

    told = copy("customer")

    assert told.exit_code == 1
    assert [trouble[0] for trouble in told.parts["customer"].troubles] == [bad]
    assert Customer.objects.get(stripe_id=remotes[51]["id"]).name == "Edited"


@pytest.mark.fault("86")
def test_reconcile_full_isolates_it_too(world: World) -> None:
    stock(world, 5)
    world.stripe.insert("customer", created=int(world.stripe.clock.now()) - 4000, **BAD["nested"])

    report = world.reconcile(full=True)

    assert (report.exit_code, report.counts["adopt"], report.counts["failed"]) == (1, 5, 1)


@pytest.mark.fault("97")
def test_limits_and_hiccups_are_waited_out(world: World) -> None:
    stock(world, 800)
    world.stripe.chaos(5, {"rate_limit": 0.2, "lock_timeout": 0.1, "cut_before": 0.1, "503_edge": 0.1, "bad_body": 0.1})

    told = copy("customer")

    assert (told.exit_code, told.unseen) == (0, [])
    assert len({request.fault for request in world.stripe.requests}) == 6
    world.stripe.clear_faults()
    assert_copied(world)


@pytest.mark.fault("97")
def test_an_outage_that_lasts_is_exit_2_and_the_same_command_goes_on(world: World, run: Run) -> None:
    stock(world, SEVERAL)
    stock(world, 5, "product")
    world.stripe.fault("503_edge", method="GET", path="/v1/customers", skip=1, times=None)

    told = copy("customer", "product")

    assert (told.exit_code, told.finished) == (2, False)
    assert any("customer: Stripe has not answered for 5 minutes" in why for why in told.unseen)
    assert Customer.objects.count() == 100, "what was read before is stored"
    assert_copied(world, "product")  # the others are copied all the same
    world.stripe.clear_faults()
    code, again = run("customer product")
    assert (code, again["resumed"], again["finished"]) == (0, True, True)
    assert_copied(world)


def test_when_nothing_answers_it_does_not_wait_for_each_kind(world: World) -> None:
    sync.create_customer("first@here.com")
    before = len(world.stripe.requests)
    world.stripe.fault("503_edge", method="GET", times=None)

    told = copy()

    assert told.exit_code == 2
    assert len(told.unseen) == 2
    assert len(world.stripe.requests) - before < 40


def ours(told: dict[str, str]) -> list[str]:
    """Those of the types that we create: the emulator does not serve most of the others."""
    return [kind for kind in told if kind in created_kinds()]


def test_what_the_account_does_not_have_is_no_failure(world: World, run: Run) -> None:
    stock(world, 5)
    world.stripe.restrict(KEY, {"coupon": "read"})  # a secret key may read whatever there is

    code, told = run()

    assert (code, told["finished"], ours(told["not_available"])) == (0, True, ["coupon"])
    code, told = run("coupon customer")
    assert (code, len(told["unseen"]), told["counts"]) == (2, 1, {"same": 5})


def test_a_list_that_stripe_does_not_serve_is_no_failure(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(world, 5)
    monkeypatch.setattr(Coupon, "resource", replace(Coupon.resource, path="/v1/climate/orders"))

    code, told = run()

    assert (code, ours(told["not_available"])) == (0, ["coupon"])
    assert "Unrecognized request URL" in told["not_available"]["coupon"]
    assert world.reconcile(full=True).exit_code == 0
    assert run("coupon")[0] == 2


def test_a_permission_that_is_missing_is_exit_2_and_the_other_kinds_are_copied(world: World, run: Run) -> None:
    stock(world, 5)
    stock(world, 5, "product")
    world.settings["STRIPE_SECRET_KEY"] = "rk_test_world"
    world.start()
    world.stripe.restrict("rk_test_world", {"customer": "read"})

    code, told = run()

    assert (code, told["finished"], ours(told["not_available"])) == (2, False, [])
    assert len(told["unseen"]) == 1
    assert "rak_customer_read" in told["unseen"][0]
    assert_copied(world, "product")
    world.stripe.restrict("rk_test_world", {})
    code, told = run()
    assert (code, told["resumed"], told["kinds"]["customer"]) == (0, True, {"adopt": 5})


@pytest.mark.parametrize("wrong", ["account", "mode", "key"])
@pytest.mark.fault("83")
def test_the_wrong_stripe_is_refused_before_anything_is_read(world: World, run: Run, wrong: str) -> None:
    sync.create_customer("first@here.com")
    stock(world, 5)
    match wrong:
        case "account":
            world.stripe.reset_account("acct_another")
            world.settings["STRIPE_SECRET_KEY"] = "sk_test_another"
        case "mode":
            world.settings["STRIPE_SECRET_KEY"] = "sk_live_world"
        case "key":
            world.settings["STRIPE_SECRET_KEY"] = "sk_test_revoked"
            world.stripe.revoke("sk_test_revoked")
    world.start()
    before = everything(world)

    assert run() == (2, None)

    assert lists(world) == []
    assert everything(world) == before


@pytest.mark.usefixtures("page_by_page")
@pytest.mark.fault("84")
def test_a_key_that_is_revoked_meanwhile_ends_it(world: World) -> None:
    stock(world, SEVERAL)

    told = copy("customer", "product", on_progress=lambda step: world.stripe.revoke(KEY))

    assert (told.exit_code, len(told.unseen)) == (2, 1)
    assert Customer.objects.count() in (100, 200), "the page that was read ahead is stored, if Stripe showed it"


# --- how far it is ---


class Terminal(io.StringIO):
    """What somebody watches."""

    def isatty(self) -> bool:
        return True


def at(kind: str, count: int, day: int, *, born: int | None = 0, done: bool = False) -> Backfill:
    """A backfill of an account that is 100 days old, of whose customers it has read those of the last days."""
    part = KindProgress(mark=ListCursor("cus_1", (100 - day) * 86400), done=done)
    part.counts["adopt"] = count
    return Backfill("backfill", kinds(), None, 100 * 86400, 0, account_created=born, parts={kind: part})


def test_a_terminal_gets_a_bar_with_count_rate_and_the_time_that_is_left() -> None:
    out, waits = Terminal(), Waits()
    with Progress(out, waits.clock) as progress:
        progress.show(at("customer", 0, 0).step("customer"))
        waits.now = 10.0
        progress.show(at("customer", 5000, 25).step("customer"))
        line = out.getvalue().rpartition("\r")[2]

    assert "██████░░░" in line
    assert line.endswith("customer 5,000 · 25% · 500/s · about 30 s left")


def test_without_a_terminal_it_is_a_plain_line_now_and_then() -> None:
    out, waits = io.StringIO(), Waits()
    progress = Progress(out, waits.clock)
    for second in range(0, 61):
        waits.now = float(second)
        progress.show(at("customer", second * 100, 0).step("customer"))
    progress.show(at("customer", 6001, 100, done=True).step("customer"))

    assert [line.partition("customer")[2] for line in out.getvalue().splitlines()] == [
        " 0 · 0%",
        " 3,000 · 0% · 100/s",
        " 6,000 · 0% · 100/s",
        " 6,001 · 100% · 100/s",
    ]


def test_where_nobody_knows_how_much_there_is_it_promises_no_time() -> None:
    out, waits = Terminal(), Waits()
    with Progress(out, waits.clock) as progress:
        progress.show(at("customer", 0, 0, born=None).step("customer"))
        waits.now = 10.0
        progress.show(at("customer", 5000, 25, born=None).step("customer"))
        line = out.getvalue()

    assert line.endswith("customer 5,000 · 500/s")


def test_the_command_tells_how_far_it_is_and_what_it_did(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    stock(world, SEVERAL)

    assert main(["backfill", "customer", "--rate", "1000"]) == 0

    told = capsys.readouterr()
    assert "customer 230" in told.err
    assert told.out.startswith("230 objects: adopt 230\n")
    assert Event.objects.count() == 0
    assert KEY not in told.out + told.err
