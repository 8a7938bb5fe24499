"""The doctor: each check can fail, says what is wrong and what to do, and none of them changes anything."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import IndexModel, WriteConcern

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event, State
from stripe_mongo_sync.models.state import CIRCUIT_BREAKER, HEARTBEAT, STRIPE
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.operator.catalogue import covered_events
from stripe_mongo_sync.sync.operator.doctor import clocks, deployment, examine, place
from stripe_mongo_sync.sync.operator.findings import Finding, Level
from stripe_mongo_sync.sync.operator.mongodb import exposure, protection
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.operator.views.gauges import exposition
from stripe_mongo_sync.sync.stripe.answers import api_version
from tests.support import samples
from tests.support.answers import untouched
from tests.support.mongo import our_database
from tests.support.run import Run
from tests.support.scenes import begin
from tests.support.scraped import Scrape
from tests.support.world import KEY, SECRET, TOKEN, URL, World

NAME = "user@here.com"


@pytest.fixture
def shop(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which everything is as it should be, and some events have come."""
    monkeypatch.chdir(tmp_path)  # where no `.env` is
    begin(world, well)
    return world


def well(world: World) -> None:
    """Create somebody, with a good endpoint, and reconcile as usual."""
    world.stripe.endpoint(URL, SECRET, api_version(), list(covered_events()))
    sync.create_customer(NAME)
    world.deliver()
    world.reconcile()
    world.advance(minutes=10)
    world.reconcile()


@pytest.fixture
def told(run: Run) -> Any:
    """Runs the doctor; returns the exit code and what it found of a check that is not all well."""

    def examine(check: str, *options: str) -> tuple[int, list[tuple[str, str, str]]]:
        code, said = run("doctor", *options)
        found = [f for f in said["findings"] if f["check"] == check and f["level"] != "ok"]
        assert all(f["advice"] for f in said["findings"] if f["level"] != "ok"), "each says what to do"
        return code, [(f["level"], f["message"], f["advice"]) for f in found]

    return examine


def only(found: tuple[int, list[tuple[str, str, str]]], code: int, level: str, what: str, do: str) -> None:
    assert found[0] == code, found
    ((was, told, advice),) = found[1]
    assert was == level
    assert what in told
    assert do in advice


