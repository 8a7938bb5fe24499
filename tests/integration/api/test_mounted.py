"""Within somebody's Flask application: ours answers below the prefix, and nothing of theirs is touched by it."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe as stripe_python
from flask import Blueprint, Flask, Response, abort, jsonify, request, session
from flask.json.provider import DefaultJSONProvider
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix

import stripe_mongo_sync
from stripe_mongo_sync import sync
from stripe_mongo_sync.api import create_app, init_app
from stripe_mongo_sync.api.app import LARGEST_BODY
from stripe_mongo_sync.models import Customer, Event
from stripe_mongo_sync.sync.errors import AlreadyConnected, BadSettings
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.webhooks.routes import LARGEST
from tests.support.events import event
from tests.support.world import KEY, SECRET, TOKEN, World

ALLOWED = {"Authorization": f"Bearer {TOKEN}"}
HOOK = "/billing/webhooks/stripe"


class Shouting(DefaultJSONProvider):
    """A host's own way to write JSON."""

    def dumps(self, obj: Any, **more: Any) -> str:
        """Return it in capitals."""
        return super().dumps(obj, **more).upper()


def shop() -> Flask:
    """An application that has an opinion on everything."""
    app = Flask("shop")
    app.config.update(SECRET_KEY="of the shop", MAX_CONTENT_LENGTH=100, TRUSTED_HOSTS=["shop.example", "localhost"])
    app.json = Shouting(app)
    app.url_map.strict_slashes = False
    app.heard = []  # type: ignore[attr-defined]

    @app.before_request
    def nobody_gets_in() -> None:
        app.heard.append(request.path)  # type: ignore[attr-defined]
        if "X-CSRF-Token" not in request.headers and request.method == "POST":
            abort(403)
        session["seen"] = True

    @app.after_request
    def mark(response: Response) -> Response:
        response.headers["X-Shop"] = "yes"
        return response

    @app.teardown_request
    def end(error: BaseException | None) -> None:
        app.heard.append("end")  # type: ignore[attr-defined]

    @app.errorhandler(Exception)
    def wrong(error: Exception) -> tuple[str, int]:
        return f"the shop's {type(error).__name__}", getattr(error, "code", 500) or 500

    for name in ("api", "webhooks", "health", "docs", "operator", "customers"):
        blueprint = Blueprint(name, __name__, url_prefix=f"/{name}")
        blueprint.add_url_rule("/", "list", lambda: jsonify(name="shop"))
        app.register_blueprint(blueprint)
    app.add_url_rule("/broken", "broken", lambda: str(1 // 0))
    app.add_url_rule("/echo", "echo", lambda: request.get_data(as_text=True), methods=["POST"])
    return app


def ask(app: Flask) -> FlaskClient:
    """Somebody with a good token, which means nothing to the shop."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    return client


@pytest.fixture
def app(world: World) -> Flask:
    """A shop with all of ours. It is made once: routes take longer to make than a test runs."""
    made: Flask = MADE.setdefault(world.read, shop())
    if not made.extensions.get("stripe_mongo_sync"):
        init_app(made, api=True)
    made.heard.clear()  # type: ignore[attr-defined]
    return made


MADE: dict[Settings, Flask] = {}


def tell(app: Flask, raw: bytes, **more: Any) -> Any:
    """Deliver an event below the prefix, as Stripe does."""
    signature = stripe_python.WebhookSignature.generate_signature_header(raw.decode(), SECRET)
    return app.test_client().post(HOOK, data=raw, headers={"Stripe-Signature": signature}, **more)


def is_a_problem(told: Any, status: int, type: str) -> None:
    """Assert that an answer is an error of ours."""
    assert (told.status_code, told.mimetype) == (status, "application/problem+json"), told.data
    assert told.json["type"].endswith(f"/{type}")
    assert "X-Request-Id" in told.headers


# --- what is below the prefix ---


def test_a_webhook_and_a_call_do_on_both_sides_what_they_do_alone(world: World, app: Flask) -> None:
    made = ask(app).post("/billing/customers", data='{"username": "user@here.com"}', content_type="application/json")
    told = [tell(app, raw).json["state"] for raw in world.webhooks()]

    assert made.status_code == 201, made.json
    assert told == ["applied"]
    assert Customer.objects.get(stripe_id=made.json["stripe_id"]).confirmed_at is not None


def test_the_shop_is_not_asked_about_what_is_below_the_prefix(world: World, app: Flask) -> None:
    (raw,) = [event("customer.updated", {"id": "cus_1", "object": "customer"}, 1_700_000_000)]
    before = Event.objects.count()

    for told in (
        tell(app, raw, base_url="http://not-trusted.example"),
        ask(app).get("/billing/customers"),
        ask(app).get("/billing/nothing"),
    ):
        assert "X-Shop" not in told.headers
        assert "Set-Cookie" not in told.headers
        assert told.json.keys() & {"state", "data", "type"}, "it is not written in capitals"

    assert Event.objects.count() == before + 1
    assert app.heard == []  # type: ignore[attr-defined]


def test_errors_below_the_prefix_are_ours(app: Flask) -> None:
    people, signed = "/billing/customers", {"Stripe-Signature": "t=1,v1=2"}
    as_json = {"content_type": "application/json"}
    asked: list[tuple[str, str, dict[str, Any], int, str]] = [
        ("GET", "/billing/nothing", {}, 404, "not-found"),
        ("GET", f"{people}/nobody", {}, 404, "not-found"),
        ("GET", HOOK, {}, 405, "method-not-allowed"),
        ("PUT", people, {}, 405, "method-not-allowed"),
        ("POST", HOOK, {"data": b"{}"}, 400, "bad-signature"),
        ("POST", HOOK, {"data": b"x" * (LARGEST + 1), "headers": signed}, 413, "too-large"),
        ("POST", people, {"data": b"x" * (LARGEST_BODY + 1), **as_json}, 413, "too-large"),
        ("POST", people, {"data": b"{", **as_json}, 400, "malformed"),
        ("POST", people, {"data": b'{"username": 1}', **as_json}, 422, "invalid"),
        ("POST", people, {"data": b"{}", "headers": {"Authorization": "Bearer of the shop"}}, 401, "unauthorized"),
    ]
    for method, path, given, status, type in asked:
        is_a_problem(ask(app).open(path, method=method, **given), status, type)


def test_a_fault_of_ours_is_ours_and_does_not_reach_the_shop(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("stripe_mongo_sync.api.operator.status", broken)
    monkeypatch.setattr("stripe_mongo_sync.api.auth.scope_of", lambda app, endpoint: "read")
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", True)

    is_a_problem(ask(app).get("/billing/status"), 500, "error")


# --- what is not ---


def test_all_else_of_the_shop_is_as_it_was_without_us(app: Flask) -> None:
    """Each answer is compared with that of a shop that never heard of us."""
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/api/", {}),
        ("GET", "/customers", {}),
        ("GET", "/webhooks/", {}),
        ("GET", "/nothing", {}),
        ("POST", "/nothing", {"headers": {"X-CSRF-Token": "1"}}),
        ("POST", "/api/", {"headers": {"X-CSRF-Token": "1"}}),
        ("GET", "/broken", {}),
        ("POST", "/echo", {"data": b"1" * 99, "headers": {"X-CSRF-Token": "1"}}),
        ("POST", "/echo", {"data": b"1" * 101, "headers": {"X-CSRF-Token": "1"}}),
        ("POST", "/echo", {"data": b"1"}),
        ("GET", "/billings", {}),
        ("GET", "/bill", {}),
        ("GET", "//billing/healthz", {}),
        ("GET", "/healthz", {}),
        ("GET", "/docs", {}),
        ("GET", "/", {"base_url": "http://not-trusted.example"}),
    ]

    def told(by: Flask) -> list[Any]:
        answers = [ask(by).open(path, method=method, **given) for method, path, given in asked]
        return [(each.status_code, each.data, sorted({*each.headers.keys()} - {"Date"})) for each in answers]

    assert told(app) == told(shop())
    assert {status for status, *_ in told(app)} >= {200, 400, 403, 404, 405, 413, 500}


def test_nothing_of_the_shop_is_changed_but_where_it_begins(world: World) -> None:
    app, other = shop(), shop()
    init_app(app)

    assert vars(app).keys() == vars(other).keys() | {"wsgi_app"}
    for name, value in vars(other).items():
        if name != "extensions":
            assert _plain(getattr(app, name)) == _plain(value), name
    assert app.extensions.keys() == {"stripe_mongo_sync"}


def _plain(value: Any) -> Any:
    """What can be compared of a part of an application."""
    if hasattr(value, "iter_rules"):
        return (
            [repr(rule) for rule in value.iter_rules()],
            value.strict_slashes,
            value.merge_slashes,
            {*value.converters},
        )
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | type(None)) else getattr(value, "__qualname__", type(value))


def test_what_is_set_later_of_the_shop_stays_below_nobody(world: World) -> None:
    """A factory may go on after `init_app`: with handlers, blueprints and routes of its own."""
    app = Flask("shop")
    init_app(app, "/pay/stripe/")
    app.register_error_handler(404, lambda error: ("the shop's", 404))
    app.add_url_rule("/later", "later", lambda: "later")

    assert ask(app).get("/later").data == b"later"
    assert ask(app).get("/none").data == b"the shop's"
    is_a_problem(ask(app).get("/pay/stripe/none"), 404, "not-found")
    is_a_problem(ask(app).post("/pay/stripe/webhooks/stripe/", data=b"{}"), 400, "bad-signature")


def test_a_route_that_is_added_below_the_prefix_is_named_by_the_first_request(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    app = Flask("shop")
    init_app(app, "/pay")
    for path in ("/pay/later", "/pay", "/payments"):
        app.add_url_rule(path, path, lambda: "later")

    is_a_problem(ask(app).get("/pay/later"), 404, "not-found")
    assert ask(app).get("/payments").data == b"later"
    told = [record.getMessage() for record in caplog.records if "never called" in record.getMessage()]
    assert sorted(line.split()[2] for line in told) == ["/pay", "/pay/later"]


def test_without_the_api_there_is_the_webhook_alone(world: World) -> None:
    app = Flask("shop")
    init_app(app)

    for path in ("", "/", "/docs", "/openapi.json", "/healthz", "/readyz", "/customers", "/charges", "/status"):
        is_a_problem(ask(app).get(f"/billing{path}"), 404, "not-found")
    is_a_problem(ask(app).get(HOOK), 405, "method-not-allowed")


# --- the prefix in what is answered ---


def behind_a_proxy(app: Flask) -> None:
    app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)  # type: ignore[method-assign]


class Hidden:
    """Something that wraps an application, and says nothing of it."""

    def __init__(self, inner: Any) -> None:
        self._hidden = inner

    def __call__(self, *given: Any) -> Any:
        return self._hidden(*given)


@pytest.mark.parametrize("first", [lambda app: None, behind_a_proxy], ids=["alone", "ProxyFix first"])
@pytest.mark.parametrize("then", [lambda app: None, behind_a_proxy], ids=["alone", "ProxyFix then"])
def test_every_address_that_is_answered_keeps_the_whole_prefix(
    world: World, first: Callable[[Flask], None], then: Callable[[Flask], None]
) -> None:
    app = Flask("shop")
    first(app)
    init_app(app, "/billing", api=True)
    then(app)
    behind: list[tuple[dict[str, str], str]] = [
        ({}, "/billing"),
        ({"SCRIPT_NAME": "/shop"}, "/shop/billing"),
        ({"HTTP_X_FORWARDED_PREFIX": "/shop"}, "/shop/billing" if behind_a_proxy in (first, then) else "/billing"),
    ]
    for number, (said, root) in enumerate(behind):

        def call(method: str, path: str, said: dict[str, str] = said, **given: Any) -> Any:
            return ask(app).open(f"/billing{path}", method=method, environ_overrides=said, **given)

        made = call("POST", "/customers", json={"username": f"user{number}@here.com"})
        assert made.status_code == 201
        assert made.headers["Location"] == f"{root}/customers/{made.json['id']}"
        assert call("GET", f"/customers/{made.json['id']}").status_code == 200
        assert [call("GET", path).headers["Location"] for path in ("", "/")] == [f"{root}/docs"] * 2
        assert call("GET", "/openapi.json").json["servers"] == [{"url": root}]
    assert b"openapi.json" in ask(app).get("/billing/docs").data
    assert b'"/openapi.json' not in ask(app).get("/billing/docs").data, "it is looked for beside the page"


@pytest.mark.parametrize(
    ("said", "root"),
    [
        ("/a b", "/a%20b"),
        ("/ä".encode().decode("latin1"), "/%C3%A4"),
        ("//evil.example", "/evil.example"),
        ("/x/", "/x"),
    ],
)
def test_where_the_path_begins_names_no_host_and_is_an_address(world: World, said: str, root: str) -> None:
    told = world.app.test_client().get("/", environ_overrides={"SCRIPT_NAME": said})

    assert told.headers["Location"] == f"{root}/docs"


def test_alone_it_begins_at_the_root(world: World) -> None:
    assert world.app.test_client().get("/").headers["Location"] == "/docs"
    assert world.app.test_client().get("/").status_code == 302
    assert world.http.get("/openapi.json").json["servers"] == [{"url": "/"}]


def test_what_hides_the_application_stays_below(world: World) -> None:
    app = Flask("shop")
    app.wsgi_app = Hidden(app.wsgi_app)  # type: ignore[method-assign]
    init_app(app)

    is_a_problem(ask(app).get("/billing/x"), 404, "not-found")
    assert ask(app).get("/x").mimetype == "text/html"


# --- how it is set up ---


def test_two_applications_of_one_process_share_its_connection(world: World) -> None:
    there = sync.current()
    apps = [Flask("one"), Flask("two")]
    for app, prefix in zip(apps, ("/billing", "/pay"), strict=True):
        init_app(app, prefix, settings=world.read)

    assert sync.connect() is there
    assert [
        ask(app).get(f"{prefix}/webhooks/stripe").status_code
        for app, prefix in zip(apps, ("/billing", "/pay"), strict=True)
    ] == [405, 405]
    assert [ask(app).get("/pay/webhooks/stripe").mimetype for app in apps] == ["text/html", "application/problem+json"]


def test_it_connects_and_a_later_connect_is_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.disconnect()
    app = Flask("shop")
    stripe_mongo_sync.init_app(app, settings=world.read, http_client=world.stripe.transport())

    there = sync.current()
    assert sync.create_customer("user@here.com").status == "active"
    assert sync.connect() is sync.connect(world.read) is there


def test_without_mongodb_it_answers_503_until_it_is_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.disconnect()
    app = Flask("shop")
    away = [True]
    really = stripe_mongo_sync.sync.connection.open_database

    def open_database(*given: Any) -> Any:
        if away[0]:
            raise sync.Unavailable
        return really(*given)

    monkeypatch.setattr("stripe_mongo_sync.sync.connection.open_database", open_database)
    monkeypatch.setattr("stripe_mongo_sync.sync.process.waiting.AGAIN", 0.01)
    init_app(app, settings=world.read, http_client=world.stripe.transport())
    raw = event("customer.updated", {"id": "cus_1", "object": "customer"}, 1_700_000_000)

    told = tell(app, raw)
    is_a_problem(told, 503, "unavailable")
    assert "Retry-After" in told.headers

    away[0] = False
    connecting = app.extensions["stripe_mongo_sync"]["/billing"].extensions["connecting"]
    connecting._thread.join()
    assert tell(app, raw).status_code == 200


def test_bad_settings_are_told_all_at_once_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sync.disconnect()
    for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "API_TOKENS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1")
    for api, names in ((True, ["API_TOKENS"]), (False, [])):
        app = Flask("shop")
        with pytest.raises(sync.SyncError) as refused:
            init_app(app, api=api)
        told = [problem.split()[0] for problem in refused.value.problems]  # type: ignore[attr-defined]
        assert sorted(told) == sorted(["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "MONGODB_URI", *names])
        assert "wsgi_app" not in vars(app)
        assert not app.extensions


def test_settings_that_nobody_read_are_looked_at_too() -> None:
    sync.disconnect()
    for made, names in (
        (Settings(KEY), ["STRIPE_WEBHOOK_SECRET"]),
        (Settings(KEY, ("whsec_x",), mongodb_uri="mongodb://127.0.0.1/admin"), ["MONGODB_URI"]),
    ):
        with pytest.raises(BadSettings) as refused:
            init_app(Flask("shop"), settings=made)
        assert [problem.split()[0] for problem in refused.value.problems] == names
    with pytest.raises(BadSettings, match="API_TOKENS is missing"):
        create_app(Settings(KEY, ("whsec_x",)))


def test_other_settings_than_those_of_the_connection_are_refused(world: World) -> None:
    with pytest.raises(AlreadyConnected, match="api_rate"):
        init_app(Flask("shop"), settings=Settings(**{**vars(world.read), "api_rate": 7}))


@pytest.mark.parametrize("prefix", ["", "/", "billing", "/a//b", "/<id>", "/a?b", "/../x", "/ä", None, 1])
def test_a_prefix_that_is_none_is_refused(world: World, prefix: Any) -> None:
    with pytest.raises(BadSettings, match="url_prefix must be a path"):
        init_app(Flask("shop"), prefix)


def test_a_prefix_that_is_taken_is_refused(world: World) -> None:
    app = Flask("shop")
    app.add_url_rule("/billing/invoices", "invoices", lambda: "theirs")
    with pytest.raises(BadSettings, match="/billing/invoices"):
        init_app(app)
    init_app(app, "/pay")
    for prefix in ("/pay", "/pay/more"):
        with pytest.raises(BadSettings, match="mounted before"):
            init_app(app, prefix)
    init_app(app, "/payments")

    assert ask(app).get("/billing/invoices").data == b"theirs"
    assert [ask(app).get(f"{prefix}/webhooks/stripe").status_code for prefix in ("/pay", "/payments")] == [405, 405]


def test_what_is_no_flask_application_is_told_what_to_do() -> None:
    with pytest.raises(BadSettings, match="create_app"):
        init_app(lambda environ, start: [])  # type: ignore[arg-type]
