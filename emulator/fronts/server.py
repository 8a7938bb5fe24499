"""The socket front: an HTTP/1.1 server with keep-alive and one thread per connection, which can really cut one."""

from __future__ import annotations

import secrets
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stripe_mongo_sync.emulator.fronts.control_api import is_loopback
from stripe_mongo_sync.emulator.fronts.wsgi import WsgiApp
from stripe_mongo_sync.emulator.people.service import Service
from stripe_mongo_sync.emulator.protocol.wire import ConnectionCut, Request

RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close sends RST


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "StripeEmulator"
    disable_nagle_algorithm = True
    wbufsize = 65_536  # head and body leave in one packet
    server: Server

    def serve(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = int(headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # half a request is no request
            self.close_connection = True
            return
        try:
            reply = self.server.app.answer(Request(self.command, path, query, headers, body))
        except ConnectionCut as cut:
            if cut.how == "timeout":  # keep the caller waiting: its own timeout should end first
                self.server.closing.wait(cut.seconds)
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            return
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = serve

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: `Emulator.requests` is the request log."""


class Server(ThreadingHTTPServer):
    """`with Server(emulator, port) as server:` serves from a thread until the block ends.

    If it listens to other machines, the control API requires its `token`, which is the given one or a random one.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, emulator: Service, port: int = 0, host: str = "127.0.0.1", token: str | None = None) -> None:
        super().__init__((host, port), Handler)
        self.emulator = emulator
        self.token = token or (None if is_loopback(str(self.server_address[0])) else secrets.token_urlsafe(16))
        emulator.token = self.token
        self.app = WsgiApp(emulator)
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.closing.set()
        self.emulator.faults.clear()  # lets held requests go
        self.shutdown()
        self.server_close()
        self._thread.join()

    def shutdown_request(self, request: Any) -> None:
        """Close without the FIN that the base class sends: it would precede the RST of a cut connection."""
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: tests cut connections on purpose."""
