"""Who gets onto the operator's page: a token that may operate, in its own browser, from this page alone."""

import hmac
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse

from stripe_mongo_sync.api import create_app, init_app
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.ops import session
from stripe_mongo_sync.ops.session import COOKIE, begin, configure, found
from tests.integration.ops.conftest import ANN, BOB, TOKENS
from tests.support.browser import Browser
from tests.support.world import KEY, SECRET, TOKEN, World

PAGES = ("/", "/documents", "/search?q=x", "/events", "/deliveries", "/review")


def cookie(response: TestResponse) -> Any:
    """Return the cookie that a response sets."""
    read = SimpleCookie(response.headers["Set-Cookie"])
    return read[COOKIE]


def test_only_a_token_that_may_operate_logs_in(app: Flask, stranger: Browser) -> None:
    for token, told in ((TOKEN, "lacks the scope"), ("a-guess-of-a-token-1", "none of API_TOKENS"), ("", "none of")):
        app.extensions["logins"]._next.clear()
        response = stranger.log_in(token)
        assert (response.status_code, told in response.text) == (403, True), token
        assert stranger.see("/").status_code == 303
    app.extensions["logins"]._next.clear()

    response = stranger.log_in(BOB)

    assert (response.status_code, response.location) == (303, "/ops/")
    assert stranger.follow(response).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_who_is_not_logged_in_is_sent_to_the_login_and_from_there_to_the_page(stranger: Browser, path: str) -> None:
    response = stranger.see(path)
    assert (response.status_code, response.location.partition("?")[0]) == (303, "/ops/login")
    stranger.follow(response)

    assert stranger.send("/login", token=ANN).location.rstrip("?") == f"/ops{path.partition('?q=')[0]}"


@pytest.mark.parametrize(
    "place", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/\n/x", "/../x"]
)
def test_a_login_leads_to_no_other_site(stranger: Browser, place: str) -> None:
    stranger.see("/login", next=place)
    assert stranger.send("/login", token=ANN, next=place).location == "/ops/"


def test_no_act_is_open_to_who_is_not_logged_in(app: Flask, stranger: Browser) -> None:
    (page,) = app.extensions["stripe_mongo_sync"].values()
    rules = [rule for rule in page.url_map.iter_rules() if "POST" in rule.methods and rule.endpoint != "ops.login"]
    assert len(rules) >= 7

    for rule in rules:
        path = rule.rule.replace("<id>", "x").replace("<any(replay, ignore):act>", "replay")
        path = path.replace("<any(replay, drop):act>", "drop").replace("<any(retry, 'roll-back', link):act>", "link")
        response = stranger.client.post(f"/ops{path}", data={"form_word": "x"})
        assert (response.status_code, response.location) == (303, "/ops/login"), rule


# --- the cookie ---


def test_no_script_and_no_other_site_gets_the_cookie(stranger: Browser) -> None:
    one = cookie(stranger.log_in(ANN))

    assert one["httponly"]
    assert (one["samesite"], one["path"], one["secure"]) == ("Strict", "/ops", "")


def test_over_https_it_goes_over_nothing_else(app: Flask) -> None:
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1)  # type: ignore[method-assign]
    browser = Browser(app, headers={"X-Forwarded-Proto": "https"})
    browser.client.get("/ops/login", base_url="https://localhost", headers=browser.headers)

    response = browser.client.get("/ops/login", headers=browser.headers)

    assert cookie(response)["secure"]


def test_below_a_prefix_the_cookie_and_every_address_are_below_it(world: World) -> None:
    world.settings["API_TOKENS"] = TOKENS
    world.start()
    shop = Flask("shop")
    init_app(shop, "/billing", ops=True, settings=world.read)
    browser = Browser(shop, at="/billing/ops")

    response = browser.log_in(ANN)

    assert (response.location, cookie(response)["path"]) == ("/billing/ops/", "/billing/ops")
    page = browser.follow(response).text
    assert 'href="/billing/ops/documents' in page
    assert 'href="/ops' not in page
    assert browser.client.get("/billing/customers").status_code == 404, "the API was not asked for"


