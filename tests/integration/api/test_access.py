"""Who gets in: each token within its scopes and its rate; who does not is turned away before anything is read."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from pymongo.monitoring import CommandStartedEvent
from werkzeug.test import TestResponse

from stripe_mongo_sync import sync
from stripe_mongo_sync.api.app import unconnected_app
from stripe_mongo_sync.api.auth import PUBLIC_ROUTES, SCOPES, scope_of
from stripe_mongo_sync.api.resources import plural_of
from stripe_mongo_sync.models import Coupon, Customer, Event, Status, SyncedDocument, changed_kinds, created_kinds
from stripe_mongo_sync.sync.tokens import Scope
from tests.support import samples
from tests.support.answers import problem, untouched
from tests.support.events import event
from tests.support.heard import Listener
from tests.support.run import Run
from tests.support.world import TOKEN, World

NAME = "user@here.com"
TOKENS = {
    "dashboard": ("read", "the-token-of-the-dashboard"),
    "till": ("write", "the-token-of-the-till"),
    "shop": ("read+write", "the-token-of-the-shop"),
    "ops": ("operate", "the-token-of-the-operators"),
    "watch": ("metrics", "the-token-of-the-watch"),
    "all": ("read+write+operate", "the-token-of-who-may-all"),
}
ASKS = {  # one call that needs each scope
    "read": ("GET", "/customers"),
    "write": ("PATCH", f"/customers/{NAME}"),
    "operate": ("GET", "/status"),
    "metrics": ("GET", "/metrics"),
}


class Counter(Listener):
    """Counts what MongoDB is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.asked.append(event.command_name)


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def guarded(world: World, counter: Counter) -> World:
    """A world with several tokens, and a customer."""
    tokens = ", ".join(f"{name}:{scopes}:{token}" for name, (scopes, token) in TOKENS.items())
    world.settings["API_TOKENS"] = f"{TOKEN}, {tokens}"
    world.listeners = (counter,)
    world.start()
    sync.create_customer(NAME)
    return world


def ask(world: World, name: str, method: str, path: str, **more: Any) -> TestResponse:
    """Ask with the token of that name."""
    token = TOKENS[name][1] if name in TOKENS else TOKEN
    return world.http.open(path, method=method, headers={"Authorization": f"Bearer {token}"}, **more)


# --- scopes ---


@pytest.mark.fault("141")
@pytest.mark.parametrize("name", [*TOKENS, "plain"])
def test_a_token_does_what_its_scopes_say_and_nothing_else(guarded: World, counter: Counter, name: str) -> None:
    scopes = TOKENS[name][0].split("+") if name in TOKENS else ["read", "write"]
    for scope, (method, path) in ASKS.items():
        counter.asked.clear()

        response = ask(guarded, name, method, path, json={"name": "New"} if method == "PATCH" else None)

        if scope in scopes or (scope == "metrics" and "operate" in scopes):
            assert response.status_code == 200, scope
        else:
            assert f"`{scope}`" in problem(response, 403, "forbidden")["detail"]
            assert counter.asked == [], scope


@pytest.mark.fault("141")
@pytest.mark.parametrize("reference", [NAME, "nobody@here.com"])
def test_a_missing_scope_does_not_tell_who_is_there(guarded: World, counter: Counter, reference: str) -> None:
    counter.asked.clear()

    problem(ask(guarded, "till", "GET", f"/customers/{reference}"), 403, "forbidden")
    problem(ask(guarded, "ops", "DELETE", f"/customers/{reference}"), 403, "forbidden")

    assert counter.asked == []


def test_no_answer_tells_who_may_only_operate_an_address(guarded: World) -> None:
    """Stripe and hooks may quote one in what they say."""
    customer = Customer.by_username(NAME)
    error = {"type": "invalid_request_error", "message": f"Invalid email address: {NAME}"}
    said = {"error": error, "review_reason": f"two have {NAME}"}
    Customer.own_rows().update_one({"_id": customer.id}, {"$set": said})
    one = f"/operations/{customer.id}"

    for method, path in (("GET", "/operations"), ("GET", one), ("POST", f"{one}/retry")):
        body = {"dry_run": True} if method == "POST" else None
        hidden, shown = (ask(guarded, name, method, path, json=body).text for name in ("ops", "all"))
        assert NAME in shown, path
        assert NAME not in hidden, path
        assert "…@…" in hidden, path


