"""The socket front: HTTP/1.1 with keep-alive, one thread a connection, and cuts that really cut."""

from __future__ import annotations

import secrets
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stripe_mongo_sync.emulator.fronts.door import is_loopback
from stripe_mongo_sync.emulator.fronts.wsgi import Door
from stripe_mongo_sync.emulator.people.service import Service
from stripe_mongo_sync.emulator.protocol.wire import Cut, Request

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
        if len(body) < length:  # who dies while sending has asked for nothing
            self.close_connection = True
            return
        try:
            reply = self.server.door.answer(Request(self.command, path, query, headers, body))
        except Cut as cut:
            if cut.how == "timeout":  # keep the caller waiting; its own patience should end first
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
        """Nothing: the request log is `requests`."""


class Server(ThreadingHTTPServer):
    """`with Server(emulator, port) as server:` serves from a thread until the block ends.

    One that listens to other machines lets nobody turn a knob who has not its `token`: given, or drawn.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, emulator: Service, port: int = 0, host: str = "127.0.0.1", token: str | None = None) -> None:
        super().__init__((host, port), Handler)
        self.emulator = emulator
        self.token = token or (None if is_loopback(str(self.server_address[0])) else secrets.token_urlsafe(16))
        emulator.token = self.token
        self.door = Door(emulator)
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
        """Without the polite FIN of the base class, which would come before the RST of a cut."""
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no news."""