def test_the_cookie_shows_nothing_but_the_name_and_the_end(stranger: Browser, world: World) -> None:
    value = cookie(stranger.log_in(ANN)).value
    mac, ends, _, name = value.split(".")

    assert name == "ann"
    assert abs(int(ends) - (clock.local_now() + session.LASTS).timestamp()) < 60
    digest = next(token.digest for token in world.read.api_tokens if token.name == "ann")
    for secret in (ANN, KEY, SECRET, digest.hex()):
        assert secret not in value
    for key in (digest, ANN.encode(), b"", digest.hex().encode()):  # the settings of the tokens alone let nobody in
        assert hmac.digest(key, value.partition(".")[2].encode(), "sha256").hex() != mac


FORGED: list[Callable[[str], str]] = [
    lambda value: "",
    lambda value: value[:-1],
    lambda value: f"{value}x",
    lambda value: value.replace(".ann", ".bob"),
    lambda value: value.replace(".ann", "."),
    lambda value: f"{'0' * 64}.{value.partition('.')[2]}",
    lambda value: f"{value.partition('.')[0]}.9{value.partition('.')[2]}",
    lambda value: f"é{value}",
    lambda value: "." * 500,
    lambda value: f"{value.partition('.')[0]}.x.{value.partition('.')[2]}",
    lambda value: value.upper(),
    lambda value: "9" * 10_000,
]


@pytest.mark.parametrize("forge", FORGED)
def test_a_cookie_that_was_changed_is_nobodys(app: Flask, ann: Browser, forge: Callable[[str], str]) -> None:
    (page,) = app.extensions["stripe_mongo_sync"].values()
    value = ann.client.get_cookie(COOKIE, path="/ops").value

    with page.app_context():
        assert found(value) is not None
        assert found(forge(value)) is None


def test_a_session_ends_by_itself(ann: Browser) -> None:
    clock.TEST_OFFSET += session.LASTS - timedelta(minutes=1)
    assert ann.see("/events").status_code == 200
    clock.TEST_OFFSET += timedelta(minutes=2)

    assert ann.see("/events").status_code == 303


def test_every_worker_knows_a_session_and_a_changed_token_ends_it(world: World, app: Flask) -> None:
    def knows(tokens: str, key: str = KEY) -> bool:
        read = type(world.read).from_environment(
            environment={"STRIPE_SECRET_KEY": key, "API_TOKENS": tokens, "STRIPE_WEBHOOK_SECRET": SECRET}
        )
        worker = Flask("worker")
        configure(worker, read)
        with worker.app_context():
            return found(value) is not None

    (page,) = app.extensions["stripe_mongo_sync"].values()
    with page.app_context():
        value = begin(next(token for token in world.read.api_tokens if token.name == "ann"))

    assert knows(TOKENS)
    assert not knows(f"bob:operate:{BOB}"), "it was removed"
    assert not knows(TOKENS.replace(ANN, "another-token-of-ann-who-reads")), "it was renewed"
    assert not knows(TOKENS.replace("ann:read+operate", "ann:read")), "it was narrowed"
    assert not knows(TOKENS.replace("ann:", "eve:")), "it was renamed"
    assert not knows(TOKENS, "sk_test_another"), "the secret key was changed"


def test_a_logout_takes_the_cookie_away(ann: Browser) -> None:
    ann.see("/")
    assert ann.send("/logout").location == "/ops/login"

    assert ann.see("/").status_code == 303


# --- what another site sends ---


def test_a_form_works_in_its_own_session_only(app: Flask, ann: Browser, bob: Browser) -> None:
    ann.see("/events")
    bob.see("/events")
    (theirs,) = {fields["form_word"] for fields in bob.forms().values()}

    for word in ("", "x", "é", theirs, theirs[:-1]):
        response = ann.client.post("/ops/events/replay-dead", data={"form_word": word})
        assert response.status_code == 403, word
        assert "another site" in response.text
    assert ann.send("/events/replay-dead").status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_what_a_browser_says_another_site_sent_is_refused(ann: Browser, site: str) -> None:
    ann.see("/events")
    ann.headers["Sec-Fetch-Site"] = site
    assert ann.send("/events/replay-dead").status_code == 403
    ann.headers["Sec-Fetch-Site"] = "same-origin"
    ann.see("/events")
    assert ann.send("/events/replay-dead").status_code == 200


