"""The HTTP contract: what each call answers, row by row."""

import logging
import re
import unicodedata
from collections import Counter
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Status, created_kinds, kinds
from tests.support import samples
from tests.support.answers import at_once, problem, untouched
from tests.support.in_sync import assert_in_sync
from tests.support.world import KEY, SECRET, TOKEN, World

NAME = "user@here.com"
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def post(
    world: World, body: dict[str, Any] | None = None, key: str | None = None, to: str = "/customers"
) -> TestResponse:
    headers = {} if key is None else {"Idempotency-Key": key}
    return world.http.post(to, json={"username": NAME} if body is None else body, headers=headers)


def listed(world: World, query: str = "", plural: str = "customers") -> list[str]:
    response = world.http.get(f"/{plural}{query}")
    assert response.status_code == 200, response.json
    return [document["id"] for document in response.json["data"]]


# --- creating ---


def test_a_creation_answers_with_the_document(world: World) -> None:
    response = post(world, {"username": "User@Here.com", "name": "A", "address": {"city": "Berlin"}})

    assert response.status_code == 201
    told = response.json
    (remote,) = world.stripe.objects("customer")
    assert response.headers["Location"] == f"/customers/{told['id']}"
    assert response.headers["X-Request-Id"]
    assert "Idempotent-Replayed" not in response.headers
    assert "Retry-After" not in response.headers
    assert (told["kind"], told["status"], told["stripe_id"]) == ("customer", "active", remote["id"])
    assert (told["username"], told["email"], told["name"]) == ("User@Here.com", "User@Here.com", "A")
    assert told["address"]["city"] == "Berlin"
    assert (told["operation"], told["error"], told["review"]) == (None, None, None)
    assert told["confirmed_at"] is None
    assert ISO.fullmatch(told["created_at"])
    assert ISO.fullmatch(told["updated_at"])
    assert "stripe" not in told
    assert world.http.get(response.headers["Location"]).json == told
    assert_in_sync(world)


def test_the_username_is_not_sent_to_stripe(world: World) -> None:
    post(world, {"username": "my secret name", "email": "user@here.com"})

    assert "my secret name" not in repr(world.stripe.requests)


def test_stripes_own_status_has_a_name_of_its_own(world: World) -> None:
    for kind in sorted(samples.CHANGES.keys() & created_kinds()):
        assert samples.create(kind, kind.replace("_", "-")).status == "active"
        plural = kinds()[kind]._get_collection_name().replace("_", "-")
        shown = world.http.get(f"/{plural}").json["data"][0]
        assert shown["status"] == "active"


@pytest.mark.parametrize(
    "fault", ["cut_before", "cut_after", "500_before", "idempotency_in_use", "rate_limit", "bad_body"]
)
def test_a_creation_of_unknown_outcome_is_pending(world: World, fault: str) -> None:
    world.stripe.fault(fault, method="POST", times=2)

    response = post(world)

    assert response.status_code == 202
    assert int(response.headers["Retry-After"]) > 0
    told = world.http.get(response.headers["Location"]).json
    assert told == response.json
    assert (told["status"], told["stripe_id"], told["operation"]["verb"]) == ("pending", None, "create")
    assert told["operation"]["attempts"] == 1
    assert ISO.fullmatch(told["operation"]["since"])
    world.stripe.clear_faults()
    world.deliver()
    world.converge()
    assert_in_sync(world)


def test_a_refused_creation_says_why_and_leaves_nothing(world: World) -> None:
    told = problem(post(world, {"percent_off": 10, "duration": "repeating"}, to="/coupons"), 422, "refused")

    assert told["code"] == "parameter_missing"
    assert told["document"]["status"] == "rolled_back"
    assert told["document"]["error"]["type"] == "invalid_request_error"
    assert world.stripe.objects("coupon") == []
    assert_in_sync(world)


