"""The catalogue: products, prices, coupons and promotion codes, and what each of them may refer to."""

from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Coupon, Product, PromotionCode, Undo, changed_kinds, created_kinds, kinds
from stripe_mongo_sync.models.base.input import accepted
from tests.support import samples
from tests.support.answers import problem, untouched
from tests.support.in_sync import assert_in_sync
from tests.support.world import World


def post(world: World, plural: str, **body: Any) -> dict[str, Any]:
    response = world.http.post(f"/{plural}", json=body)
    assert response.status_code == 201, response.json
    return dict(response.json)


def plural_of(kind: str) -> str:
    return str(kinds()[kind]._get_collection_name()).replace("_", "-")


def test_every_kind_is_created_shown_changed_and_listed(world: World) -> None:
    for kind in sorted(samples.CHANGES.keys() & created_kinds()):
        told = post(world, plural_of(kind), **samples.body(kind, kind.replace("_", "-")))
        path = f"/{plural_of(kind)}/{told['stripe_id']}"

        assert world.http.get(path).json == told
        listed = world.http.get(f"/{plural_of(kind)}").json["data"]
        assert {one["id"] for one in listed} == {str(one.id) for one in kinds()[kind].objects}
        assert told in listed
        changed = world.http.patch(path, json=samples.CHANGES[kind])
        assert changed.status_code == 200, changed.json
        assert {name: changed.json[name] for name in samples.CHANGES[kind]} == samples.CHANGES[kind]
    world.deliver()
    world.reconcile(full=True)
    assert_in_sync(world)


# --- deleting and archiving ---


def test_a_product_with_prices_is_not_deleted_and_stays_as_it_was(world: World) -> None:
    price = samples.create("price")
    product = Product.objects.get()

    told = problem(world.http.delete(f"/products/{product.id}"), 422, "refused")

    assert "price" in told["detail"]
    assert (told["document"]["status"], told["document"]["operation"]) == ("active", None)
    assert told["document"]["error"]["message"] == told["detail"]
    assert [remote["active"] for remote in world.stripe.objects("product")] == [True]
    assert price.fetch_latest().status == "active"
    assert world.http.patch(f"/products/{product.id}", json={"active": False}).json["active"] is False
    assert_in_sync(world)


@pytest.mark.parametrize("kind", [kind for kind, model in changed_kinds().items() if not model.resource.deletable])
def test_of_what_stripe_cannot_delete_we_say_what_a_caller_may_do(kind: str) -> None:
    model, told = kinds()[kind], kinds()[kind].resource.instead_of_delete

    assert ("archive" in told) == ("active" in accepted(model, "update"))
    assert "archive" in told or all(action in told for action in model.resource.actions)


@pytest.mark.parametrize(
    "kind", [kind for kind, model in created_kinds().items() if model.resource.undo == (Undo.ARCHIVE,)]
)
def test_what_stripe_cannot_delete_is_archived_instead(world: World, kind: str) -> None:
    document = samples.create(kind)
    path = f"/{plural_of(kind)}/{document.id}"

    with untouched(world):
        told = problem(world.http.delete(path), 422, "not-deletable")

    assert "PATCH" in told["detail"]
    assert kinds()[kind].resource.undo == (Undo.ARCHIVE,)
    assert world.http.patch(path, json={"active": False}).json["active"] is False
    assert (len(world.stripe.objects(kind)), world.stripe.usable(kind)) == (1, [])
    assert document.fetch_latest().status == "active"  # its object is there, and archived is a field


@pytest.mark.parametrize("kind", ["product", "coupon"])
def test_what_can_be_deleted_is(world: World, kind: str) -> None:
    document = samples.create(kind)

    response = world.http.delete(f"/{plural_of(kind)}/{document.id}")

    assert (response.status_code, response.json["status"]) == (200, "deleted")
    assert world.stripe.objects(kind) == []
    assert_in_sync(world)


# --- ids of one's own ---


@pytest.mark.parametrize(("plural", "body"), [("coupons", {"percent_off": 10}), ("products", {"name": "x"})])
def test_an_id_may_be_chosen(world: World, plural: str, body: dict[str, Any]) -> None:
    told = post(world, plural, id="SUMMER-26", **body)

    assert told["stripe_id"] == "SUMMER-26" != told["id"]
    assert world.http.get(f"/{plural}/SUMMER-26").json == told
    assert world.http.patch(f"/{plural}/SUMMER-26", json={"name": "Summer"}).json["name"] == "Summer"
    assert_in_sync(world)


