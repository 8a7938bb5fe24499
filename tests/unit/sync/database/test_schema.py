"""The number of the schema stands for what is declared: whoever changes that is told to raise it."""

import json
from hashlib import sha256

from stripe_mongo_sync.sync.database.indexes import ours
from stripe_mongo_sync.sync.database.schema import MIGRATED, NUMBER, SCHEMAS
from stripe_mongo_sync.sync.runs import migrations
from stripe_mongo_sync.sync.settings import Settings


def declared() -> str:
    """Return a digest of every index of every collection, and of the migrations."""
    settings = Settings("sk_test_x")
    indexes = {
        model._get_collection_name(): sorted(
            json.dumps({**index.document, "key": list(index.document["key"].items())}, sort_keys=True)
            for index in model.wanted(settings.retention)
        )
        for model in ours()
    }
    return sha256(json.dumps([indexes, MIGRATED], sort_keys=True).encode()).hexdigest()[:12]


def test_whoever_changes_an_index_or_a_migration_raises_the_number() -> None:
    told = "indexes or migrations are not as the last number says: append this to SCHEMAS in sync/database/schema.py"
    assert SCHEMAS[-1] == declared(), f"{told}: {declared()}"
    assert len({*SCHEMAS}) == NUMBER


def test_the_migrations_are_those_by_whose_names_they_are_known_to_be_done() -> None:
    assert tuple(migrations.MIGRATED) == MIGRATED