def test_a_declined_card_is_told_as_one(world: World) -> None:
    world.stripe.fault("decline", method="POST")

    told = problem(post(world, key="one"), 402, "declined")

    assert (told["code"], told["document"]["error"]["type"]) == ("card_declined", "card_error")
    with untouched(world):
        assert problem(post(world, key="one"), 402, "declined") == told
    assert world.stripe.objects("customer") == []
    assert_in_sync(world)


def test_a_name_is_taken_also_by_a_pending_document(world: World) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    assert post(world).status_code == 202

    told = problem(post(world), 409, "already-exists")

    assert "document" not in told
    assert Customer.objects.count() == 1


def test_two_spellings_of_a_name_are_one(world: World) -> None:
    for one, other in (
        ("User@Here.com", "user@here.com"),
        (unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")),
        ("straße", "STRASSE"),
        ("ﬁne", "fine"),
        ("Ⅷ", "viii"),
    ):
        first = post(world, {"username": one})

        problem(post(world, {"username": other}), 409, "already-exists")

        assert world.http.get(f"/customers/{other}").json == first.json
        assert first.json["username"] == one


def test_a_username_may_be_almost_anything_and_is_found_by_it(world: World) -> None:
    for name in ("$stripe_id", "a/b", "/", "a//b/", "ünï cødé", "a?b#c%20", "' or 1=1", "null", "x" * 255, ".."):
        response = post(world, {"username": name})
        assert response.status_code == 201, name
        assert response.json["username"] == name

        assert world.http.get(f"/customers/{quote(name, safe='')}").json == response.json
    assert_in_sync(world)


@pytest.mark.fault("8")
def test_fifty_at_once_make_one_customer(world: World) -> None:
    spelled = [NAME, NAME.upper(), "User@Here.com"]

    responses = at_once(50, lambda n: post(world, {"username": spelled[n % 3]}))

    assert Counter(response.status_code for response in responses) == {201: 1, 409: 49}
    assert len(world.stripe.objects("customer")) == 1
    assert [request.path for request in world.stripe.requests if request.method == "POST"] == ["/v1/customers"]
    assert_in_sync(world)


# --- the same key again ---


def replayed(response: TestResponse) -> bool:
    return response.headers.get("Idempotent-Replayed") == "true"


@pytest.mark.fault("8")
def test_the_same_key_and_body_is_the_same_document(world: World) -> None:
    first = post(world, key="one")
    with untouched(world):
        again = post(world, key="one")

    assert (again.status_code, again.json, replayed(again)) == (201, first.json, True)
    assert again.headers["Location"] == first.headers["Location"]


def test_the_order_of_the_fields_is_no_other_body(world: World) -> None:
    first = post(world, {"username": NAME, "name": "A"}, key="one")

    assert post(world, {"name": "A", "username": NAME}, key="one").json == first.json


def test_a_repetition_shows_the_document_as_it_is_now(world: World) -> None:
    first = post(world, key="one").json
    world.http.patch(f"/customers/{first['id']}", json={"name": "Later"})

    assert post(world, key="one").json["name"] == "Later"


def test_a_repetition_while_pending_is_pending(world: World) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    first = post(world, key="one")

    again = post(world, key="one")

    assert (first.status_code, again.status_code, replayed(again)) == (202, 202, True)
    assert again.headers["Retry-After"]
    world.advance(minutes=5)
    world.converge()
    assert post(world, key="one").status_code == 201
    assert_in_sync(world)


def test_a_repetition_while_the_first_still_runs_is_pending(world: World) -> None:
    post(world, {"username": "somebody else"})  # so that the account is known
    held = world.stripe.fault("hold", method="POST")

    def call(number: int) -> TestResponse:
        if number == 0:
            return post(world, key="one")
        assert held.entered.wait(30)
        try:
            return post(world, key="one")
        finally:
            held.release()

    first, again = at_once(2, call)

    assert (first.status_code, again.status_code, replayed(again)) == (201, 202, True)
    assert first.json["id"] == again.json["id"]
    assert_in_sync(world)


def test_twenty_at_once_with_one_key_make_one_document(world: World) -> None:
    responses = at_once(20, lambda _: post(world, key="one"))

    assert {response.status_code for response in responses} <= {201, 202}
    assert len({response.json["id"] for response in responses}) == 1
    assert sum(not replayed(response) for response in responses) == 1
    assert len(world.stripe.objects("customer")) == 1
    assert_in_sync(world)


def test_a_repetition_of_a_refusal_is_that_refusal(world: World) -> None:
    body = {"percent_off": 10, "duration": "repeating"}
    first = problem(post(world, body, "one", "/coupons"), 422, "refused")

    with untouched(world):
        assert problem(post(world, body, "one", "/coupons"), 422, "refused") == first


def test_a_repetition_of_what_was_given_up_is_rolled_back(world: World) -> None:
    world.stripe.fault("500_before", method="POST", times=None)
    assert post(world, key="one").status_code == 202
    world.converge()
    world.stripe.clear_faults()

    told = problem(post(world, key="one"), 422, "rolled-back")

    assert (told["document"]["status"], told["document"]["operation"]) == ("rolled_back", None)
    assert world.http.get(f"/customers/{told['document']['id']}").json == told["document"]
    assert post(world).status_code == 201  # the name is free
    assert_in_sync(world)


def test_a_repetition_of_what_was_deleted_is_deleted(world: World) -> None:
    id = post(world, key="one").json["id"]
    world.http.delete(f"/customers/{id}")

    assert problem(post(world, key="one"), 410, "deleted")["document"]["id"] == id


def test_the_same_key_with_another_body_is_refused(world: World) -> None:
    post(world, key="one")

    with untouched(world):
        problem(post(world, {"username": "other"}, key="one"), 422, "key-reused")


@pytest.mark.fault("8")
def test_a_key_is_of_one_route_and_one_token(world: World) -> None:
    world.settings["API_TOKENS"] = f"{TOKEN}, another-token-of-the-shop"
    world.start()
    customer = post(world, key="one")
    product = post(world, {"name": "x"}, key="one", to="/products")
    other = world.http.post(
        "/customers",
        json={"username": "other"},
        headers={"Idempotency-Key": "one", "Authorization": "Bearer another-token-of-the-shop"},
    )

    assert [response.status_code for response in (customer, product, other)] == [201, 201, 201]
    assert other.json["id"] != customer.json["id"]
    assert sync.create_customer("a third", idempotency_key="one").username == "a third"


def test_a_conflict_is_not_remembered(world: World) -> None:
    id = post(world).json["id"]
    problem(post(world, key="one"), 409, "already-exists")
    world.http.delete(f"/customers/{id}")

    again = post(world, key="one")

    assert (again.status_code, replayed(again)) == (201, False)


def test_an_invalid_body_is_not_remembered(world: World) -> None:
    problem(post(world, {"username": ""}, key="one"), 422, "invalid")

    assert post(world, key="one").status_code == 201


# --- one document ---


def test_a_document_is_found_by_id_stripe_id_and_name(world: World) -> None:
    told = post(world).json

    for reference in (told["id"], told["stripe_id"], NAME, "USER@here.com"):
        assert world.http.get(f"/customers/{reference}").json == told
    problem(world.http.get("/customers/nobody"), 404, "not-found")
    problem(world.http.get(f"/products/{told['id']}"), 404, "not-found")


def test_a_name_comes_before_an_id_that_was_chosen(world: World) -> None:
    """No name may look like the ids that Stripe gives, so they can only meet where an id was chosen."""
    told, other = post(world).json, post(world, {"username": "an-id"}).json
    Customer._get_collection().update_one({"username": NAME}, {"$set": {"stripe_id": "an-id"}})

    assert world.http.get("/customers/an-id").json["id"] == other["id"]
    assert world.http.get(f"/customers/{told['id']}").json["username"] == NAME
    problem(post(world, {"username": "An-Id"}), 409, "already-exists")


def test_what_is_gone_is_found_by_id_only(world: World) -> None:
    gone = post(world).json
    world.http.delete(f"/customers/{gone['id']}")
    world.stripe.fault("decline", method="POST")
    refused = post(world, {"username": "other"}).json["document"]

    assert world.http.get(f"/customers/{gone['id']}").json["status"] == "deleted"
    assert world.http.get(f"/customers/{refused['id']}").json["status"] == "rolled_back"
    for reference in (gone["stripe_id"], NAME, "other"):
        problem(world.http.get(f"/customers/{reference}"), 404, "not-found")
        problem(world.http.patch(f"/customers/{reference}", json={"name": "x"}), 404, "not-found")
    for id in (gone["id"], refused["id"]):
        problem(world.http.patch(f"/customers/{id}", json={"name": "x"}), 404, "not-found")
        problem(world.http.delete(f"/customers/{id}"), 404, "not-found")


def test_the_snapshot_is_shown_when_it_is_asked_for(world: World) -> None:
    created = world.http.post("/customers?expand=stripe", json={"username": NAME}).json
    (remote,) = world.stripe.objects("customer")

    assert created["stripe"] == remote
    for answer in (
        world.http.get(f"/customers/{created['id']}?expand=stripe").json,
        world.http.get("/customers?expand=stripe").json["data"][0],
    ):
        assert answer["stripe"] == remote
    changed = world.http.patch(f"/customers/{created['id']}?expand=stripe", json={"name": "B"}).json
    assert changed["stripe"]["name"] == "B"
    with untouched(world):
        for method in ("GET", "PATCH", "DELETE"):
            body = {"json": {"name": "C"}} if method == "PATCH" else {}
            response = world.http.open(f"/customers/{created['id']}?expand=all", method=method, **body)
            assert list(problem(response, 422, "invalid")["errors"]) == ["expand"]
        problem(world.http.post("/customers?expand=", json={"username": "b"}), 422, "invalid")


# --- lists ---


def test_a_list_is_newest_first_and_goes_on_where_it_ended(world: World) -> None:
    ids = [post(world, {"username": f"user {n}"}).json["id"] for n in range(5)][::-1]

    assert listed(world) == ids
    page = world.http.get("/customers?limit=2").json
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (ids[:2], True)
    page = world.http.get(f"/customers?limit=2&starting_after={ids[1]}").json
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (ids[2:4], True)
    page = world.http.get(f"/customers?limit=2&starting_after={ids[3]}").json
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (ids[4:], False)
    assert listed(world, f"?starting_after={ids[4]}") == []


def test_documents_of_one_moment_are_listed_each_once(world: World) -> None:
    ids = sorted((post(world, {"username": f"user {n}"}).json["id"] for n in range(4)), reverse=True)
    moment = Customer.objects.first().created_at
    Customer._get_collection().update_many({}, {"$set": {"created_at": moment}})

    seen, after = [], ""
    for _ in ids:
        seen += listed(world, f"?limit=1{after}")
        after = f"&starting_after={seen[-1]}"

    assert seen == ids


def test_a_list_shows_what_is_live_unless_asked_for_more(world: World) -> None:
    active = post(world, {"username": "active"}).json["id"]
    deleted = post(world, {"username": "deleted"}).json["id"]
    world.http.delete(f"/customers/{deleted}")
    world.stripe.fault("decline", method="POST")
    refused = post(world, {"username": "refused"}).json["document"]["id"]
    world.stripe.fault("cut_before", method="POST", times=2)
    pending = post(world, {"username": "pending"}).json["id"]

    assert listed(world) == [pending, active]
    assert [listed(world, f"?status={status}") for status in Status] == [[pending], [active], [refused], [deleted]]
    assert listed(world, f"?starting_after={deleted}") == [active]


# --- changing ---


def test_a_change_reaches_both_sides(world: World) -> None:
    id = post(world).json["id"]

    response = world.http.patch(f"/customers/{NAME}", json={"name": "B", "address": {"city": "Bonn"}, "phone": None})

    assert response.status_code == 200
    assert response.headers["Location"] == f"/customers/{id}"
    (remote,) = world.stripe.objects("customer")
    assert (response.json["name"], remote["name"], remote["address"]["city"]) == ("B", "B", "Bonn")
    assert_in_sync(world)


def test_null_unsets_a_field_on_both_sides(world: World) -> None:
    post(world, {"username": NAME, "name": "A", "address": {"city": "Bonn"}})

    told = world.http.patch(f"/customers/{NAME}", json={"name": None, "address": None}).json

    (remote,) = world.stripe.objects("customer")
    assert (told["name"], remote["name"], told["address"], remote["address"]) == (None, None, None, None)
    assert_in_sync(world)


def test_a_username_is_changed_here_alone(world: World) -> None:
    told = post(world).json
    asked = len(world.stripe.requests)

    response = world.http.patch(f"/customers/{NAME}", json={"username": "New Name"})

    assert (response.status_code, response.json["username"], response.json["email"]) == (200, "New Name", NAME)
    assert len(world.stripe.requests) == asked
    problem(world.http.get(f"/customers/{NAME}"), 404, "not-found")
    assert world.http.get("/customers/new name").json["id"] == told["id"]
    assert post(world).status_code == 201  # the old name is free
    assert_in_sync(world)


def test_a_username_may_change_its_spelling(world: World) -> None:
    post(world)

    assert world.http.patch(f"/customers/{NAME}", json={"username": NAME.upper()}).json["username"] == NAME.upper()


def test_a_taken_username_is_refused(world: World) -> None:
    post(world)
    post(world, {"username": "other"})

    with untouched(world):
        problem(world.http.patch("/customers/other", json={"username": "USER@HERE.COM"}), 409, "already-exists")


BAD_CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"username": "new", "name": "B"}, "username"),
    ({"username": None}, "username"),
    ({"username": "cus_123"}, "username"),
    ({}, "body"),
    ({"delinquent": True}, "delinquent"),
    ({"balance": "5"}, "balance"),
    ({"metadata": {"a": "b"}}, "metadata"),
    ({"colour": "red"}, "colour"),
    ({"name": {"$set": 1}}, "name"),
]


