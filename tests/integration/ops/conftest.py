"""Fixtures of the operator's page: who uses it, and a browser."""

import pytest
from flask import Flask

from stripe_mongo_sync.api import create_app
from tests.support.browser import Browser
from tests.support.world import TOKEN, World

ANN, BOB = "the-token-of-ann-who-reads", "the-token-of-bob-who-may-only-operate"
TOKENS = f"ann:read+operate:{ANN},bob:operate:{BOB},{TOKEN}"


@pytest.fixture
def app(world: World) -> Flask:
    """The page, without the API, which has a hundred routes."""
    world.settings["API_TOKENS"] = TOKENS
    world.start()
    return create_app(world.read, api=False, ops=True)


@pytest.fixture
def stranger(app: Flask) -> Browser:
    """Somebody who is not logged in."""
    return Browser(app)


@pytest.fixture
def ann(app: Flask) -> Browser:
    """An operator who may see personal data, logged in."""
    browser = Browser(app)
    assert browser.log_in(ANN).status_code == 303
    return browser


@pytest.fixture
def bob(app: Flask) -> Browser:
    """An operator who may not, logged in."""
    app.extensions["logins"]._next.clear()  # no second has passed since Ann's login
    browser = Browser(app)
    assert browser.log_in(BOB).status_code == 303
    return browser
