"""Webhook endpoints: made with exactly what is covered, kept right, and rolled without losing an event or a secret."""

import logging

import pytest
from stripe import WebhookSignature

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, State
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.operator.catalogue import covered_events
from stripe_mongo_sync.sync.stripe.answers import api_version
from tests.support.answers import everything, untouched
from tests.support.run import Run
from tests.support.world import KEY, World

URL = "https://elsewhere.example/webhooks/stripe"


@pytest.fixture
def bare(world: World) -> World:
    """A world whose Stripe has no webhook endpoint yet."""
    for endpoint in world.stripe.objects("webhook_endpoint"):
        world.stripe.dashboard.delete("webhook_endpoint", endpoint["id"])
    return world


def serve(world: World, *secrets: str) -> None:
    world.settings["STRIPE_WEBHOOK_SECRET"] = ",".join(secrets)
    world.start()


def signed(world: World, secret: str) -> int:
    """What the service answers to the next event, signed with that secret."""
    world.stripe.dashboard.create("customer", name="x")
    raw = world.webhooks()[0]
    header = WebhookSignature.generate_signature_header(raw.decode(), secret)
    return world.http.post("/webhooks/stripe", data=raw, headers={"Stripe-Signature": header}).status_code


def test_one_is_made_with_what_is_covered_and_our_version(bare: World, run: Run) -> None:
    code, told = run("endpoint create", URL)

    assert code == 0
    (there,) = bare.stripe.objects("webhook_endpoint")
    assert (there["id"], there["url"], there["status"]) == (told["id"], URL, "enabled")
    assert tuple(there["enabled_events"]) == covered_events()
    assert there["api_version"] == api_version()
    assert (told["missing"], told["extra"], told["points_here"]) == ([], [], True)
    (asked,) = [request for request in bare.stripe.requests if request.method == "POST"]
    assert asked.key
    assert "metadata" not in asked.params
    serve(bare, told["secret"])
    assert signed(bare, told["secret"]) == 200
    assert Customer.objects.count() == 1