def test_a_bad_change_names_the_field_and_changes_nothing(world: World) -> None:
    post(world)

    with untouched(world):
        for body, named in BAD_CHANGES:
            told = problem(world.http.patch(f"/customers/{NAME}", json=body), 422, "invalid")
            assert list(told["errors"]) == [named], body


def test_a_refused_change_leaves_the_document_as_it_was(world: World) -> None:
    product = samples.create("product")
    other = samples.create("price", "other")
    before = world.http.get(f"/products/{product.id}").json

    response = world.http.patch(f"/products/{product.id}", json={"default_price": str(other.id)})

    told = problem(response, 422, "refused")
    assert told["document"]["error"]["message"] == told["detail"]
    after = world.http.get(f"/products/{product.id}").json
    unimportant = {"updated_at": None, "error": None}
    assert after | unimportant == before | unimportant
    world.advance(minutes=5)
    world.converge()  # the end of an operation looks again
    assert_in_sync(world)


@pytest.fixture
def changing(world: World) -> str:
    """The id of a customer with an update of unknown outcome."""
    id: str = post(world).json["id"]
    world.stripe.fault("cut_before", method="POST", times=2)
    response = world.http.patch(f"/customers/{id}", json={"name": "B"})
    assert (response.status_code, response.json["operation"]["verb"]) == (202, "update")
    assert (response.json["status"], response.json["name"]) == ("active", None)
    assert response.headers["Retry-After"]
    return id


