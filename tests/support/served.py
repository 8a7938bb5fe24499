"""The doors by which a webhook comes in: the application as WSGI, and the bytes of a socket at the gunicorn worker."""

import selectors
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPResponse
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from gunicorn.config import Config
from gunicorn.glogging import Logger
from werkzeug.wrappers import Response

from stripe_mongo_sync.api.server.door import MINE
from stripe_mongo_sync.api.server.worker import Worker

PATIENCE = 30.0  # s


class Application:
    """What gunicorn asks for the WSGI application."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def wsgi(self) -> Flask:
        """Return the application."""
        return self.app


class Quiet(Logger):
    """gunicorn's log, into no file."""

    def setup(self, cfg: Config) -> None:
        """Open nothing."""


class Served:
    """A worker in a thread of this process; with `door`, it takes ordinary webhooks itself, as for `wsgi.py`."""

    def __init__(self, app: Flask, *, door: bool, **settings: Any) -> None:
        if door:
            app.extensions[MINE] = True
        config = Config()
        for name, value in {"threads": 4, "keepalive": 75, **settings}.items():
            config.set(name, value)
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = listener.getsockname()
        # What `init_process` does, without the signals and the user of a process.
        self.worker = worker = Worker(1, 0, [listener], Application(app), 60, config, Quiet(config))
        worker.is_parent_alive = lambda: True
        worker.tpool, worker.poller = worker.get_thread_pool(), selectors.DefaultSelector()
        worker.method_queue.init()
        worker.load_wsgi()
        app.extensions.pop(MINE, None)
        assert (worker.door is not None) == door
        self.thread = threading.Thread(target=worker.run, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Let it end as after SIGTERM."""
        self.worker.handle_exit(15, None)
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        self.worker.tmp.close()

    def exchange(self, *parts: bytes) -> bytes:
        """Send these bytes in so many pieces, and no more; return all that it answers."""
        with socket.create_connection(self.address, PATIENCE) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(BrokenPipeError, ConnectionResetError):
                for part in parts:
                    client.sendall(part)
                client.shutdown(socket.SHUT_WR)
            return b"".join(iter(partial(_received, client), b""))


def _received(client: socket.socket) -> bytes:
    try:
        return client.recv(65536)
    except ConnectionResetError:
        return b""


@contextmanager
def served(app: Flask, *, door: bool = True, **settings: Any) -> Iterator[Served]:
    """Serve an application until the block ends."""
    server = Served(app, door=door, **settings)
    try:
        yield server
    finally:
        server.stop()


class AtTheWorker(FlaskClient):
    """A client that sends webhooks as bytes to a worker, and everything else to the application."""

    worker: Served

    def post(self, path: str, *, data: bytes = b"", headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        """Send a POST."""
        if path != "/webhooks/stripe":
            return super().post(path, data=data or None, headers=headers, **more)
        with socket.create_connection(self.worker.address, PATIENCE) as client:
            given = {"Host": "shop.example", "Content-Length": str(len(data)), **(headers or {})}
            lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
            client.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + data)
            answer = HTTPResponse(client)
            answer.begin()
            return Response(answer.read(), answer.status, answer.getheaders())
