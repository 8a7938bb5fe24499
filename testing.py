"""pytest fixtures to test a shop offline, with an emulated Stripe in this process. See docs/testing-your-shop.md.

pytest loads this file wherever the package is installed, so it imports nothing before a test requests a fixture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from werkzeug.test import Client

    from stripe_mongo_sync.emulator import Emulator
    from stripe_mongo_sync.sync.settings import Settings

SECRET = "whsec_7Qm2ZxT9bKc4LwRf6VnHs3JdPy8GaUeX"  # noqa: S105 – belongs to no account
TOKEN = "a-token-of-the-shop"  # noqa: S105 – the token of `OfflineShop.client`
URL = "https://shop.example/webhooks/stripe"


@dataclass
class OfflineShop:
    """The library, connected to an emulated Stripe in this process and to an empty database."""

    stripe: "Emulator"
    settings: "Settings"
    client: "Client"  # a test client of the API and its webhook; it sends a token

    def deliver(self, client: "Client | None" = None, path: str = "/webhooks/stripe") -> list[str]:
        """Deliver the webhooks that are due, oldest first, and return their types.

        They go to the API of this shop, or to `path` of your own application through `client`. A response other than
        200 fails the test.
        """
        from stripe import WebhookSignature

        delivered = []
        for due in self.stripe.webhooks.take():
            signature = WebhookSignature.generate_signature_header(due.body.decode(), SECRET)
            answer = (client or self.client).post(
                path, data=due.body, content_type="application/json", headers={"Stripe-Signature": signature}
            )
            if answer.status_code != 200:
                pytest.fail(f"{due.type} was answered with {answer.status_code}: {answer.get_data(as_text=True)}")
            delivered.append(due.type)
        return delivered

    def advance(self, **time: float) -> None:
        """Advance the time of this process and of Stripe: `advance(days=31)` renews a monthly subscription."""
        from datetime import timedelta

        from stripe_mongo_sync.models.rows import clock

        passed = timedelta(**time)
        clock.TEST_OFFSET += passed
        self.stripe.clock.advance(passed.total_seconds())


@pytest.fixture(scope="session")
def offline_shop_database() -> Iterator[str]:
    """The address of a new database on the server of MONGODB_URI, which is dropped at the end. No other is changed."""
    import os
    import uuid

    from pymongo import MongoClient
    from pymongo.uri_parser import parse_uri

    given = os.environ.get("MONGODB_URI")
    if not given:
        pytest.fail("MONGODB_URI is missing: set it to the MongoDB to test with, a replica set as in production")
    name = f"offline_shop_{uuid.uuid4().hex}"
    head, _, options = given.partition("?")
    parsed = parse_uri(given, warn=False)
    scheme, _, rest = head.partition("://")
    hosts = rest.partition("/")[0]
    source = {} if "authSource" in parsed["options"] or not parsed["username"] else {"authSource": parsed["database"]}
    more = [options, *(f"{key}={value or 'admin'}" for key, value in source.items())]
    address = f"{scheme}://{hosts}/{name}?{'&'.join(filter(None, more))}"
    yield address
    with MongoClient[Any](address, serverSelectionTimeoutMS=5_000) as client:
        client.drop_database(name)


@pytest.fixture
def offline_shop(offline_shop_database: str) -> Iterator[OfflineShop]:
    """A new shop for this test: an empty database, a new Stripe, and the library connected to both."""
    from datetime import timedelta

    from pymongo import MongoClient

    from stripe_mongo_sync import connect, disconnect
    from stripe_mongo_sync.api import create_app
    from stripe_mongo_sync.emulator import Emulator
    from stripe_mongo_sync.models.rows import clock
    from stripe_mongo_sync.models.state import MIGRATIONS, SCHEMA
    from stripe_mongo_sync.sync.settings import Settings

    with MongoClient[Any](offline_shop_database, serverSelectionTimeoutMS=5_000) as client:
        database = client.get_default_database()
        for name in database.list_collection_names():  # the indexes stay: building them takes longer than most tests
            database[name].delete_many({"_id": {"$nin": [SCHEMA, MIGRATIONS]}})
    settings = Settings.from_environment(
        serve=True,
        environment={
            "STRIPE_SECRET_KEY": "sk_test_offline",
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "API_TOKENS": TOKEN,
            "API_RATE": "0",
            "MONGODB_URI": offline_shop_database,
        },
    )
    stripe = Emulator()
    stripe.endpoint(URL, secret=SECRET)
    disconnect()
    connect(settings, http_client=stripe.transport())
    try:
        api = create_app(settings).test_client()
        api.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
        yield OfflineShop(stripe, settings, api)
    finally:
        clock.TEST_OFFSET = timedelta()
        disconnect()
        stripe.close()