def test_a_change_while_one_is_pending_must_wait(world: World, changing: str) -> None:
    with untouched(world):
        problem(world.http.patch(f"/customers/{changing}", json={"name": "C"}), 409, "in-progress")
    world.advance(minutes=5)
    world.converge()
    assert world.stripe.objects("customer")[0]["name"] == "B"
    assert_in_sync(world)


def test_a_username_can_be_changed_while_an_update_is_pending(world: World, changing: str) -> None:
    """It is local: nothing of Stripe's is waited for."""
    response = world.http.patch(f"/customers/{changing}", json={"username": "new"})

    assert response.json["username"] == "new"
    world.advance(minutes=5)
    world.converge()
    assert_in_sync(world)


def test_a_deletion_replaces_a_pending_update(world: World, changing: str) -> None:
    response = world.http.delete(f"/customers/{changing}")

    assert (response.status_code, response.json["status"], response.json["operation"]) == (200, "deleted", None)
    assert world.stripe.objects("customer") == []
    assert_in_sync(world)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_what_is_still_being_created_cannot_be_changed(world: World, method: str) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    post(world)

    with untouched(world):
        response = world.http.open(f"/customers/{NAME}", method=method, json={"name": "B"})
        problem(response, 409, "in-progress")


# --- deleting ---


