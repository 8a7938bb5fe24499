"""The MongoDB that tests run on: one server for the whole run, whatever the number of workers."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pymongo.database import Database

from stripe_mongo_sync.models import Delivery, Erasure, Event, created_kinds
from stripe_mongo_sync.models.rows.database import database
from stripe_mongo_sync.sync.settings import Settings


@dataclass(frozen=True)
class MongoServer:
    """Where the server is: the one that the run started, or $MONGODB_URI's."""

    address: str

    def uri(self, database: str) -> str:
        """Return the address of one of its databases."""
        parts = urlsplit(self.address)
        options = parts.query if "w=" in parts.query else "&".join(filter(None, (parts.query, "w=majority")))
        return parts._replace(path=f"/{database}", query=options).geturl()


def our_database() -> Database[Any]:
    """Return the database that the service of this test is connected with."""
    return database()


def make_collections(where: Database[Any]) -> None:
    """Make the collections of what we create: what runs there again does the same, as it never has a first row."""
    keep = Settings("sk_test_x").retention
    for model in (*created_kinds().values(), Event, Delivery, Erasure):
        where[model.plural()].create_indexes(model.wanted(keep))