def test_every_route_needs_a_scope_or_is_named_as_open() -> None:
    app = unconnected_app()

    for rule in app.url_map.iter_rules():
        scope = scope_of(app, rule.endpoint)
        assert (scope is None) == (rule.endpoint in PUBLIC_ROUTES), rule
        reads = rule.methods == {"GET", "HEAD", "OPTIONS"} or rule.endpoint == "invoices.create_preview"
        wanted = Scope.READ if reads else Scope.WRITE
        assert scope in (None, wanted, Scope.OPERATE, Scope.METRICS), rule
        assert (scope is Scope.METRICS) == (rule.endpoint == "operator.metrics"), rule
    assert {rule.endpoint for rule in app.url_map.iter_rules()} >= PUBLIC_ROUTES


def test_a_route_without_a_scope_is_closed_to_every_token(guarded: World) -> None:
    guarded.app.add_url_rule("/forgotten", "forgotten", lambda: "open")

    for name in [*TOKENS, "plain"]:
        problem(ask(guarded, name, "GET", "/forgotten"), 403, "forbidden")
    problem(guarded.app.test_client().get("/forgotten"), 401, "unauthorized")


def test_every_route_that_needs_a_token_refuses_who_has_none(guarded: World, counter: Counter) -> None:
    stranger = guarded.app.test_client()
    counter.asked.clear()
    asked = set()

    for rule in guarded.app.url_map.iter_rules():
        if rule.endpoint in PUBLIC_ROUTES:
            continue
        path = rule.rule.replace("<mirrored:model>", "charges")
        for method in sorted(rule.methods - {"HEAD"}):
            asked.add(rule.endpoint)
            problem(stranger.open(path, method=method, json={}), 401, "unauthorized")

    assert counter.asked == []
    assert len(asked) > 100 - len(SCOPES)


@pytest.mark.fault("140")
def test_a_flood_of_wrong_tokens_costs_mongodb_and_stripe_nothing(guarded: World, counter: Counter) -> None:
    asked = len(guarded.stripe.requests)
    counter.asked.clear()

    for number in range(100):
        response = guarded.http.get("/customers", headers={"Authorization": f"Bearer a-guess-of-a-token-{number}"})
        problem(response, 401, "unauthorized")

    assert counter.asked == []
    assert len(guarded.stripe.requests) == asked


@pytest.mark.fault("140")
def test_a_flood_of_forged_webhooks_costs_mongodb_nothing(guarded: World, counter: Counter) -> None:
    counter.asked.clear()

    for number in range(50):
        headers = {"Stripe-Signature": f"t={int(time.time())},v1={number:064x}"}
        problem(guarded.http.post("/webhooks/stripe", data=b"{}", headers=headers), 400, "bad-signature")

    assert counter.asked == []


# --- rotation ---


@pytest.mark.fault("148")
def test_a_new_token_under_an_old_name_replays_what_the_old_one_asked(guarded: World) -> None:
    body, key = {"username": "second@here.com"}, {"Idempotency-Key": "one"}

    def post(token: str) -> TestResponse:
        return guarded.http.post("/customers", json=body, headers={**key, "Authorization": f"Bearer {token}"})

    first = post(TOKENS["shop"][1])
    guarded.settings["API_TOKENS"] = "shop:read+write:a-new-token-of-the-shop, till:write:the-token-of-the-till"
    guarded.start()

    again, other = post("a-new-token-of-the-shop"), post(TOKENS["till"][1])

    problem(post(TOKENS["shop"][1]), 401, "unauthorized")
    assert (again.status_code, again.json["id"]) == (201, first.json["id"])
    assert again.headers["Idempotent-Replayed"] == "true"
    problem(other, 409, "already-exists")


def test_a_plain_token_keeps_the_keys_that_it_has_used_since_the_first_version(guarded: World) -> None:
    guarded.http.post("/customers", json={"username": "second@here.com"}, headers={"Idempotency-Key": "one"})

    assert Customer.objects.get(username="second@here.com").request.caller == "21038e4af1592d24"


# --- rate ---


