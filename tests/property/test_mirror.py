"""Mirrored objects: any shuffle and any duplication of what Stripe told ends in the same state."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import PaymentIntent, kinds
from stripe_mongo_sync.models.rows.content import content
from tests.support.events import event
from tests.support.in_sync import assert_in_sync
from tests.support.samples import NO_REDIRECTS
from tests.support.world import World

T = 1_700_000_000
SHARED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
BLIND = sorted(kind for kind, model in kinds().items() if model.resource.events_only)
READ = ["payout", "dispute", "tax_id", "person", "plan"]  # told in distinct seconds, so that nobody has to look


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, list[bytes], list[int]]:
    """A kind, the events of one object of it, oldest first, and the order in which they arrive."""
    kind = draw(st.sampled_from([*BLIND, *READ]))
    resource = kinds()[kind].resource
    gap = st.sampled_from([0, 0, 0, 1] if resource.events_only else [1])
    at, letters = T, []
    object: dict[str, Any] = {"id": "x_1", "object": kind, "created": T, "account": "acct_1"}
    steps = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6))
    for number, value in enumerate(steps):
        verb = "updated" if number else "created"
        at += draw(gap)
        letters.append(event(f"{resource.event_prefixes[0]}.{verb}", {**object, "value": value}, at))
    if draw(st.sampled_from([False, False, True])):
        at += draw(
            st.integers(int(resource.accepts_custom_id), 1)
        )  # where an id may live again, a tie has to be looked at
        letters.append(event(f"{resource.event_prefixes[0]}.deleted", {**object, "value": "last words"}, at))
    again = draw(st.lists(st.sampled_from(range(len(letters))), max_size=4))
    return kind, letters, draw(st.permutations([*range(len(letters)), *again]))


def state(kind: str) -> list[Any]:
    """What there is of that kind; but for how far it was seen, which later events may only extend."""
    return [
        (one.status, one.is_current, one.stripe, one.due_at, one.review_reason, one.orphans)
        for one in kinds()[kind].objects
    ]


@settings(max_examples=40, suppress_health_check=SHARED)
@given(history=histories())
def test_any_order_of_a_history_ends_in_the_same_state(
    history: tuple[str, list[bytes], list[int]], world: World, clean: Callable[[], None]
) -> None:
    kind, letters, order = history
    clean()
    world.deliver(letters)
    straight = state(kind)
    clean()

    world.deliver([letters[number] for number in order])

    assert state(kind) == straight
    assert len(straight) == 1
    assert straight[0][3] is None, "nothing is left to do"


ACTS = st.lists(
    st.tuples(st.sampled_from(["pay", "decline", "refund", "capture"]), st.booleans()), min_size=1, max_size=6
)


def act(world: World, what: str) -> None:
    body = {"amount": 2000, "currency": "eur", "automatic_payment_methods": NO_REDIRECTS, "confirm": True}
    with suppress(sync.SyncError):
        match what:
            case "pay":
                sync.create(PaymentIntent, {**body, "payment_method": "pm_card_visa"})
            case "decline":
                sync.create(PaymentIntent, {**body, "payment_method": "pm_card_visa_chargeDeclined"})
            case "capture":
                held = {**body, "payment_method": "pm_card_visa", "capture_method": "manual"}
                document, _ = sync.create(PaymentIntent, held)
                sync.act(document, "capture", {"amount_to_capture": 1500})
            case "refund":
                charges = world.stripe.objects("charge")
                sync.create(kinds()["refund"], {"charge": charges[-1]["id"] if charges else "ch_none", "amount": 100})


@settings(max_examples=12, suppress_health_check=SHARED)
@given(acts=ACTS, data=st.data())
def test_charges_end_as_stripe_has_them_in_any_order(
    acts: list[tuple[str, bool]], data: st.DataObject, database: str, clean: Callable[[], None]
) -> None:
    clean()
    world = World(database)
    try:
        for what, later in acts:
            act(world, what)
            world.advance(seconds=later)
        letters = world.webhooks()
        again = data.draw(st.lists(st.sampled_from(range(len(letters) or 1)), max_size=6)) if letters else []
        order = data.draw(st.permutations([*range(len(letters)), *again]))

        world.deliver([letters[number] for number in order])

        there = {charge["id"]: content(charge) for charge in world.stripe.objects("charge")}
        assert {charge.stripe_id: content(charge.stripe) for charge in kinds()["charge"].objects} == there
        world.converge()
        assert_in_sync(world)
    finally:
        world.stop()
