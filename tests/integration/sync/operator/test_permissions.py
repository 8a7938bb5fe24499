"""A restricted key needs what docs/SECURITY.md says, nothing else, and what it lacks is named."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Event, kinds
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.engine.refresh import refresh
from stripe_mongo_sync.sync.errors import MissingPermission
from stripe_mongo_sync.sync.operator import operations
from stripe_mongo_sync.sync.operator.doctor import examine
from stripe_mongo_sync.sync.operator.findings import Finding
from stripe_mongo_sync.sync.stripe.permissions import CREATED, MIRRORED, NEEDS, PORTAL, markdown, members
from tests.support import samples
from tests.support.answers import problem
from tests.support.run import Run
from tests.support.world import SECRET, URL, World

KEY = "rk_test_restricted"
SERVICE, RECONCILE, DRY, BACKFILL, DOCTOR, PING, LIST, ENDPOINT, USAGE, PAYOUTS, ERASE, NOTHING = NEEDS
MADE = members([CREATED])
LISTED = [kind for kind in MADE if kinds()[kind].resource.listable]


@pytest.fixture
def shop(world: World) -> World:
    """A world whose key can be restricted, and which knows its account."""
    world.settings["STRIPE_SECRET_KEY"] = KEY
    world.start()
    world.reconcile()
    return world


def allow(world: World, what: str, *, but: Iterable[str] = (), key: str = KEY) -> None:
    """Let the key do what the table says of `what`, and nothing else; `but` takes permissions away again."""
    needs = NEEDS[what]
    denied = dict.fromkeys(members(needs.read), "write") | dict.fromkeys(members(needs.write), "none")
    for name in but:
        kind, access = name.removeprefix("rak_").rsplit("_", 1)
        denied[kind] = access if denied[kind] == "none" else "all"
    world.stripe.restrict(key, {"*": "all", **denied})


def named(told: Any) -> set[str]:
    """The permissions that a text names."""
    return set(re.findall(r"rak_[\w.]+_(?:read|write)", str(told)))


def read(kinds: Iterable[str]) -> set[str]:
    return {f"rak_{kind}_read" for kind in kinds}


def write(kinds: Iterable[str]) -> set[str]:
    return {f"rak_{kind}_write" for kind in kinds}


def test_the_page_says_what_the_registry_needs() -> None:
    page = Path("docs/SECURITY.md").read_text()

    assert f"<!-- permissions -->\n{markdown()}\n<!-- /permissions -->" in page, f"put this in:\n{markdown()}"


@pytest.mark.fault("144")
def test_the_service_works_with_its_row_and_names_what_it_lacks(shop: World) -> None:
    allow(shop, SERVICE)
    documents = {kind: samples.create(kind) for kind in MADE}
    shop.deliver()
    assert {document.fetch_latest().status for document in documents.values()} == {"active"}
    assert shop.http.post(f"/customers/{documents['customer'].id}/portal", json={}).status_code == 201
    assert {refresh(document.fetch_latest()).status for document in documents.values()} == {"active"}

    lacked = set()
    for kind in MADE:
        body = samples.body(kind, re.sub(r"\W|_", "-", kind))
        allow(shop, SERVICE, but=write([kind]))
        document, _ = sync.create(kinds()[kind], body)
        assert document.status == "pending", "a permission that lacks decides nothing"
        lacked |= named(document.error.message)
        allow(shop, SERVICE)
    assert lacked == write(MADE)
    allow(shop, SERVICE, but=read(MADE))
    for kind, document in documents.items():
        with pytest.raises(MissingPermission) as lacks:
            refresh(document.fetch_latest())
        owner = "customer" if "{customer}" in document.resource.path else kind  # under whose path it is read
        assert named(lacks.value) == read([owner])
    allow(shop, SERVICE, but=write([PORTAL]))
    told = problem(shop.http.post(f"/customers/{documents['customer'].id}/portal", json={}), 504, "cannot-look")
    assert named(told["detail"]) == write([PORTAL])


@pytest.mark.fault("144")
def test_reconcile_works_with_its_row_and_names_what_it_lacks(shop: World, run: Run) -> None:
    for kind in MADE:
        body = samples.body(kind, re.sub(r"\W|_", "-", kind))
        shop.stripe.fault("cut_before", method="POST", times=2)
        assert sync.create(kinds()[kind], body)[0].status == "pending"
        shop.stripe.clear_faults()
    shop.advance(minutes=4)

    allow(shop, RECONCILE, but=write(MADE))
    told = shop.reconcile()
    assert (told.exit_code, named(told.unseen)) == (2, write(MADE))

    allow(shop, RECONCILE)
    shop.advance(minutes=6)  # what moves money is sent for 15 minutes only
    assert shop.reconcile().exit_code == shop.converge().exit_code == 0
    assert not shop.unfinished()
    shop.deliver()
    for options, what in (({"full": True}, RECONCILE), ({"full": True, "dry": True}, DRY)):
        allow(shop, what)
        assert shop.reconcile(**options).exit_code == 0
        allow(shop, what, but=read([*MADE, *members([MIRRORED])]))
        told = shop.reconcile(**options)
        assert told.exit_code == 2
        assert read(LISTED) <= named(told.unseen) <= NEEDS[what].names()
        allow(shop, what, but=read(["event"]))
        assert named(shop.reconcile(**options).unseen) == read(["event"])


@pytest.mark.fault("144")
def test_backfill_works_with_its_row_and_names_what_it_lacks(shop: World, run: Run) -> None:
    for kind in LISTED:
        samples.create(kind)
    allow(shop, BACKFILL)
    code, said = run("backfill", "--rate", "1000")
    assert (code, said["unseen"]) == (0, [])

    allow(shop, BACKFILL, but=read(members(["*listed*"])))
    code, said = run("backfill", "--rate", "1000")
    assert code == 2
    assert read(LISTED) <= named(said["unseen"]) <= NEEDS[BACKFILL].names()


@pytest.mark.fault("144")
def test_the_doctor_works_with_its_row_and_names_what_it_lacks(shop: World, run: Run) -> None:
    allow(shop, DOCTOR)
    told = {finding["check"]: finding for finding in run("doctor")[1]["findings"]}
    assert told["permissions"]["level"] == "ok"

    allow(shop, DOCTOR, but=read(["webhook_endpoint", "event", *MADE]))
    denied = [finding for finding in run("doctor")[1]["findings"] if finding["check"] == "permissions"]
    assert named(denied) == read(["webhook_endpoint", "event"])
    (kinds_denied,) = [finding["message"] for finding in denied if finding["level"] == "problem"]
    assert set(kinds_denied.removeprefix("the restricted key may not read ").split(", ")) <= set(LISTED)
    assert all("docs/SECURITY.md" in finding["advice"] for finding in denied)


@pytest.mark.fault("144")
def test_a_ping_works_with_its_row_and_names_what_it_lacks(shop: World) -> None:
    shop.stripe.endpoint(URL, SECRET, payload="thin")

    def found() -> list[Finding]:
        return examine(ping=True, pause=lambda seconds: shop.deliver()).findings

    allow(shop, PING)
    assert [each.level for each in found() if each.check == "ping"] == ["ok"]
    for lacks in (read, write):
        allow(shop, PING, but=lacks(["event_destination"]))
        assert named([each.message for each in found()]) == lacks(["event_destination"])


@pytest.mark.fault("144")
def test_the_endpoint_commands_work_with_their_row_and_name_what_they_lack(
    shop: World, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{URL}/too".replace("/webhooks/stripe/too", "/second/webhooks/stripe")
    for line in (f"endpoint create {url}", "endpoint list"):
        allow(shop, ENDPOINT, but=read(["webhook_endpoint"]))
        assert main(line.split()) == 2
        assert named(capsys.readouterr().err) == read(["webhook_endpoint"])
    allow(shop, ENDPOINT, but=write(["webhook_endpoint"]))
    assert main(["endpoint", "create", url]) == 2
    assert named(capsys.readouterr().err) == write(["webhook_endpoint"])

    allow(shop, ENDPOINT)
    made = run("endpoint create", url)[1]
    assert run("endpoint update", made["id"])[0] == run("endpoint delete", made["id"], "--force")[0] == 0
    allow(shop, LIST)
    assert run("endpoint list")[0] == 0


@pytest.mark.fault("144")
@pytest.mark.parametrize("line", ["reconcile", "backfill", "doctor", "endpoint list"])
def test_a_new_key_that_may_not_read_its_account_says_so(
    world: World, run: Run, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.settings["STRIPE_SECRET_KEY"] = KEY
    world.start()
    what = {"reconcile": RECONCILE, "backfill": BACKFILL, "doctor": DOCTOR, "endpoint list": LIST}[line]
    allow(world, what, but=read(["account"]))

    assert main(line.split()) == (1 if line == "doctor" else 2)

    told = capsys.readouterr()
    assert named(told.out + told.err) == read(["account"])


@pytest.mark.fault("144")
def test_usage_works_with_its_row_and_names_what_it_lacks(
    shop: World, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    meter = {"display_name": "m", "event_name": "m", "default_aggregation": {"formula": "sum"}}
    shop.stripe.dashboard.create("billing.meter", **meter)
    samples.create("customer", "ann")
    shop.deliver()
    sync.record_usage("ann@here.com", "m")
    allow(shop, USAGE, but=write(["billing.meter_event"]))
    assert main(["usage", "run"]) == 2
    assert named(capsys.readouterr().err) == write(["billing.meter_event"])
    allow(shop, RECONCILE)
    shop.advance(hours=1)
    assert named(shop.reconcile().unseen) == write(["billing.meter_event"])

    allow(shop, USAGE)
    shop.advance(hours=1)
    assert run("usage run")[1]["counts"] == {"sent": 1}


@pytest.mark.fault("144")
def test_payouts_works_with_its_row_and_names_what_it_lacks(
    shop: World, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    pay = {"amount": 900, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
    shop.stripe.dashboard.create("payment_intent", **pay, automatic_payment_methods=samples.NO_REDIRECTS)
    shop.stripe.pay_out("eur")
    shop.deliver()
    allow(shop, PAYOUTS)
    assert [each["adds_up"] for each in run("payouts")[1]] == [True]

    for lacking in ("payout", "balance_transaction"):
        allow(shop, PAYOUTS, but=read([lacking]))
        assert main(["payouts"]) == 2
        assert named(capsys.readouterr().err) == read([lacking])


@pytest.mark.fault("144")
def test_erase_works_with_its_row_and_leaves_all_as_it_was_without(shop: World, run: Run) -> None:
    first, second = (samples.create("customer", name) for name in ("ann", "bob"))
    shop.deliver()

    allow(shop, ERASE, but=write(["customer"]))
    assert run("erase", str(first.id))[0] == 1
    assert named(first.fetch_latest().error.message) == write(["customer"])
    assert first.fetch_latest().username
    allow(shop, ERASE)
    assert run("erase", str(second.id))[0] == 0

    assert second.fetch_latest().username is None


def test_what_needs_nothing_asks_stripe_for_nothing(shop: World, run: Run) -> None:
    allow(shop, NOTHING)
    asked = len(shop.stripe.requests)

    for line in (
        "status",
        "types",
        "events list",
        "operations list",
        "hooks list",
        "indexes",
        "migrate",
        "new-installation",
    ):
        assert run(line)[0] == 0

    assert len(shop.stripe.requests) == asked
    assert [*operations.pages()] == [[]]
    assert Event.objects.count() == 0