@pytest.fixture
def slow(guarded: World) -> World:
    """A world that admits one request a second of each token."""
    guarded.settings["API_RATE"] = "1"
    guarded.start()
    return guarded


@pytest.mark.fault("142")
def test_a_token_that_asks_too_often_is_told_to_wait_before_anything_is_read(slow: World, counter: Counter) -> None:
    told = [ask(slow, "shop", "GET", "/customers")]
    counter.asked.clear()
    told += [ask(slow, "shop", "POST", "/customers", json={"username": "x"}) for _ in range(20)]

    assert told[0].status_code == 200
    refused = [response for response in told if response.status_code == 429]
    assert len(refused) >= 18, "a second or two may pass meanwhile"
    for response in refused:
        problem(response, 429, "rate-limited")
        assert response.headers["Retry-After"] == "1"
    if len(refused) == 20:
        assert counter.asked == []


@pytest.mark.fault("142")
def test_one_runaway_client_slows_nobody_else_and_no_webhook(slow: World) -> None:
    for _ in range(10):
        ask(slow, "dashboard", "GET", "/customers")

    assert ask(slow, "shop", "GET", "/customers").status_code == 200
    assert ask(slow, "plain", "GET", "/customers").status_code == 200
    assert slow.deliver() == ["applied"]
    for path in ("/healthz", "/readyz", "/docs"):
        assert [slow.app.test_client().get(path).status_code for _ in range(5)] == [200] * 5


def test_what_is_forbidden_counts_too(slow: World) -> None:
    told = {ask(slow, "till", "GET", "/customers").status_code for _ in range(5)}

    assert told == {403, 429}


# --- the operator's door ---


def test_the_door_says_what_the_commands_print(guarded: World, run: Run) -> None:
    guarded.stripe.fault("cut_after", method="POST", times=2)
    sync.create_customer("pending@here.com")

    listed = ask(guarded, "ops", "GET", "/operations").json["data"]
    assert [one["verb"] for one in listed] == ["create"]
    assert listed == run("operations list")[1]
    for query, line in (
        ("kind=product", "--kind product"),
        ("verb=create", "--verb create"),
        ("review=true", "--review"),
    ):
        assert ask(guarded, "ops", "GET", f"/operations?{query}").json["data"] == run(f"operations list {line}")[1]
    status, printed = ask(guarded, "ops", "GET", "/status").json, run("status")[1]
    for each in (status, printed):  # time passes between the two
        assert each.pop("oldest_operation") is not None
        for name in [name for name in each if name.startswith("oldest_")]:
            each.pop(name)
    assert status == printed


def reviewed(world: World) -> Customer:
    """A customer whose creation a person must decide about: somebody else made one just like it."""
    world.reconcile()
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer("review@here.com")
    world.webhooks()
    world.advance(hours=1)
    world.stripe.repair()
    world.converge()
    assert customer.fetch_latest().review_reason is not None
    return customer


def test_the_door_links_rolls_back_and_retries(guarded: World) -> None:
    customer = reviewed(guarded)
    (remote,) = [one for one in guarded.stripe.objects("customer") if one["email"] == "review@here.com"]
    path = f"/operations/{customer.id}"

    with untouched(guarded, may_read=True):
        problem(ask(guarded, "ops", "POST", f"{path}/link", json={"stripe_id": "cus_TYPO"}), 409, "not-possible")
        for bad in ({}, {"stripe_id": 7}, {"stripe_id": {"$gt": ""}}, {"stripe_id": remote["id"], "force": "yes"}):
            problem(ask(guarded, "ops", "POST", f"{path}/link", json=bad), 422, "invalid")
        for odd in ("..", "../../v1/account", f"{remote['id']}/../x", "cus_\0"):
            problem(ask(guarded, "ops", "POST", f"{path}/link", json={"stripe_id": odd}), 409, "not-possible")
        problem(ask(guarded, "ops", "POST", "/operations/0123456789abcdef01234567/retry"), 404, "not-found")
        problem(ask(guarded, "ops", "POST", f"{path}/retry", json={"force": True}), 422, "invalid")
    told = ask(guarded, "ops", "POST", f"{path}/retry")
    assert (told.status_code, told.json["review"] is not None) == (200, True)

    linked = ask(guarded, "ops", "POST", f"{path}/link", json={"stripe_id": remote["id"]})

    assert (linked.status_code, linked.json["status"], linked.json["stripe_id"]) == (200, "active", remote["id"])
    problem(ask(guarded, "ops", "POST", f"{path}/roll-back"), 409, "not-possible")