def test_nobody_is_logged_in_by_another_site(app: Flask, stranger: Browser) -> None:
    other = Browser(app)
    other.see("/login")
    word = other.forms()["/ops/login"]["form_word"]

    response = stranger.client.post("/ops/login", data={"token": ANN, "form_word": word})

    assert response.status_code == 403
    assert stranger.see("/").status_code == 303


# --- how often ---


def test_failed_logins_are_limited_in_rate_for_each_address(app: Flask, stranger: Browser) -> None:
    assert stranger.log_in("a-guess-of-a-token-1").status_code == 403
    response = stranger.log_in("a-guess-of-a-token-2")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")

    stranger.see("/login")
    fields = stranger.forms() or {"/ops/login": {}}
    elsewhere = stranger.client.post(
        "/ops/login", data={**fields["/ops/login"], "token": "a-guess"}, environ_base={"REMOTE_ADDR": "192.0.2.1"}
    )
    assert elsewhere.status_code == 403


def test_behind_a_proxy_who_guesses_keeps_no_operator_out(app: Flask, stranger: Browser) -> None:
    """All have the address of the proxy there."""
    for _ in range(3):
        stranger.log_in("a-guess-of-a-token")

    assert Browser(app).log_in(ANN).status_code == 303


def test_a_search_of_who_is_not_logged_in_leaves_no_name_in_an_address(stranger: Browser) -> None:
    assert stranger.see("/search", q="ada@here.com").location == "/ops/login?next=/search"


def test_a_session_has_the_rate_of_its_token(world: World) -> None:
    world.settings |= {"API_TOKENS": TOKENS, "API_RATE": "2"}
    world.start()
    ann = Browser(create_app(world.read, api=False, ops=True))
    ann.log_in(ANN)

    codes = [ann.see("/deliveries").status_code for _ in range(6)]

    assert 200 in codes
    assert 429 in codes


def test_a_flood_of_wrong_logins_asks_mongodb_nothing_and_is_logged_in_a_few_lines(
    app: Flask, stranger: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number in range(30):
        app.extensions["logins"]._next.clear()
        assert stranger.log_in(f"a-guess-of-a-token-{number}").status_code == 403

    assert len(caplog.records) <= 11
    assert "a-guess" not in caplog.text


# --- what surrounds every answer ---


def test_no_answer_is_kept_framed_or_runs_what_is_not_of_this_page(ann: Browser, stranger: Browser) -> None:
    answers = [ann.see(path) for path in (*PAGES, "/events/evt_nothing", "/nowhere", "/static/ops.js")]
    answers += [stranger.see("/login"), stranger.see("/")]
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if answer.mimetype == "text/html":
            assert answer.headers["Cache-Control"] == "no-store"
            for inline in ("<style", "style=", "onclick", "<script>", "http://"):
                assert inline not in answer.text, inline


def test_the_page_knows_no_bearer_token_and_the_api_no_cookie(world: World) -> None:
    world.settings["API_TOKENS"] = TOKENS
    world.start()
    browser = Browser(create_app(world.read))
    assert browser.client.get("/ops/", headers={"Authorization": f"Bearer {ANN}"}).status_code == 303
    value = cookie(browser.log_in(ANN)).value

    browser.client.set_cookie(COOKIE, value, path="/")
    assert browser.client.get("/status").status_code == 401
    assert browser.client.get("/status", headers={"Authorization": f"Bearer {ANN}"}).status_code == 200


def test_without_the_api_and_without_asking_there_is_no_page(world: World) -> None:
    assert create_app(replace(world.read), api=False).test_client().get("/ops/").status_code == 404
