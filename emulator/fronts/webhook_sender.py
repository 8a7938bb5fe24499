"""A thread that delivers webhooks over HTTP, and retries each until its endpoint answers 2xx."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener
from urllib.request import Request as HTTPRequest

from stripe_mongo_sync.emulator.people.service import Service
from stripe_mongo_sync.emulator.state.webhooks import Delivery

TIMEOUT = 10.0  # seconds that an endpoint has to answer; Stripe's own limit is not published
POLL_INTERVAL = 0.05  # seconds between two reads of the queue


class WebhookSender:
    """`with WebhookSender(emulator):` delivers in the background, `workers` at a time."""

    def __init__(self, emulator: Service, workers: int = 4) -> None:
        self._emulator = emulator
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(workers, "webhooks")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._opener = build_opener(ProxyHandler({}), _NoRedirect)

    def __enter__(self) -> WebhookSender:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.set()
        self._thread.join()
        self._pool.shutdown(cancel_futures=True)

    def _run(self) -> None:
        engine, webhooks = self._emulator.engine, self._emulator.webhooks
        while not self._closing.wait(POLL_INTERVAL):
            with engine.state():
                engine.release_late_requests(due=True)
                taken = webhooks.take()
            for delivery in taken:
                self._pool.submit(self._deliver, delivery)

    def _deliver(self, delivery: Delivery) -> None:
        arrived = self._send(delivery)
        webhooks = self._emulator.webhooks
        (webhooks.succeeded if arrived else webhooks.failed)(delivery)

    def _send(self, delivery: Delivery) -> bool:
        request = HTTPRequest(delivery.url, delivery.body, delivery.headers, method="POST")  # noqa: S310 - the test chose the address
        try:
            with self._opener.open(request, timeout=TIMEOUT) as reply:
                return bool(200 <= reply.status < 300)
        except (HTTPException, OSError):  # HTTPError and URLError are OSErrors
            return False


class _NoRedirect(HTTPRedirectHandler):
    """Treats a redirect as a failed delivery."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None