def test_a_chosen_id_that_is_taken_is_refused_and_the_first_stays(world: World) -> None:
    first = post(world, "coupons", id="SUMMER", percent_off=10)

    told = problem(world.http.post("/coupons", json={"id": "SUMMER", "percent_off": 20}), 422, "refused")

    assert told["code"] == "resource_already_exists"
    assert world.http.get("/coupons/SUMMER").json == first
    world.deliver()
    world.converge()
    assert world.stripe.objects("coupon")[0]["percent_off"] == 10
    assert_in_sync(world)


def test_a_chosen_id_can_have_a_second_life(world: World) -> None:
    first = post(world, "coupons", id="SUMMER", percent_off=10)
    world.http.delete("/coupons/SUMMER")
    world.advance(seconds=5)
    second = post(world, "coupons", id="SUMMER", percent_off=20)

    world.deliver(world.webhooks()[::-1])
    world.converge()

    assert world.http.get(f"/coupons/{first['id']}").json["status"] == "deleted"
    assert world.http.get("/coupons/SUMMER").json["id"] == second["id"]
    assert world.http.get("/coupons/SUMMER").json["percent_off"] == 20
    assert_in_sync(world)


# --- references ---

REFERRING = [
    ("product", "prices", lambda to: {"product": to, "currency": "eur", "unit_amount": 5}, "product"),
    ("product", "coupons", lambda to: {"percent_off": 5, "applies_to": {"products": [to]}}, "applies_to.products.0"),
    ("coupon", "promotion-codes", lambda to: {"promotion": {"type": "coupon", "coupon": to}}, "promotion.coupon"),
]


@pytest.mark.parametrize(("kind", "plural", "body", "named"), REFERRING, ids=lambda value: str(value)[:20])
def test_a_reference_is_our_id_or_stripes(world: World, kind: str, plural: str, body: Any, named: str) -> None:
    target = samples.create(kind)

    for reference in (str(target.id), target.stripe_id):
        post(world, plural, **body(reference))

    sent = [request.params for request in world.stripe.requests if request.path == f"/v1/{plural.replace('-', '_')}"]
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert target.stripe_id in repr(sent[0])
    assert_in_sync(world)


@pytest.mark.parametrize("state", ["pending", "rolled_back", "deleted"])
@pytest.mark.parametrize(("kind", "plural", "body", "named"), REFERRING, ids=lambda value: str(value)[:20])
def test_a_reference_to_what_is_not_active_names_the_field(
    world: World, kind: str, plural: str, body: Any, named: str, state: str
) -> None:
    match state:
        case "pending":
            world.stripe.fault("cut_before", method="POST", times=2)
            id = world.http.post(f"/{plural_of(kind)}", json=samples.body(kind)).json["id"]
        case "rolled_back":
            world.stripe.fault("decline", method="POST")
            id = world.http.post(f"/{plural_of(kind)}", json=samples.body(kind)).json["document"]["id"]
        case _:
            id = str(samples.create(kind).id)
            world.http.delete(f"/{plural_of(kind)}/{id}")

    with untouched(world):
        told = problem(world.http.post(f"/{plural}", json=body(id)), 422, "invalid")

    assert list(told["errors"]) == [named]
    assert state in told["errors"][named]


def test_a_reference_to_another_kind_is_refused(world: World) -> None:
    customer = sync.create_customer("user@here.com")

    for reference in (str(customer.id), customer.stripe_id, "user@here.com"):
        with untouched(world):
            response = world.http.post("/prices", json={"product": reference, "currency": "eur", "unit_amount": 5})
            assert list(problem(response, 422, "invalid")["errors"]) == ["product"]


def test_a_price_of_the_product_can_be_its_default(world: World) -> None:
    price = samples.create("price")
    product = Product.objects.get()

    told = world.http.patch(f"/products/{product.id}", json={"default_price": str(price.id)}).json

    assert told["default_price"] == price.stripe_id
    assert world.stripe.objects("product")[0]["default_price"] == price.stripe_id
    assert_in_sync(world)


def test_a_deleted_coupon_takes_its_codes_out_of_use(world: World) -> None:
    code = samples.create("promotion_code")
    world.http.delete(f"/coupons/{Coupon.objects.get().id}")

    world.deliver()
    world.converge()

    assert code.fetch_latest().active is False
    assert PromotionCode.objects.get().status == "active"
    assert world.unfinished() == []
