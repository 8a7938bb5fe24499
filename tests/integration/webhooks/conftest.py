"""The doors of a webhook, which the tests of its contract go through one after the other."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flask import Flask

from tests.support.served import AtTheWorker, served
from tests.support.world import World


@pytest.fixture(params=["the application", "the worker"])
def each_door(request: pytest.FixtureRequest) -> Iterator[None]:
    """Webhooks go to the application as WSGI, then as bytes to gunicorn's worker, which takes most of them itself."""
    if request.param == "the application":
        yield
        return
    with ExitStack() as servers, pytest.MonkeyPatch.context() as patched:

        def client(app: Flask) -> AtTheWorker:
            made = AtTheWorker(app, app.response_class)
            made.worker = servers.enter_context(served(app))
            return made

        patched.setattr(World, "client", staticmethod(client))
        yield
