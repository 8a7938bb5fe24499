"""The how-tos for operators: their commands in their order, in one shop, and what is true afterwards."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from textwrap import dedent
from typing import Any

import pytest
from stripe import WebhookSignature

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Status
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.personal.erase import erase
from tests.support import ROOT, older
from tests.support.in_sync import assert_in_sync
from tests.support.mongo import our_database
from tests.support.run import Run
from tests.support.world import KEY, SECRET, TOKEN, World

Typed = Callable[..., str]


def lines(page: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a page, with what it prints; of every other block, its language and the block."""
    text = (ROOT / f"docs/howto-{page}.md").read_text()
    for _, language, block in re.findall(r"^( *)```(\w+)\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE):
        if language != "console":
            yield language, dedent(block)
            continue
        for part in re.split(r"^\$ ", dedent(block), flags=re.MULTILINE)[1:]:
            command, _, prints = part.partition("\n")
            yield command, prints


@pytest.fixture
def typed(run: Run, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types one of our commands, and returns what it prints: as the page has it, where `…` stands for anything."""

    def type(command: str, prints: str = "…") -> str:
        capsys.readouterr()
        program, *arguments = command.split()
        assert program == "stripe-mongo-sync"
        main(arguments)
        printed = capsys.readouterr().out
        assert re.fullmatch(".*".join(map(re.escape, prints.split("…"))), printed, re.DOTALL), f"{command}\n{printed}"
        return printed

    return type


# --- an upgrade ---

INSTALLS = {  # tests/e2e/test_package.py and test_fresh_environment.py do these
    "python3 -m venv /opt/shop/new",
    "/opt/shop/new/bin/pip install --require-hashes -r requirements.lock",
    "/opt/shop/new/bin/pip install --no-deps .",
}


def test_a_shop_of_the_version_before_is_upgraded(
    world: World, new_database: str, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.stop()
    there = older.restore(new_database)
    monkeypatch.setenv("MONGODB_URI", new_database)
    monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
    told: dict[str, str] = {}

    for command, prints in lines("upgrade"):
        if command.endswith(" migrate"):
            world.database, world.stripe = new_database, there
            world.start()
        if command not in INSTALLS:
            told[command] = typed(command, prints)

    assert told.keys() | INSTALLS == {command for command, _ in lines("upgrade")}
    assert "missing: " in told["stripe-mongo-sync indexes --dry-run"]
    assert "rows were rewritten" in told["stripe-mongo-sync migrate"]
    assert typed("stripe-mongo-sync migrate") == "nothing is to be migrated\n"
    assert typed("stripe-mongo-sync indexes") == "all indexes exist\n"
    world.converge()
    assert_in_sync(world, review=True)


# --- keys ---


def test_every_secret_is_rotated_while_both_are_valid(world: World, typed: Typed) -> None:
    (endpoint,) = world.stripe.objects("webhook_endpoint")
    values = {"old one": SECRET, "old token": TOKEN, "old endpoint": endpoint["id"]}
    taken = []
    world.settings["STRIPE_SECRET_KEY"] = f"{KEY}_second"
    world.start()

    for command, prints in lines("rotate-keys"):
        if command == "ini":
            name, value = filled(prints, values).strip().split("=", 1)
            world.settings[name] = value
            world.start()
            taken.append((name, *(ways(world, name)(values[which]) for which in BOTH[name])))
        elif command.startswith("stripe-mongo-sync "):
            told = typed(filled(command, values), prints)
            if found := re.search(r"whsec_\w+", told):
                values["new one"] = found[0]
        else:
            printed = in_shell(command, NEW=values.get("new token", "")).split()[0]
            values["digest" if "new token" in values else "new token"] = printed

    assert taken == [
        ("STRIPE_WEBHOOK_SECRET", True, True),
        ("STRIPE_WEBHOOK_SECRET", False, True),
        ("API_TOKENS", True, True),
        ("API_TOKENS", False, True),
    ]
    assert endpoint["id"] not in [each["id"] for each in world.stripe.objects("webhook_endpoint")]


BOTH = {"STRIPE_WEBHOOK_SECRET": ("old one", "new one"), "API_TOKENS": ("old token", "new token")}


def filled(text: str, values: dict[str, str]) -> str:
    """Return a text with what `<…>` stands for."""
    return re.sub(r"<the (.+?)>", lambda found: values[found[1]], text)


def in_shell(command: str, **environment: str) -> str:
    """Type a command of the system's."""
    given = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(["bash", "-c", command], env=given, capture_output=True, text=True, check=True).stdout


def ways(world: World, name: str) -> Callable[[str], bool]:
    """Return what tells whether the service takes a secret of the setting with this name."""
    return partial(takes_event if name == "STRIPE_WEBHOOK_SECRET" else takes_call, world)


def takes_event(world: World, secret: str) -> bool:
    world.stripe.dashboard.create("product", name="A Product")
    raw = world.webhooks()[0]
    header = WebhookSignature.generate_signature_header(raw.decode(), secret)
    return world.http.post("/webhooks/stripe", data=raw, headers={"Stripe-Signature": header}).status_code == 200


def takes_call(world: World, token: str) -> bool:
    called = world.http.get("/customers", headers={"Authorization": f"Bearer {token}"})
    assert called.status_code in (200, 401)
    return called.status_code == 200


# --- a backup ---

Dump = dict[str, tuple[list[Any], list[Any]]]  # of each collection its rows and its indexes
METER = {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
UPDATE = re.compile(r"db\.(\w+)\.updateMany\((\{.+?\}), (\{.+\})\)\n")


@pytest.mark.parametrize("age", [{"hours": 2}, {"days": 5}, {"days": 40}], ids=["hours", "days", "over a month"])
def test_both_sides_are_one_after_a_backup_was_restored(world: World, typed: Typed, age: dict[str, float]) -> None:
    kept, gone, forgotten = (sync.create_customer(f"{name}@here.com") for name in ("kept", "gone", "forgotten"))
    world.stripe.dashboard.create("billing.meter", **METER)
    world.deliver()
    world.reconcile()
    sync.record_usage("kept@here.com", "calls", 3)
    world.stripe.fault("cut_before", method="POST", times=2)
    begun = sync.create_customer("begun@here.com")
    backup: Dump = {}

    for command, prints in lines("restore-a-backup"):
        if command.startswith("mongodump "):
            backup |= dump()
            live_on(world, kept, gone, forgotten)
            linked = begun.fetch_latest().stripe_id
            world.advance(**age)
        elif command.startswith("mongorestore "):
            restore(backup)
            world.start()
        elif command == "js":
            in_mongosh(prints) if "days" in age else None
        elif command == "python":
            until_nothing_is_left(world, typed)
            if begun.fetch_latest().review_reason:  # "what is left in doubt goes to review"
                typed(f"stripe-mongo-sync operations link {begun.id} {linked}")
            exec(prints, {})
        else:
            typed(command, prints)

    assert kept.fetch_latest().name == "Changed since"
    assert begun.fetch_latest().stripe_id == linked
    assert Customer.by_username("younger@here.com").status == Status.ACTIVE
    assert [each.fetch_latest().status for each in (gone, forgotten)] == [Status.DELETED] * 2
    assert len(world.stripe.engine.realm(False).table("meter_events")) == 1, "what was used is counted once"
    assert forgotten.fetch_latest().username == "forgotten@here.com"
    typed(f"stripe-mongo-sync erase {forgotten.id}")
    assert forgotten.fetch_latest().username is None
    until_nothing_is_left(world, typed)
    assert_in_sync(world)


def live_on(world: World, kept: Customer, gone: Customer, forgotten: Customer) -> None:
    """Do what the backup does not know."""
    world.advance(minutes=20)
    world.reconcile()  # which creates what was begun, and sends what was used
    sync.create_customer("younger@here.com")
    sync.update(kept.fetch_latest(), {"name": "Changed since"})
    sync.delete(gone.fetch_latest())
    erase(str(forgotten.id))
    world.deliver()


def dump() -> Dump:
    """Return what `mongodump` writes."""
    rows = {name: our_database()[name] for name in our_database().list_collection_names()}
    return {name: ([*found.find()], [*found.list_indexes()]) for name, found in rows.items()}


def restore(dump: Dump) -> None:
    """Do what `mongorestore --drop` does."""
    database = our_database()
    for name, (rows, indexes) in dump.items():
        database.drop_collection(name)
        for index in indexes:
            options = {key: value for key, value in index.items() if key not in ("v", "key", "ns")}
            database[name].create_index([*index["key"].items()], **options)
        if rows:
            database[name].insert_many(rows)


def in_mongosh(block: str) -> None:
    """Do an update that is written in JavaScript."""
    ((collection, *given),) = UPDATE.findall(block)
    where, change = (json.loads(re.sub(r"([$\w]+):", r'"\1":', each)) for each in given)
    assert our_database()[collection].update_many(where, change).modified_count == 1


def until_nothing_is_left(world: World, typed: Typed) -> None:
    """Reconcile as often as the page says."""
    for _ in range(6):
        world.advance(minutes=10)
        if re.match(r"in sync: nothing to do|review \d+;", typed("stripe-mongo-sync reconcile --full")):
            return
    pytest.fail("there is always something left")