def test_the_door_gives_up_what_is_pending(guarded: World) -> None:
    customer = reviewed(guarded)

    told = ask(guarded, "ops", "POST", f"/operations/{customer.id}/roll-back")

    assert (told.status_code, told.json["status"]) == (200, "rolled_back")
    assert customer.fetch_latest().status == Status.ROLLED_BACK


def test_the_door_says_that_stripe_cannot_be_read(guarded: World) -> None:
    customer = reviewed(guarded)
    guarded.stripe.fault("cut_before", method="GET", times=None)

    response = ask(guarded, "ops", "POST", f"/operations/{customer.id}/link", json={"stripe_id": "cus_1"})

    problem(response, 504, "cannot-look")


def test_who_settles_by_hand_is_logged(guarded: World, caplog: pytest.LogCaptureFixture) -> None:
    customer = reviewed(guarded)
    caplog.set_level("INFO", "stripe_mongo_sync.api")

    response = ask(guarded, "ops", "POST", f"/operations/{customer.id}/retry")

    (line,) = [record.getMessage() for record in caplog.records if record.name == "stripe_mongo_sync.api"]
    assert line == f"request {response.headers['X-Request-Id']}: ops asks to retry {customer.id}"


def test_what_is_unfinished_is_listed_in_pages(guarded: World, run: Run) -> None:
    sync.create_customer("heard@here.com")
    guarded.deliver()
    row = Event.objects.first()
    Event._get_collection().update_one({"_id": row.id}, {"$set": {"state": "dead", "reason": "no"}})
    guarded.stripe.fault("cut_before", method="POST", times=None)
    for number in range(3):
        samples.create("product", f"{number}")
        sync.create_customer(f"user {number}")
    everything = run("operations list")[1]
    assert [one["kind"] for one in everything] == ["customer"] * 3 + ["product"] * 3 + ["event"]

    for limit in (1, 2, 3, 7, 8):
        paged: list[Any] = []
        query, more = f"limit={limit}", True
        while more:
            told = ask(guarded, "ops", "GET", f"/operations?{query}").json
            paged += told["data"]
            assert len(told["data"]) <= limit
            more, query = told["has_more"], f"limit={limit}&starting_after={paged[-1]['id']}"
        assert paged == everything
        assert run(f"operations list --limit {limit}")[1] == everything[:limit]
    assert run(f"operations list --starting-after {everything[2]['id']}")[1] == everything[3:]
    assert run("operations list --starting-after 0123456789abcdef01234567")[0] == 1
    assert ask(guarded, "ops", "GET", "/operations").json["has_more"] is False


def test_what_nobody_can_read_is_listed_beside_the_others(guarded: World, run: Run) -> None:
    guarded.stripe.fault("cut_before", method="POST", times=None)
    first, second = sync.create_customer("one"), sync.create_customer("two")
    first._get_collection().update_one({"_id": first.id}, {"$set": {"operation": "text"}})

    code, (broken, whole) = run("operations list")

    assert (code, broken["id"], broken["status"]) == (0, str(first.id), "unreadable")
    assert "cannot be read" in broken["error"]
    assert (whole["id"], whole["verb"]) == (str(second.id), "create")
    assert broken.keys() == whole.keys()


def test_a_bad_parameter_of_operations_is_named(guarded: World) -> None:
    for query, named in (
        *(("kind=shoe", "kind"), ("review=yes", "review"), ("x=1", "x"), ("verb=a&verb=b", "verb")),
        *(("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit")),
        *(("starting_after=cus_1", "starting_after"), ("starting_after=0123456789abcdef01234567", "starting_after")),
    ):
        told = problem(ask(guarded, "ops", "GET", f"/operations?{query}"), 422, "invalid")

        assert list(told["errors"]) == [named], query


# --- browsers and proxies ---