def test_all_is_well(shop: World, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    asked = len(shop.stripe.requests)

    with untouched(shop, may_read=True):
        code, said = run("doctor")

    assert code == said["exit_code"] == 0
    assert {finding["level"] for finding in said["findings"]} == {"ok"}
    assert [f["check"] for f in said["findings"]] == [
        "key",
        "clock",
        "endpoint",
        "webhooks",
        "settings",
        "mongodb",
        "indexes",
    ]
    assert said["asked"] == len(shop.stripe.requests) - asked == 3
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "✔ webhooks: webhooks arrive: all recent events of covered types were received" in out
    assert "(3 requests to Stripe)" in out


def test_the_account_the_mode_and_the_database_are_shown(new_database: str) -> None:
    shop = World(new_database, settings={"COLLECTION_PREFIX": "billing_"})
    try:
        found, account, name = examine(), shop.stripe.engine.account, our_database().name
    finally:
        shop.stop()

    where = {"hosts": ["127.0.0.1"], "name": name, "prefix": "billing_"}
    said = found.as_json()
    assert (said["account"], said["mode"], said["database"]) == (account, "test", where)
    assert found.lines[0] == f"{account} in test mode, and the database {name} at 127.0.0.1 with the prefix billing_"


def test_the_account_that_a_database_is_bound_to_is_shown_while_stripe_is_silent(shop: World, run: Run) -> None:
    shop.stripe.fault("cut_before", method="GET", times=None)

    assert run("doctor")[1]["account"] == shop.stripe.engine.account


def test_no_part_of_a_password_is_shown(shop: World) -> None:
    told = place(replace(shop.read, mongodb_uri="mongodb+srv://ann:9f8a7c6b5d4e@db.example/shop?tls=true"))

    assert told["database"]["hosts"] == ["db.example"]
    assert not any(secret in str(told) for secret in ("ann", "9f8a7c6b5d4e"))


# --- the key ---


def test_a_key_that_stripe_does_not_accept(shop: World, told: Any) -> None:
    shop.stripe.revoke(KEY)

    only(told("key"), 1, "problem", "does not accept STRIPE_SECRET_KEY", "dashboard.stripe.com/apikeys")


def test_a_key_of_another_account(shop: World, told: Any) -> None:
    shop.stripe.reset_account("acct_other")
    shop.settings["STRIPE_SECRET_KEY"] = "sk_test_other"
    shop.start()

    only(told("key"), 1, "problem", "acct_other", "STRIPE_SECRET_KEY or MONGODB_URI")


def test_a_key_of_the_other_mode(shop: World, told: Any) -> None:
    shop.settings["STRIPE_SECRET_KEY"] = "sk_live_world"
    shop.start()

    only(told("key"), 1, "problem", "the other mode", "STRIPE_SECRET_KEY or MONGODB_URI")


def test_a_key_that_may_not_read_the_account(shop: World, told: Any) -> None:
    shop.stripe.restrict(KEY, {"account": "all"})

    only(told("key"), 1, "problem", "may not GET /v1/account", "allow it to read the account")


@pytest.mark.parametrize("fault", ["cut_before", "503_edge", "html_body", "rate_limit"])
def test_a_stripe_that_cannot_be_asked_is_exit_2(shop: World, told: Any, fault: str) -> None:
    shop.stripe.fault(fault, method="GET", times=None)

    only(told("key"), 2, "unseen", "could not be asked", "try again")


@pytest.mark.parametrize("path", ["/v1/webhook_endpoints", "/v1/events"])
def test_a_look_that_fails_is_exit_2_and_hides_no_other(shop: World, run: Run, path: str) -> None:
    shop.stripe.fault("cut_before", path=path, times=None)

    code, said = run("doctor")

    assert code == 2
    levels = {finding["check"]: finding["level"] for finding in said["findings"]}
    assert levels.pop("stripe") == "unseen"
    assert {*levels.values()} == {"ok"}
    assert "indexes" in levels


def test_what_a_restricted_key_may_not_read(shop: World, run: Run, told: Any) -> None:
    shop.settings["STRIPE_SECRET_KEY"] = "rk_test_world"
    shop.start()
    code, said = run("doctor")
    assert code == 0
    assert said["asked"] <= 15
    (fine,) = [f for f in said["findings"] if f["check"] == "permissions"]
    assert fine["level"] == "ok"

    shop.stripe.restrict("rk_test_world", {"customer": "read", "webhook_endpoint": "read"})

    code, (denied, also) = told("permissions")
    assert code == 1
    assert denied[:2] == ("problem", "the restricted key may not read customer")
    assert "apikeys" in denied[2]
    assert also[0] == "warning"
    assert "/v1/webhook_endpoints" in also[1]


# --- settings ---


def test_a_file_with_secrets_that_others_may_read(shop: World, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (".env", "token"):
        Path(name).touch()
        Path(name).chmod(0o644)
    only(told("settings"), 0, "warning", ".env contains secrets, and is open to everybody", "chmod 600")
    monkeypatch.setenv("API_TOKENS_FILE", "token")
    assert len(told("settings")[1]) == 2

    for name in (".env", "token"):
        Path(name).chmod(0o600)

    assert told("settings") == (0, [])


def test_secrets_that_are_good_for_tests_only(shop: World, told: Any) -> None:
    shop.settings |= {"STRIPE_WEBHOOK_SECRET": "whsec_x", "API_TOKENS": f"{TOKEN},{'ab' * 8}", "API_TOKEN": "another"}
    shop.start()

    code, found = told("settings")

    assert code == 0
    assert [(level, text.split()[0]) for level, text, _ in found] == [
        ("warning", "STRIPE_WEBHOOK_SECRET"),
        ("warning", "API_TOKENS"),
    ]


def test_a_setting_with_a_slip_in_its_name(shop: World, told: Any) -> None:
    shop.settings["REVALIDATES"] = "customer"
    shop.start()

    only(told("settings"), 0, "warning", "REVALIDATES is given, and no setting: REVALIDATE is", "correct")


def test_certificates_that_are_not_there(shop: World, told: Any) -> None:
    shop.settings["REQUESTS_CA_BUNDLE"] = "/nowhere/ca.pem"
    shop.start()

    only(told("settings"), 1, "problem", "REQUESTS_CA_BUNDLE or SSL_CERT_FILE names a file that does not", "correct it")


# --- clocks ---


@pytest.mark.parametrize(("seconds", "level"), [(90, "warning"), (-90, "warning"), (400, "problem"), (-400, "problem")])
@pytest.mark.fault("61")
def test_a_clock_that_is_off(shop: World, run: Run, told: Any, seconds: int, level: str) -> None:
    shop.stripe.clock.advance(seconds)

    code, found = told("clock")

    assert code == (1 if level == "problem" else 0)
    assert [(each[0], "NTP" in each[2]) for each in found] == [(level, True)] * 2
    off = [int(each[1].partition(" clock is ")[2].partition(" s ")[0]) for each in found]
    assert all(abs(each - abs(seconds)) <= 5 for each in off), "a Date has whole seconds"


def test_each_clock_is_judged_by_itself() -> None:
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)

    late, fine = clocks(noon - timedelta(seconds=301), noon + timedelta(seconds=2), noon)

    assert (late.level, late.message) == (
        Level.PROBLEM,
        "this machine's clock is 301 s behind Stripe's; from 300 s on, webhooks are refused",
    )
    assert (fine.level, fine.message) == (Level.OK, "MongoDB's clock is 2 s ahead of Stripe's")


# --- the endpoint ---


def test_no_endpoint(shop: World, told: Any) -> None:
    (there,) = shop.stripe.objects("webhook_endpoint")
    shop.stripe.dashboard.delete("webhook_endpoint", there["id"])
    found = told("endpoint")
    only(found, 0, "warning", "but events have arrived", "event destination")

    Event._get_collection().delete_many({})

    only(told("endpoint"), 1, "problem", "no webhook endpoint", "endpoint create https://<your host>/webhooks/stripe")
    shop.stripe.endpoint("https://b.example/hook")
    only(told("endpoint"), 1, "problem", "1 point elsewhere", "--url")


def test_an_address_can_be_said(shop: World, told: Any) -> None:
    shop.stripe.endpoint("https://b.example/hook", api_version=api_version(), enabled_events=list(covered_events()))

    assert told("endpoint", "--url", "https://b.example/hook") == (0, [])
    found = told("endpoint", "--url", "https://c.example/hook")
    assert "https://c.example/hook" in found[1][0][1]


def test_a_disabled_endpoint(shop: World, told: Any) -> None:
    (there,) = shop.stripe.objects("webhook_endpoint")
    shop.stripe.dashboard.update("webhook_endpoint", there["id"], disabled=True)

    only(told("endpoint"), 1, "problem", "is disabled", f"endpoint update {there['id']}")


def test_events_that_are_not_sent(shop: World, told: Any, run: Run) -> None:
    missing = {"customer.deleted", "price.updated"}
    shop.stripe.endpoint(URL, None, api_version(), [type for type in covered_events() if type not in missing])

    only(told("endpoint"), 1, "problem", "does not send customer.deleted, price.updated", "endpoint update")
    assert run("endpoint update")[0] == 0
    assert told("endpoint") == (0, [])


def test_events_that_are_sent_for_nothing(shop: World, told: Any) -> None:
    shop.stripe.endpoint(URL, None, api_version(), [*covered_events(), "invoice.upcoming"])

    only(told("endpoint"), 0, "warning", "invoice.upcoming", "endpoint update")


@pytest.mark.parametrize("version", ["2022-11-15", None])
def test_events_in_another_version(shop: World, told: Any, version: str | None) -> None:
    shop.stripe.endpoint(URL, None, version, list(covered_events()))

    only(told("endpoint"), 0, "warning", version or "of the account", "endpoint roll")


def test_a_secret_that_is_not_set(shop: World, run: Run, told: Any) -> None:
    (there,) = shop.stripe.objects("webhook_endpoint")
    shop.stripe.dashboard.delete("webhook_endpoint", there["id"])
    made = run("endpoint create", URL)[1]
    only(told("endpoint"), 1, "problem", f"lacks the secret of {made['id']}", "endpoint roll")

    shop.settings["STRIPE_WEBHOOK_SECRET"] = made["secret"]
    shop.start()

    assert told("endpoint") == (0, [])


def test_two_endpoints_whose_secrets_nobody_has_are_no_spares(shop: World, run: Run, told: Any) -> None:
    (there,) = shop.stripe.objects("webhook_endpoint")
    shop.stripe.dashboard.delete("webhook_endpoint", there["id"])
    old, new = run("endpoint create", URL)[1], run("endpoint roll")[1]
    assert [each[0] for each in told("endpoint")[1]] == ["problem", "problem", "warning"]

    shop.settings["STRIPE_WEBHOOK_SECRET"] = old["secret"]
    shop.start()

    code, (unset, rolling) = told("endpoint")
    assert (code, unset[0], rolling[0]) == (0, "warning", "warning")
    assert new["id"] in unset[1]


def test_a_roll_that_was_not_ended(shop: World, run: Run, told: Any) -> None:
    (old,) = shop.stripe.objects("webhook_endpoint")
    shop.advance(minutes=1)
    new = run("endpoint roll")[1]
    shop.settings["STRIPE_WEBHOOK_SECRET"] = f"{SECRET},{new['secret']}"
    shop.start()

    only(told("endpoint"), 0, "warning", "2 endpoints send the same events", f"endpoint delete {old['id']}")


# --- do webhooks arrive? ---


def test_webhooks_that_do_not_arrive(shop: World, run: Run, told: Any) -> None:
    for name in ("one", "two"):
        sync.create_customer(name)
        shop.advance(seconds=5)
    lost = shop.webhooks()
    assert told("webhooks") == (0, []), "they may still be on their way"
    shop.advance(minutes=6)
    shop.reconcile()

    only(told("webhooks"), 1, "problem", "2 events since", "deliveries in the Dashboard")

    assert set(shop.deliver(lost)) == {"duplicate"}
    assert told("webhooks") == (0, []), "what came late did come"


def test_webhooks_are_checked_also_where_a_hundred_events_come_within_five_minutes(shop: World, told: Any) -> None:
    sync.create_customer("one")
    shop.webhooks()  # which never arrive
    shop.advance(minutes=6)
    for number in range(101):
        shop.stripe.dashboard.create("product", name=f"Lamp {number}")

    only(told("webhooks"), 1, "problem", "1 events since", "deliveries in the Dashboard")


def test_a_shop_to_which_none_ever_came(world: World, told: Any) -> None:
    world.stripe.endpoint(URL, SECRET, api_version(), list(covered_events()))
    assert told("webhooks")[1] == []
    world.stripe.dashboard.create("customer", name="x")
    world.webhooks()
    world.advance(minutes=6)

    only(told("webhooks"), 1, "problem", "1 events since", "reconcile reads them")


def test_thin_events_are_webhooks_too(shop: World, told: Any) -> None:
    (there,) = shop.stripe.objects("webhook_endpoint")
    shop.stripe.dashboard.delete("webhook_endpoint", there["id"])
    shop.stripe.endpoint(URL, SECRET, payload="thin")
    sync.create_customer("thin")
    shop.deliver()
    shop.advance(minutes=6)
    shop.reconcile()

    assert told("webhooks") == (0, [])
    only(told("endpoint"), 0, "warning", "but events have arrived", "Workbench")


# --- a ping ---


@pytest.fixture
def thin(shop: World) -> str:
    """The id of an event destination that points to the shop, beside its webhook endpoint."""
    return str(shop.stripe.endpoint(URL, SECRET, payload="thin")["id"])


def pinged(shop: World, pause: Callable[[float], object], url: str | None = None) -> Finding:
    """Let the doctor ping, and return what it found; `pause` is what happens while it waits."""
    (found,) = [each for each in examine(url, ping=True, pause=pause).findings if each.check == "ping"]
    return found


def test_a_ping_that_arrives_proves_the_way_of_all_events(shop: World, thin: str) -> None:
    found = pinged(shop, lambda seconds: shop.deliver())

    assert (found.level, found.message) == (Level.OK, f"a ping that Stripe sent to {thin} arrived here")
    (ping,) = Event.objects(type="v2.core.event_destination.ping")
    assert (ping.state, ping.via) == ("ignored", "webhook")
    assert "not kept here" in ping.reason
    assert [f"{each.method} {each.path}" for each in shop.stripe.requests if "/v2/" in each.path] == [
        "GET /v2/core/event_destinations",
        f"POST /v2/core/event_destinations/{thin}/ping",
    ]


def test_a_ping_that_does_not_arrive_is_told_after_ten_seconds(shop: World, thin: str) -> None:
    waited: list[float] = []

    found = pinged(shop, waited.append)

    assert (found.level, "did not arrive here within 10 s" in found.message) == (Level.PROBLEM, True)
    assert "secret" in found.advice
    assert 9 <= sum(waited) <= 10


def test_without_being_asked_the_doctor_lets_stripe_send_nothing(shop: World, thin: str, run: Run) -> None:
    with untouched(shop, may_read=True):
        run("doctor")

    assert not shop.webhooks()


def test_only_what_points_here_is_pinged(shop: World, thin: str, run: Run) -> None:
    shop.stripe.endpoint("https://b.example/hook", payload="thin")
    _, said = run("doctor", "--ping", "--url", "https://c.example/hook")
    assert "none points here" in next(each["message"] for each in said["findings"] if each["check"] == "ping")

    found = pinged(shop, lambda seconds: shop.deliver(), URL)

    assert (found.level, thin in found.message) == (Level.OK, True)


def test_a_classic_endpoint_has_no_ping_and_that_is_no_fault(shop: World, run: Run) -> None:
    code, said = run("doctor", "--ping")

    (found,) = [each for each in said["findings"] if each["check"] == "ping"]
    assert (code, found["level"], "event destinations only" in found["message"]) == (0, "ok", True)


def test_a_destination_that_stripe_has_disabled(shop: World, thin: str, told: Any) -> None:
    shop.stripe.engine.realm().find("v2.core.event_destination", thin)["status"] = "disabled"

    only(told("ping", "--ping"), 1, "problem", f"{thin} is disabled", "Workbench")


def test_a_key_that_may_not_ping_is_told_so(shop: World, thin: str, told: Any) -> None:
    shop.settings["STRIPE_SECRET_KEY"] = "rk_test_world"
    shop.start()
    shop.stripe.restrict("rk_test_world", {"event_destination": "write"})

    _, found = told("permissions", "--ping")

    assert [(level, "rak_event_destination_write" in message) for level, message, _ in found] == [("warning", True)]


def test_a_ping_whose_reply_is_lost_is_repeated_with_its_key(shop: World, thin: str) -> None:
    shop.stripe.fault("cut_after", method="POST", times=1)

    assert pinged(shop, lambda seconds: shop.deliver()).level == Level.OK

    assert Event.objects(type="v2.core.event_destination.ping").count() == 1


def test_many_documents_that_nobody_confirmed(shop: World, told: Any) -> None:
    for number in range(10):
        sync.create_customer(f"user {number}")
    shop.webhooks()
    shop.advance(hours=2)

    found = told("webhooks")

    assert found[0] == 1
    assert any("never confirmed" in each[1] for each in found[1])


# --- MongoDB ---


def test_how_mongodb_is_read_and_written_is_shown(shop: World, run: Run) -> None:
    (found,) = [finding for finding in run("doctor")[1]["findings"] if finding["check"] == "mongodb"]

    assert found["message"].endswith("writes with w=majority, reads from Primary")


def test_what_came_to_be_in_force_is_told(shop: World, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    weak = State._get_collection().with_options(write_concern=WriteConcern(w=1, j=False))
    with monkeypatch.context() as meanwhile:  # before the world ends, as what it had is closed then
        meanwhile.setattr(State, "_collection", weak)
        only(told("mongodb"), 1, "problem", "written with w=majority and journaled", "correct MONGODB_URI")

    assert told("mongodb") == (0, [])


def test_a_single_server_is_good_enough_for_tests_only() -> None:
    alone = {"ok": 1}

    live = deployment("6.0.5", alone, "writes with w=majority", live=True)

    assert (live.level, live.message) == (Level.WARNING, "MongoDB 6.0.5, a single server, writes with w=majority")
    assert "replica set" in live.advice
    assert deployment("6.0.5", alone, "", live=False).level == Level.OK
    for hello in ({"setName": "rs0"}, {"msg": "isdbgrid"}):
        assert deployment("6.0.5", hello, "", live=True).level == Level.OK


@pytest.mark.fault("149")
@pytest.mark.parametrize(
    ("uri", "hosts", "told"),
    [
        ("mongodb://127.0.0.1/shop", ["127.0.0.1", "::1", "localhost", "/run/mongodb-27017.sock"], []),
        ("mongodb://ann:9f8a7c6b5d4e@db.example/shop?tls=true", ["db.example"], []),
        ("mongodb://db.example/shop?tls=true&authMechanism=MONGODB-X509", ["db.example"], []),
        ("mongodb+srv://ann:9f8a7c6b5d4e@db.example/shop", ["a.db.example"], []),
        ("mongodb+srv://ann:9f8a7c6b5d4e@db.example/shop?tls=false", ["a.db.example"], ["warning"]),
        ("mongodb://ann:9f8a7c6b5d4e@db.example/shop", ["127.0.0.1", "db.example"], ["warning"]),
        ("mongodb://db.example/shop", ["10.0.0.7"], ["problem", "warning"]),
        ("mongodb+srv://ann:password@db.example/shop", ["a.db.example"], ["warning"]),
        ("mongodb+srv://ann:%70assword1@db.example/shop", ["a.db.example"], ["warning"]),
        ("mongodb://ann:aaaaaaaaaaaa@db.example/shop?tls=true", ["db.example"], ["warning"]),
        ("mongodb://root:example@127.0.0.1/shop", ["127.0.0.1"], []),
        ("mongodb://db.example/shop?ssl=true", ["10.0.0.7"], ["problem"]),
        ("mongodb://ann:9f8a7c6b5d4e@db.example/shop?tls=true&tlsInsecure=true", ["db.example"], ["problem"]),
        (
            "mongodb://ann:9f8a7c6b5d4e@db.example/shop?tls=true&TLSALLOWINVALIDCERTIFICATES=true",
            ["db.example"],
            ["problem"],
        ),
        ("mongodb+srv://ann:9f8a7c6b5d4e@db.example/shop?tlsAllowInvalidHostnames=true", ["a.db.example"], ["problem"]),
        ("mongodb://ann:9f8a7c6b5d4e@db.example/shop?tls=true&tlsInsecure=false", ["db.example"], []),
        ("mongodb://ann:9f8a7c6b5d4e@127.0.0.1/shop?tls=true&tlsInsecure=true", ["127.0.0.1"], []),
    ],
)
def test_a_mongodb_on_another_machine_needs_a_password_and_tls(uri: str, hosts: list[str], told: list[str]) -> None:
    found = list(exposure(uri, hosts))

    assert [finding.level for finding in found] == told
    assert all(finding.advice and "ann:" not in finding.message for finding in found)


@pytest.mark.fault("149")
def test_a_mongodb_with_test_commands_is_no_place_for_money(shop: World) -> None:
    here = shop.database
    if not our_database().client.admin.command("getParameter", 1, enableTestCommands=1)["enableTestCommands"]:
        pytest.skip("this server has none")

    assert list(protection(here, live=False)) == []
    assert [(f.level, "test commands" in f.message) for f in protection(here, live=True)] == [("problem", True)]


@pytest.fixture
def mended(world: World) -> Iterator[World]:
    """A world whose indexes are built anew after the test, as the tests after it share them."""
    yield world
    for name in ("customers", "stripe_events"):
        our_database()[name].drop_indexes()
    assert main(["indexes"]) == 0


def test_indexes_that_are_missing_or_strange(mended: World, told: Any) -> None:
    sync.create_customer("user@here.com")
    mended.deliver()
    assert told("indexes")[1] == []
    customers, events = Customer._get_collection(), Event._get_collection()
    customers.drop_index("creation_key_1")
    customers.drop_index("due_at_1")
    customers.create_index("due_at")
    customers.create_index("name", unique=True, sparse=True, name="somebodys")
    customers.create_index("email", name="harmless")
    customers.create_index("created_at", expireAfterSeconds=60, name="forgetful")
    events.drop_index("finished_at_1")
    events.create_index("finished_at", expireAfterSeconds=60)

    mended.reconcile()
    assert {finding.check for finding in status().findings} == {"indexes"}, "`status` says it, too"
    assert Scrape(exposition().decode()).value("indexes_wrong") == 5
    code, ((level, what, do), (foreign_level, foreign, drop)) = told("indexes")

    assert (code, level, foreign_level) == (1, "problem", "problem")
    for name in ("customers.creation_key_1", "customers.due_at_1", "stripe_events.finished_at_1"):
        assert name in what
    assert all(name in foreign for name in ("customers.somebodys", "customers.forgetful"))
    assert "finished_at" not in foreign
    assert "harmless" not in what + foreign
    assert "stripe-mongo-sync indexes" in do
    assert "drop" in drop


def test_the_names_of_indexes_are_those_that_are_built(world: World) -> None:
    built = Customer._get_collection().index_information()

    assert {index.document["name"] for index in Customer.indexes if isinstance(index, IndexModel)} <= built.keys()


# --- what is left to do ---


def test_what_status_says_the_doctor_says(shop: World, told: Any, dead: Event) -> None:
    State.write(CIRCUIT_BREAKER, {"cap": 20})
    State.write(HEARTBEAT, {"exit_code": 2, "counts": {}, "unseen": ["GET /v1/events: no"]})
    reviewed = samples.create("product")
    assert reviewed.send_to_review("look") is not None

    only(told("circuit_breaker"), 1, "problem", "limit of 20 undos", "operations reset-breaker")
    only(told("reconcile"), 1, "problem", "GET /v1/events: no", "doctor")
    only(told("review"), 1, "problem", "1 in review", "operations list --review")
    only(told("events"), 1, "problem", "1 events are dead", "events replay --dead")


def test_what_is_pending_for_long(shop: World, told: Any) -> None:
    customer = sync.create_customer("other")
    shop.deliver()
    shop.stripe.fault("cut_before", times=None)
    sync.create_customer("pending")
    shop.settings["REVALIDATE"] = "all"
    shop.start()
    shop.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    shop.deliver()
    shop.stripe.clear_faults()
    assert told("pending")[1] == told("events")[1] == []

    shop.advance(hours=2)

    only(told("pending"), 0, "warning", "pending operation is 2 h", "operations list")
    only(told("events"), 0, "warning", "could not be applied for 2 h", "events list --state received")


def test_reconcile_that_does_not_run(shop: World, told: Any) -> None:
    shop.advance(hours=2)

    only(told("reconcile"), 0, "warning", "has not run for an hour", "reconcile --every 300")


def test_a_finding_reads_as_a_line() -> None:
    assert Finding("key", Level.PROBLEM, "it is bad", "mend it").line == "✘ key: it is bad → mend it"
    assert Finding("key", Level.OK, "it is good").line == "✔ key: it is good"


def test_why_stripe_is_silent_is_told_with_what_to_do_and_in_the_log_once(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        base = f"http://127.0.0.1:{door.getsockname()[1]}"
    shop = World(database, settings={"STRIPE_API_BASE": base}, around=lambda transport: None)  # type: ignore[arg-type]
    try:
        waiting = [sync.create_customer(f"{name}@here.com").status for name in ("one", "two")]
        found = examine().findings[0]
    finally:
        shop.stop()

    assert waiting == ["pending", "pending"]
    assert (found.check, found.level) == ("key", Level.UNSEEN)
    assert "the connection was refused" in found.line
    assert "correct STRIPE_API_BASE" in found.line
    told = [record.getMessage() for record in caplog.records if "Stripe does not answer" in record.getMessage()]
    assert len(told) == 1
    assert "the connection was refused" in told[0]


def test_a_disk_of_mongodb_that_is_nearly_full_is_a_problem(
    shop: World, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told("mongodb") == (0, [])

    monkeypatch.setattr("stripe_mongo_sync.sync.operator.mongodb.LITTLE", 1 << 60)

    code, [(level, message, advice)] = told("mongodb")
    assert (code, level, advice) == (1, "problem", "make room on it, or give MongoDB a larger disk")
    assert message.startswith("the disk of MongoDB has only ")


@pytest.mark.parametrize("account", ["ours", "acct_other"])
def test_another_installation_is_a_warning_if_it_has_our_account(account: str, shop: World, told: Any) -> None:
    bound = State.read(STRIPE) or {}
    theirs = {"account": bound["account"] if account == "ours" else account, "livemode": bound["livemode"]}
    others = our_database()["biling_sync_state"]
    others.insert_one({"_id": STRIPE, "value": theirs})
    try:
        code, found = told("mongodb")
    finally:
        others.drop()

    assert code == 0
    assert [level for level, *_ in found] == (["warning"] if account == "ours" else [])
    assert all(message.endswith("of the same Stripe account: 'biling_'") for _, message, _ in found)
