"""A process that forks: every child asks Stripe and MongoDB on connections of its own, and its parent goes on."""

import json
import os
import socket
import subprocess
import sys
import threading
from typing import Any

import requests
import stripe
from pymongo import MongoClient

from stripe_mongo_sync import sync
from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.fronts.server import Handler, Server
from stripe_mongo_sync.sync.errors import Unavailable
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.stripe.gateway import Gateway
from tests.support import ROOT
from tests.support.forks import CHILDREN, child, ended

FORKS_ARE_MEANT = "ignore:This process:DeprecationWarning"  # what Python 3.12 says of a fork beside threads
PATIENCE = 60.0  # s, on a busy machine


class Watched(Server):
    """Knows on which connection each customer was asked for, and holds the first request of all until another comes."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self.RequestHandlerClass = Watching
        self.asked_on: dict[str, int] = {}
        self.connections: list[tuple[str, int]] = []
        self.held, self.let_go = threading.Event(), threading.Event()


class Watching(Handler):
    server: Watched

    def serve(self) -> None:
        if not self.server.held.is_set():
            self.server.held.set()
            assert self.server.let_go.wait(PATIENCE)
        else:
            self.server.let_go.set()
        self.server.connections.append(self.client_address)
        before = len(self.server.emulator.requests)
        super().serve()
        for request in list(self.server.emulator.requests)[before:]:
            if request.method == "POST" and "email" in request.params:
                self.server.asked_on.setdefault(request.params["email"].partition("@")[0], self.client_address[1])

    do_GET = do_POST = do_DELETE = serve


def test_every_child_has_connections_of_its_own(database: str) -> None:
    emulator = Emulator()
    told = {
        "STRIPE_SECRET_KEY": "sk_test_x",
        "STRIPE_WEBHOOK_SECRET": "whsec_x",
        "API_TOKENS": "a-token-of-the-shop",
        "MONGODB_URI": database,
    }
    with Watched(emulator) as server:
        forks = subprocess.Popen(
            [sys.executable, "-W", "error", "-W", FORKS_ARE_MEANT, "-m", "tests.support.forks"],
            cwd=ROOT,
            env={**os.environ, **told, "STRIPE_API_BASE": server.url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert server.held.wait(PATIENCE), "a thread of it is in the middle of a request"
        out, err = forks.communicate("fork\n", timeout=PATIENCE)

    assert forks.returncode == 0, err
    assert err == ""
    assert json.loads(out) == {
        "meanwhile": [0],
        "beside a request": [0],
        "at once": [0] * CHILDREN,
        "a family": [0],
        "an application": [0, 0],
        "documents": 9 + 2 * CHILDREN,
    }
    assert each_has_their_own(database, emulator)
    assert_apart(server.asked_on)


def test_a_session_that_an_application_brings_is_begun_anew_in_every_child() -> None:
    emulator = Emulator()
    with Watched(emulator) as server, requests.Session() as session:
        server.held.set()
        settings = Settings("sk_test_x", stripe_api_base=server.url)
        gateway = Gateway(settings, stripe.RequestsClient(session=session))
        ways = {id(pool) for pool in pools(session)}
        gateway.first("/v1/customers")

        codes = ended(*(child(lambda: gateway.first("/v1/customers")) for _ in range(CHILDREN)))
        gateway.first("/v1/customers")

    assert codes == [0] * CHILDREN
    assert {id(pool) for pool in pools(session)} == ways, "the parent goes on with its own"
    asked_on = [port for _, port in server.connections]
    assert len(asked_on) == 2 + CHILDREN
    assert asked_on[0] == asked_on[-1]
    assert len({*asked_on}) == 1 + CHILDREN


def pools(session: requests.Session) -> list[object]:
    return [adapter.poolmanager for adapter in session.adapters.values()]


def test_who_is_forked_while_another_thread_connects_connects_itself(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings("sk_test_x", mongodb_uri=f"mongodb://127.0.0.1:{silent.getsockname()[1]}/shop")
        failed: list[BaseException] = []

        def connect() -> None:
            try:
                sync.connect(settings)
            except Unavailable as error:
                failed.append(error)

        connecting = threading.Thread(target=connect)
        connecting.start()
        with silent.accept()[0]:  # it has begun
            codes = ended(child(lambda: sync.connect(Settings("sk_test_x", mongodb_uri=database))))
        silent.close()
        connecting.join(PATIENCE)

    assert codes == [0]
    assert len(failed) == 1


def test_a_process_that_connected_ends_without_a_word(database: str) -> None:
    told = {"STRIPE_SECRET_KEY": "sk_test_x", "MONGODB_URI": database}
    script = "import sync; connection = sync.connect()"

    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={**os.environ, **told}, capture_output=True, timeout=PATIENCE
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def each_has_their_own(database: str, emulator: Emulator) -> bool:
    there = {one["id"]: one["email"] for one in emulator.objects("customer")}
    with MongoClient[Any](database) as client:
        rows = list(client.get_default_database()["customers"].find())
    return all(there[row["stripe_id"]] == row["username"] for row in rows) and len(there) == len(rows)


def assert_apart(asked_on: dict[str, int]) -> None:
    """Each process has connections of its own; and who stays keeps theirs, whatever its children did with a copy."""
    same = {name: {other for other, port in asked_on.items() if port == asked_on[name]} for name in asked_on}
    assert same.pop("parent") == same.pop("parent-again") == {"parent", "parent-again"}
    assert same.pop("mother") == same.pop("mother-again") == {"mother", "mother-again"}
    assert {name: others for name, others in same.items() if others != {name} and "pool" not in name} == {}
    assert all("pool" in other for name in same if "pool" in name for other in same[name])