def test_a_deletion_reaches_both_sides_and_frees_the_name(world: World) -> None:
    post(world)

    response = world.http.delete(f"/customers/{NAME}")

    assert (response.status_code, response.json["status"]) == (200, "deleted")
    assert world.stripe.objects("customer") == []
    problem(world.http.delete(f"/customers/{response.json['id']}"), 404, "not-found")
    assert post(world).status_code == 201
    assert_in_sync(world)


def test_a_deletion_of_unknown_outcome_is_pending(world: World) -> None:
    post(world)
    world.stripe.fault("cut_before", method="DELETE", times=2)

    response = world.http.delete(f"/customers/{NAME}")

    assert (response.status_code, response.json["operation"]["verb"]) == (202, "delete")
    problem(world.http.delete(f"/customers/{NAME}"), 409, "in-progress")
    problem(post(world), 409, "already-exists")
    world.advance(minutes=5)
    world.converge()
    assert world.stripe.objects("customer") == []
    assert_in_sync(world)


# --- around it all ---


def test_every_route_needs_a_token_but_those_that_are_open(world: World) -> None:
    """Deny by default: a new route is closed until somebody opens it."""
    told = post(world).json
    open_routes = {"/", "/healthz", "/readyz", "/webhooks/stripe", "/docs", "/openapi.json"}
    stranger = world.app.test_client()
    asked = set()
    for rule in world.app.url_map.iter_rules():
        path = re.sub("<.*>", told["id"], rule.rule.replace("<mirrored:model>", "charges"))
        for method in rule.methods or ():
            response = stranger.open(path, method=method, json={} if method in ("POST", "PATCH") else None)
            if rule.rule in open_routes:
                assert response.status_code != 401, path
            else:
                assert response.status_code == 401, (method, path)
                asked.add(rule.rule)
    assert len(asked) >= 10
    for path in ("/nowhere", "/customers/", "/static/x", "/webhooks/stripe/x", "/webhooks"):
        for method in ("GET", "POST", "DELETE"):
            problem(stranger.open(path, method=method), 404, "not-found")
    assert problem(stranger.get("/webhooks/stripe"), 405, "method-not-allowed")