def test_no_answer_is_kept_or_taken_for_something_else(guarded: World) -> None:
    stranger = guarded.app.test_client()
    answers = [
        *(
            guarded.http.get(path)
            for path in ("/customers", f"/customers/{NAME}", "/nowhere", "/docs", "/openapi.json")
        ),
        *(stranger.get(path) for path in ("/customers", "/healthz", "/readyz")),
        guarded.http.post("/customers", json={"username": NAME}),
        guarded.http.post("/webhooks/stripe", data=b"{}"),
        *guarded_failures(guarded),
    ]

    for response in answers:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


def guarded_failures(world: World) -> list[TestResponse]:
    """An answer to what nobody expected."""
    world.app.view_functions["health.alive"] = lambda: 1 / 0
    return [world.http.get("/healthz")]


def test_no_other_site_may_read_an_answer(guarded: World) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}

    for method in ("GET", "OPTIONS"):
        answer = guarded.http.open("/customers", method=method, headers=headers)
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_the_host_that_a_caller_names_is_in_no_answer(guarded: World) -> None:
    for base in ("http://evil.example", "http://[::1]:1"):
        answers = [
            guarded.http.post("/customers", json={"username": f"{len(base)}@here.com"}, base_url=base),
            guarded.http.get("/nowhere", base_url=base),
            guarded.http.get("/customers/", base_url=base),
            guarded.http.get("/openapi.json", base_url=base, headers={"X-Forwarded-Host": "evil.example"}),
        ]
        for answer in answers:
            assert "evil" not in f"{answer.headers} {answer.get_data(as_text=True)}"
    assert answers[0].headers["Location"].startswith("/customers/")


def test_a_path_leads_nowhere_else(guarded: World) -> None:
    asked = len(guarded.stripe.requests)

    for path in ("/customers/../../etc/passwd", "/customers/..", "/charges/..%2f..", "//evil.example/x"):
        response = guarded.http.open("/x", environ_overrides={"PATH_INFO": path, "REQUEST_URI": path, "RAW_URI": path})

        problem(response, 404, "not-found")
        assert "Location" not in response.headers, path
    assert len(guarded.stripe.requests) == asked


def test_an_object_whose_id_is_a_path_is_never_asked_for(guarded: World) -> None:
    asked = len(guarded.stripe.requests)
    for id in (".", "..", "../charges/ch_1", "a/../b", "a/./b", "a\n", "x" * 256, ""):
        raw = event("coupon.updated", {"id": id, "object": "coupon"}, 1_700_000_000)
        assert guarded.deliver([raw]) == ["ignored"]

    assert len(guarded.stripe.requests) == asked
    assert Coupon.objects.count() == 0


# --- what is shown to who may write and not read ---

SECRET_NAME = "Nobody's Business"
BRIEF = {"id", "kind", "status"}


