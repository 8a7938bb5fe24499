"""What a full comparison tells of each drifted document: the fields, the money at stake, and the Dashboard's page."""

from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.rows.content import content
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.runs.drift import AMOUNT, SHOWN, Drifted
from tests.support import samples
from tests.support.events import event
from tests.support.in_sync import assert_in_sync
from tests.support.mongo import our_database
from tests.support.run import Run
from tests.support.world import World

DASHBOARD = "https://dashboard.stripe.com/test"


@pytest.fixture
def refunded(world: World) -> dict[str, Any]:
    """The charge of a payment, of which 5 of 20 dollars were refunded and no event told it."""
    customer = sync.create_customer("user@here.com")
    paid = world.stripe.dashboard.create(
        "payment_intent",
        amount=2000,
        currency="usd",
        customer=customer.stripe_id,
        payment_method="pm_card_visa",
        confirm=True,
        automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
    )
    world.deliver()
    world.advance(minutes=10)
    world.reconcile(full=True)
    for type in ("charge.*", "refund.*", "payment_intent.*"):
        world.stripe.lose_event(type, times=10)
    world.stripe.dashboard.create("refund", charge=paid["latest_charge"], amount=500)
    world.webhooks()
    world.advance(minutes=10)
    return paid


def one(said: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = [each for each in said["drifted"] if each["kind"] == kind]
    return dict(found)


def test_the_difference_of_the_amounts_is_told_with_its_currency(
    world: World, refunded: dict[str, Any], run: Run
) -> None:
    charge = kinds()["charge"].objects.get(stripe_id=refunded["latest_charge"])

    _, said = run("reconcile", "--full", "--dry-run")

    told = one(said, "charge")
    assert (told["id"], told["stripe_id"]) == (str(charge.id), charge.stripe_id)
    assert "amount_refunded" in told["fields"]
    assert told["amounts"] == {"amount_refunded": {"here": 0, "stripe": 500, "difference": 500}}
    assert (told["at_stake"], told["currency"]) == (500, "usd")
    assert told["link"] == f"{DASHBOARD}/payments/{charge.stripe_id}"
    assert said["money_at_stake"] == {"usd": 500}
    assert said["drifted_not_shown"] == 0


def test_a_person_reads_amounts_in_the_major_unit(
    world: World, refunded: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconcile", "--full"]) == 0

    lines = capsys.readouterr().out.splitlines()
    (told,) = [line for line in lines if line.startswith("drift: charge ")]
    assert "; 5.00 USD at stake: amount_refunded 0.00 USD here, 5.00 USD at Stripe; " in told
    assert told.endswith(f"; {DASHBOARD}/payments/{refunded['latest_charge']}")
    assert lines[-1] == "drift: 5.00 USD at stake in all"
    assert main(["reconcile", "--full"]) == 0
    assert "drift" not in capsys.readouterr().out
    assert_in_sync(world)


def test_what_has_no_amounts_has_no_money_at_stake_and_a_link(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    world.deliver()
    world.stripe.lose_event("customer.updated")
    world.stripe.dashboard.update("customer", customer.stripe_id, name="Nobody was told")

    report = world.reconcile(full=True)

    (told,) = report.drifted.shown.values()
    assert (told.fields, told.at_stake, told.amounts) == (["name"], None, {})
    assert str(told) == f"drift: customer {customer.id} (name); {DASHBOARD}/customers/{customer.stripe_id}"
    assert "Nobody" not in str(report.as_json()), "no content but amounts is told"


def test_a_change_that_leaves_the_amounts_alone_stakes_nothing(world: World) -> None:
    price = samples.create("price")
    world.deliver()
    world.stripe.lose_event("price.updated")
    world.stripe.dashboard.update("price", price.stripe_id, nickname="cheap")

    (told,) = world.reconcile(full=True).drifted.shown.values()

    assert (told.kind, told.fields, told.at_stake, told.amounts) == ("price", ["nickname"], 0, {})


def test_an_object_that_its_list_does_not_show_is_told_too(world: World) -> None:
    review = {"id": "prv_1", "object": "review", "open": True, "created": 1}
    world.deliver([event("review.opened", review, 1)])
    world.stripe.insert("review", {**review, "open": False})
    world.advance(hours=1)

    (told,) = world.reconcile(full=True).drifted.shown.values()

    assert ("open" in told.fields, told.at_stake) == (True, None)
    assert told.link == f"{DASHBOARD}/search?query=prv_1"


def test_an_amount_in_a_currency_without_decimals(world: World) -> None:
    world.deliver([event("application_fee.created", {"id": "fee_1", "object": "application_fee"}, 1)])
    world.stripe.insert("application_fee", id="fee_1", amount=700, currency="jpy")

    drifted = world.reconcile(full=True).drifted

    assert [(each.kind, each.at_stake, each.currency) for each in drifted.shown.values()] == [
        ("application_fee", 700, "jpy")
    ]
    assert drifted.lines[-1] == "drift: 700 JPY at stake in all"


def test_a_document_that_was_edited_by_hand_is_told_with_what_its_object_shows(world: World) -> None:
    price = samples.create("price")
    world.deliver()
    our_database().prices.update_one({"_id": price.id}, {"$set": {"stripe.unit_amount": 1}})
    amount = content(world.stripe.objects("price")[0])["unit_amount"]

    report = world.reconcile(full=True)

    (told,) = report.drifted.shown.values()
    assert report.counts["edited"] == 1
    assert (told.at_stake, told.amounts["unit_amount"]["here"]) == (amount - 1, 1)
    assert_in_sync(world)


def test_a_report_shows_the_first_hundred_and_counts_the_money_of_all(world: World) -> None:
    drifted = Drifted()
    for number in range(SHOWN + 5):
        shown = {"id": f"re_{number}", "object": "refund", "currency": "eur", "amount": 100}
        drifted.add("refund", number, shown, {**shown, "amount": 150}, None)

    assert (len(drifted.shown), drifted.others, drifted.money) == (SHOWN, 5, {"eur": 50 * (SHOWN + 5)})
    assert drifted.lines[-2:] == ["drift: 5 other documents, which the log names", "drift: 52.50 EUR at stake in all"]


@pytest.mark.parametrize("name", ["amount", "amount_paid", "unit_amount", "total_excluding_tax", "balance", "net"])
def test_the_names_of_amounts_are_known(name: str) -> None:
    assert AMOUNT.fullmatch(name)


@pytest.mark.parametrize("name", ["quantity", "created", "percent_off", "attempt_count", "network", "totals"])
def test_what_is_no_amount_is_none(name: str) -> None:
    assert not AMOUNT.fullmatch(name)
