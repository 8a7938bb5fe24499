"""A type that was only mirrored is created now: what is stored of it goes on, and is never undone."""

import json
from collections.abc import Callable, Iterator

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Status, SyncedDocument, kinds
from stripe_mongo_sync.models.mirrored import Mirrored, collection_of, row
from stripe_mongo_sync.models.state import MIGRATIONS, SCHEMA, State
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.database.schema import MIGRATED, OF_0_2
from stripe_mongo_sync.sync.engine.observations import from_event
from stripe_mongo_sync.sync.errors import SyncError
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.mongo import our_database
from tests.support.world import KEY, World

KINDS = ("billing.credit_grant", "credit_note")


@pytest.fixture
def shop(new_database: str) -> Iterator[World]:
    world = World(new_database)
    yield world
    world.stop()


def mirrored(model: type[SyncedDocument]) -> type[Mirrored]:
    """The model that an older version made of the type's row."""
    resource = row(model.resource.kind, model.resource.path, parts=model.resource.parts)
    own = {"__module__": __name__, "meta": {"collection": collection_of(model.resource.kind)}, "resource": resource}
    return type(f"Old{model.__name__}", (Mirrored,), own)


@pytest.fixture
def command(shop: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Runs a command as a process of its own would: with nothing but the settings."""

    def run(line: str) -> int:
        sync.disconnect()
        monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
        monkeypatch.setenv("MONGODB_URI", shop.database)
        return main([line])

    return run


@pytest.fixture(params=KINDS)
def old(request: pytest.FixtureRequest, shop: World) -> SyncedDocument:
    """A document of a type that was only mirrored, in a database of then; somebody else made its object."""
    model = kinds()[request.param]
    assert issubclass(model, SyncedDocument)
    remote = samples.create(request.param).stripe
    told = shop.webhooks()
    (event,) = [each for each in map(json.loads, told) if each["type"] == model.resource.created_event]
    shop.deliver(told)
    shop.converge()
    model._get_collection().drop()
    before = mirrored(model)
    before._get_collection().create_indexes(before.wanted(sync.current().settings.retention))
    before.adopt(from_event(before, event))
    State.write(MIGRATIONS, {"done": [*OF_0_2, *MIGRATED[:-1]], "place": None})
    State.clear(SCHEMA)
    found = model.by_stripe_id(remote["id"])
    assert found is not None
    assert found.customer is None, "an older version stored no field of the type's own"
    return found


def test_it_is_read_and_changed_once_the_commands_have_run(
    old: SyncedDocument, shop: World, command: Callable[[str], int]
) -> None:
    model, kind = type(old), old.resource.kind
    with pytest.raises(SyncError, match=r"unique indexes are missing.*indexes` builds them"):
        shop.start()

    assert command("indexes") == command("migrate") == 0
    shop.start()

    (stored,) = model.own_rows().find({"_id": old.id})
    assert {name: stored[name] for name in model.own_fields()} == model.fields_from(old.stripe)
    (listed,) = sync.find(kind, customer=old.stripe["customer"])
    assert listed.id == old.id
    changed = sync.update(listed, samples.CHANGES[kind])
    assert (changed.status, changed.operation, changed.error) == (Status.ACTIVE, None, None)
    assert shop.reconcile(full=True).counts["drift"] == 0
    shop.advance(days=2)
    shop.converge()
    assert (changed.fetch_latest().orphans, changed.fetch_latest().status) == ([], Status.ACTIVE)
    assert_in_sync(shop)


def test_another_one_is_created_beside_it(old: SyncedDocument, shop: World, command: Callable[[str], int]) -> None:
    """The index of then let only one document be without an object."""
    assert command("indexes") == 0
    shop.start()

    for name in ("one", "two"):
        assert samples.create(old.resource.kind, name).status == Status.ACTIVE
    assert our_database()[old._get_collection_name()].count_documents({}) == 3
    shop.deliver()
    assert shop.reconcile(full=True).counts["undo"] == 0