BAD_TOKENS = [
    None,
    "",
    TOKEN,
    "Bearer",
    "Bearer ",
    f"Basic {TOKEN}",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    f"Bearer {TOKEN.upper()}",
    f"Bearer {TOKEN},{TOKEN}",
    f"Bearer {TOKEN}, Bearer {TOKEN}",
    "Bearer tök€n".encode().decode("latin-1"),
    "Bearer \x00",
    "Bearer " + "x" * 100_000,
]


def test_a_bad_token_is_refused(world: World) -> None:
    world.http.environ_base.pop("HTTP_AUTHORIZATION")

    for given in BAD_TOKENS:
        extra = {} if given is None else {"HTTP_AUTHORIZATION": given}

        with untouched(world):
            response = world.http.post("/customers", json={"username": NAME}, environ_overrides=extra)
            problem(response, 401, "unauthorized")
        assert response.headers["WWW-Authenticate"] == "Bearer"


def test_each_of_the_tokens_is_good(world: World) -> None:
    world.settings["API_TOKENS"] = f"{TOKEN}, another-token-of-the-shop"
    world.start()

    for given in (f"Bearer {TOKEN}", "bearer another-token-of-the-shop"):
        assert world.http.get("/customers", headers={"Authorization": given}).status_code == 200


def test_every_answer_has_a_request_id_of_its_own(world: World) -> None:
    answers = [
        post(world),
        post(world),
        world.http.get("/customers"),
        world.http.get("/nowhere"),
        world.http.get("/healthz"),
        world.http.get("/readyz"),
        world.http.put("/customers"),
        world.http.options("/customers"),
        world.http.head("/customers"),
        world.http.post("/webhooks/stripe", data=b"{}"),
        world.app.test_client().get("/customers"),
    ]

    assert len({response.headers["X-Request-Id"] for response in answers}) == len(answers)


