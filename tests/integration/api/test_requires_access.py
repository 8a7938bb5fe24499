"""A view of the shop's own application lets in who is entitled."""

import random
from typing import Any

import pytest
from flask import Flask, request

from stripe_mongo_sync import Invalid, requires_access, sync
from tests.integration.sync.entitlements.test_access import BASIC, Shop, shop
from tests.support.world import World

__all__ = ["shop"]  # the fixture


def app_of(**query: Any) -> Flask:
    app = Flask("shop")

    @app.get("/article/<name>")
    @requires_access(lambda: request.headers.get("X-User"), **query)
    def article(name: str) -> str:
        return f"for readers: {name}"

    @app.errorhandler(403)
    def refused(error: Exception) -> tuple[str, int]:
        return "buy it first", 403

    return app


def test_who_is_entitled_gets_in_and_nobody_else(shop: Shop) -> None:
    shop.subscription({"status": "active"})
    shop.deliver(random.Random(0))
    sync.create_customer("other@here.com")
    client = app_of(product=BASIC).test_client()

    def ask(user: str | None) -> tuple[int, str]:
        answer = client.get("/article/one", headers={"X-User": user} if user else {})
        return answer.status_code, answer.get_data(as_text=True)

    assert ask("user@here.com") == (200, "for readers: one")
    assert ask(None)[0] == 401
    assert ask("other@here.com") == (403, "buy it first")
    assert ask("nobody@here.com") == (403, "buy it first")


def test_without_a_connection_it_lets_nobody_in(world: World) -> None:
    world.stop()

    assert app_of(product=BASIC).test_client().get("/article/one", headers={"X-User": "a"}).status_code == 503


def test_two_queries_are_refused_where_the_view_is_made() -> None:
    with pytest.raises(Invalid):
        app_of(product=BASIC, feature="sso")