def test_its_secret_is_shown_once_and_kept_nowhere(
    bare: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    assert main(["endpoint", "create", URL]) == 0

    out = capsys.readouterr().out
    (secret,) = {word for word in out.split() if word.startswith("whsec_")}
    assert out.count(secret) == 1
    assert "STRIPE_WEBHOOK_SECRET" in out
    assert secret not in caplog.text
    assert secret not in repr(everything(bare))
    assert main(["endpoint", "list"]) == 0
    assert secret not in capsys.readouterr().out


NO_ADDRESSES = ["", "shop.example/webhooks/stripe", "ftp://shop.example/", "https://", "http://:80/"]


def test_what_is_no_address_is_refused(bare: World, capsys: pytest.CaptureFixture[str]) -> None:
    for url in NO_ADDRESSES:
        with untouched(bare):
            assert main(["endpoint", "create", url]) == 1
        assert "must begin with http" in capsys.readouterr().err


def test_in_live_mode_it_must_be_https(bare: World, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    sync.disconnect()
    bare.settings["STRIPE_SECRET_KEY"] = "sk_live_world"
    bare.start()

    with untouched(bare):
        assert main(["endpoint", "create", URL.replace("https", "http")]) == 1
    assert "https" in capsys.readouterr().err
    assert run("endpoint create", URL)[0] == 0


def test_an_address_gets_one_endpoint(bare: World, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("endpoint create", URL)

    with untouched(bare, may_read=True):
        assert main(["endpoint", "create", URL]) == 1
    assert "endpoint roll" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["cut_before", "cut_after", "timeout_after", "bad_body", "html_body", "rate_limit"])
def test_a_lost_answer_is_asked_for_again_and_makes_no_second_endpoint(bare: World, run: Run, fault: str) -> None:
    bare.stripe.fault(fault, method="POST")

    code, told = run("endpoint create", URL)

    assert code == 0
    assert len(bare.stripe.objects("webhook_endpoint")) == 1
    serve(bare, told["secret"])
    assert signed(bare, told["secret"]) == 200


@pytest.mark.parametrize(
    ("fault", "times", "code", "why"),
    [
        ("cut_after", 2, 2, "not known whether"),
        ("500_after", 1, 2, "not known whether"),
        ("decline", 1, 1, "Stripe refused"),
        ("refuse_401", 1, 2, "STRIPE_SECRET_KEY"),
        ("refuse_403", 1, 2, "may not POST"),
    ],
)
def test_what_goes_wrong_is_said(
    bare: World, capsys: pytest.CaptureFixture[str], fault: str, times: int, code: int, why: str
) -> None:
    bare.stripe.fault(fault, method="POST", times=times)

    assert main(["endpoint", "create", URL]) == code

    err = capsys.readouterr().err
    assert why in err
    assert KEY not in err
    assert "whsec_" not in err


def test_the_list_says_what_is_wrong(bare: World, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    bare.stripe.endpoint("https://a.example/webhooks/stripe", api_version=api_version())
    bare.stripe.endpoint("https://b.example/hook", api_version="2022-11-15", enabled_events=["customer.created"])

    code, (first, second) = run("endpoint list")

    assert code == 0
    ours, other = (first, second) if first["points_here"] else (second, first)
    assert ours["missing"] == ["identity.verification_session.redacted"], "what * does not send"
    assert (ours["extra"], ours["api_version"]) == (["*"], api_version())
    assert (other["points_here"], other["status"], other["secret_configured"]) == (False, "enabled", None)
    assert other["missing"] == [type for type in covered_events() if type != "customer.created"]
    assert main(["endpoint", "list"]) == 0
    out = capsys.readouterr().out
    assert "points elsewhere; in version 2022-11-15" in out
    assert "extra *" in out


def test_an_update_enables_it_and_its_events(bare: World, run: Run) -> None:
    made = bare.stripe.endpoint(URL, api_version=api_version(), enabled_events=["customer.created", "payout.paid"])
    bare.stripe.dashboard.update("webhook_endpoint", made["id"], disabled=True)

    code, told = run("endpoint update")

    assert (code, told["status"], told["missing"], told["extra"]) == (0, "enabled", [], [])
    (there,) = bare.stripe.objects("webhook_endpoint")
    assert tuple(there["enabled_events"]) == covered_events()


def test_a_roll_loses_no_event_and_ends_only_once_the_new_secret_is_there(
    bare: World, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    old = run("endpoint create", URL)[1]
    serve(bare, old["secret"])

    code, new = run("endpoint roll")
    assert (code, new["old"], new["url"], new["missing"]) == (0, old["id"], URL, [])
    assert new["id"] != old["id"]
    assert signed(bare, old["secret"]) == 200
    assert signed(bare, new["secret"]) == 400
    with untouched(bare, may_read=True):
        assert main(["endpoint", "delete", old["id"]]) == 1, "the new secret is nowhere yet"
    assert "STRIPE_WEBHOOK_SECRET" in capsys.readouterr().err

    serve(bare, old["secret"], new["secret"])
    assert signed(bare, old["secret"]) == signed(bare, new["secret"]) == 200
    assert run("endpoint delete", old["id"]) == (0, {"deleted": old["id"]})
    assert [each["id"] for each in bare.stripe.objects("webhook_endpoint")] == [new["id"]]
    assert State.read(f"endpoint {old['id']}") is None
    serve(bare, new["secret"])
    assert signed(bare, new["secret"]) == 200
    assert run("endpoint roll")[0] == 0, "and it can be rolled again"


@pytest.mark.fault("42")
def test_during_a_roll_each_event_counts_once(bare: World, run: Run) -> None:
    old = run("endpoint create", URL)[1]
    new = run("endpoint roll", old["id"])[1]
    serve(bare, old["secret"], new["secret"])
    bare.stripe.dashboard.create("customer", name="x")

    states = []
    for delivery in bare.stripe.webhooks.take():
        response = bare.http.post("/webhooks/stripe", data=delivery.body, headers=delivery.headers)
        states.append(response.json["state"])

    assert states == ["applied", "duplicate"]


def test_a_roll_is_begun_once(bare: World, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    old = run("endpoint create", URL)[1]
    run("endpoint roll")

    with untouched(bare, may_read=True):
        assert main(["endpoint", "roll", old["id"]]) == 1
        assert "endpoint delete" in capsys.readouterr().err
        assert main(["endpoint", "roll"]) == 1
        assert "Name one" in capsys.readouterr().err


def test_the_last_endpoint_goes_only_by_force(bare: World, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    only = run("endpoint create", URL)[1]

    with untouched(bare, may_read=True):
        assert main(["endpoint", "delete", only["id"]]) == 1
    assert "--force" in capsys.readouterr().err
    assert run("endpoint delete", only["id"], "--force")[0] == 0
    assert bare.stripe.objects("webhook_endpoint") == []


@pytest.mark.parametrize("line", ["update we_nowhere", "roll we_nowhere", "delete we_nowhere", "update", "roll"])
def test_what_is_not_there_is_said(bare: World, capsys: pytest.CaptureFixture[str], line: str) -> None:
    with untouched(bare, may_read=True):
        assert main(["endpoint", *line.split()]) == 1
    assert "no webhook endpoint" in capsys.readouterr().err.lower()


def test_an_endpoint_of_somebody_else_may_go(bare: World, run: Run) -> None:
    other = bare.stripe.endpoint("https://b.example/hook")

    assert run("endpoint delete", other["id"])[0] == 0


def test_without_any_the_list_says_so(bare: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["endpoint", "list"]) == 0
    assert "endpoint create" in capsys.readouterr().out