def test_the_probes_answer_without_a_token(world: World) -> None:
    stranger = world.app.test_client()

    assert (stranger.get("/healthz").status_code, stranger.get("/readyz").status_code) == (200, 200)


def test_the_log_of_a_whole_journey_has_no_secrets_and_no_people(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """At the most talkative level, for all that goes well and all that does not."""
    caplog.set_level(logging.DEBUG)
    for name in ("pymongo", "stripe", "urllib3"):  # whose debugging shows documents: the service leaves it off
        caplog.set_level(logging.INFO, logger=name)
    person = {"username": NAME, "name": "Ann Example", "phone": "+49 30 1234567", "address": {"line1": "Mainstreet 7"}}
    world.stripe.fault("cut_before", method="POST", times=2)
    post(world, person, key="a-key-of-the-shop")
    post(world, person | {"username": "other@here.com"})
    post(world, person)
    world.stripe.fault("decline", method="POST")
    post(world, {"username": "third@here.com"})
    post(world, {"username": 7, "email": "fourth@here.com"})
    world.app.test_client().get("/customers", headers={"Authorization": "Bearer a-wrong-token-of-somebody"})
    world.http.post("/webhooks/stripe", data=b'{"email": "fifth@here.com"}', headers={"Stripe-Signature": "t=1,v1=abc"})
    world.http.patch("/customers/other@here.com", json={"email": "sixth@here.com"})
    world.stripe.fault("html_body", method="POST", times=2)
    world.http.patch("/customers/sixth@here.com", json={"name": "x"})
    world.deliver()
    world.stripe.dashboard.update("customer", world.stripe.objects("customer")[0]["id"], email="seventh@here.com")
    world.advance(hours=1)
    world.converge()
    world.reconcile(full=True)
    world.http.delete("/customers/other@here.com")

    assert "→ active" in caplog.text
    for secret in (KEY, TOKEN, SECRET, "wrong-token", "v1=abc", "@here.com", "Ann", "1234567", "Mainstreet"):
        assert secret not in caplog.text, secret


def test_a_repeated_refusal_says_that_it_is_one(world: World) -> None:
    world.stripe.fault("decline", method="POST")
    post(world, key="one")

    assert replayed(post(world, key="one"))


def test_a_repetition_outlives_what_it_refers_to(world: World) -> None:
    coupon = samples.create("coupon")
    body = {"promotion": {"type": "coupon", "coupon": str(coupon.id)}}
    post(world, body, "one", "/promotion-codes")
    world.http.delete(f"/coupons/{coupon.id}")

    assert post(world, body, "one", "/promotion-codes").status_code == 201