def tills(world: World, method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> TestResponse:
    """Ask as a token that may write only."""
    authorization = {"Authorization": f"Bearer {TOKENS['till'][1]}", **headers}
    return world.http.open(path, method=method, json=body, headers=authorization)


def writes(document: SyncedDocument) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """Every way to change a document of that kind over HTTP, by our id and by Stripe's."""
    kind = document.resource.kind
    for reference in filter(None, (str(document.id), document.stripe_id)):
        one = f"/{plural_of(type(document))}/{quote(reference, safe='')}"
        if kind in samples.CHANGES:
            yield "PATCH", one, samples.CHANGES[kind]
        for action in document.resource.actions:
            yield "POST", f"{one}/{action}", {} if action == "attach" else samples.given(kind, action)
        if not document.resource.mirrored:
            yield "DELETE", one, None


def test_who_may_only_write_is_shown_of_what_others_made_that_it_is_there(guarded: World) -> None:
    refused = {*BRIEF, "type", "title", "detail", "code", "decline_code", "document", "errors"}
    for kind in changed_kinds():
        document = samples.create(kind, kind.replace("_", "-").replace(".", "-"))
        for expand in ("", "?expand=stripe"):
            for method, path, body in writes(document):
                told = tills(guarded, method, path + expand, body)
                shown = told.json if told.status_code < 300 else told.json.get("document", {})
                assert set(shown) <= BRIEF, (method, path, told.json)
                assert set(told.json) <= refused, (method, path, told.json)


def test_who_may_only_write_is_shown_what_they_made_when_they_make_it_and_again(guarded: World) -> None:
    for kind, model in created_kinds().items():
        body = samples.body(kind, kind.replace("_", "-").replace(".", "-"))
        path = f"/{plural_of(model)}"

        first, again = (tills(guarded, "POST", path, body, **{"Idempotency-Key": "once"}) for _ in range(2))

        assert (first.status_code, again.headers.get("Idempotent-Replayed")) == (201, "true")
        assert set(first.json) == set(again.json) > BRIEF
        assert set(ask(guarded, "shop", "GET", first.headers["Location"]).json) == set(first.json)


def test_every_route_of_a_document_is_among_those_that_are_tried() -> None:
    app = unconnected_app()
    tried = {
        "create",
        "update",
        "delete",
        *(name for model in changed_kinds().values() for name in model.resource.actions),
    }
    writing = {rule.endpoint for rule in app.url_map.iter_rules() if scope_of(app, rule.endpoint) is Scope.WRITE}

    others = {endpoint for endpoint in writing if endpoint.rpartition(".")[2] not in tried}
    assert others == {"customers.portal", "usage.record"}


def test_who_may_only_write_sees_of_usage_what_they_recorded(guarded: World) -> None:
    customer = sync.create_customer("ann@here.com", name=SECRET_NAME)

    sent = {"username": "ann@here.com", "meter": "requests", "value": 3}
    told = ask(guarded, "till", "POST", "/meter-events", json=sent)

    assert (told.status_code, told.json["customer"], told.json["value"]) == (202, str(customer.id), "3")
    assert SECRET_NAME not in told.text
    for path in ("/meter-events", told.headers["Location"]):
        problem(ask(guarded, "till", "GET", path), 403, "forbidden")


def test_no_answer_to_who_may_only_write_tells_of_somebody_else(guarded: World) -> None:
    ann = sync.create_customer("ann@here.com", name=SECRET_NAME, phone="+49 30 1234", address={"city": "Bern"})
    sync.set_payment_method("ann@here.com", str(samples.create("payment_method").id))
    ann.fetch_latest().send_to_review("because of +49 30 1234")
    asked = [
        ("PATCH", "/customers/ann@here.com?expand=stripe", {"username": "ann@here.com"}),
        ("PATCH", "/customers/ann@here.com?expand=stripe", {"phone": "+49 30 1235"}),
        ("DELETE", "/customers/ann@here.com?expand=stripe", None),
        ("POST", "/customers/ann@here.com/portal", {}),
        ("POST", "/customers?expand=stripe", {"username": "ann@here.com"}),
        ("POST", "/customers?expand=stripe", {"username": "ANN@here.com", "email": "x@here.com"}),
        ("POST", "/invoices?expand=stripe", {"customer": str(ann.id), "pending_invoice_items_behavior": "include"}),
        ("POST", "/payment-intents?expand=stripe", {"customer": str(ann.id), "amount": 500, "currency": "eur"}),
    ]

    answers = [tills(guarded, *each) for each in asked]

    for told, (method, path, _) in zip(answers, asked, strict=True):
        for secret in (SECRET_NAME, "1234", "Bern", "billing.stripe.com"):
            assert secret not in told.text, (method, path, told.text)
    assert [told.status_code for told in answers] == [200, 409, 409, 403, 409, 409, 201, 201]
    assert answers[-2].json["stripe"] is None, "Stripe's invoice has the customer's name and address"


def test_who_may_only_write_sees_all_of_a_customer_of_their_own(guarded: World) -> None:
    told = tills(guarded, "POST", "/customers?expand=stripe", {"username": "ann@here.com", "name": "Ann"})
    changed = tills(guarded, "PATCH", "/customers/ann@here.com?expand=stripe", {"phone": "+49 30 1234"})
    portal = tills(guarded, "POST", "/customers/ann@here.com/portal", {})
    sold = tills(
        guarded,
        "POST",
        "/payment-intents?expand=stripe",
        {"customer": told.json["id"], "amount": 500, "currency": "eur"},
    )

    assert told.json["stripe"]["email"] == "ann@here.com"
    assert (changed.json["phone"], changed.json["stripe"]["phone"]) == ("+49 30 1234", "+49 30 1234")
    assert portal.status_code == 201
    assert sold.json["stripe"]["amount"] == 500
