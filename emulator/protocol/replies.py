"""Replies with Stripe's headers (stripe-facts.md#requests-and-replies)."""

from __future__ import annotations

import json

from stripe_mongo_sync.emulator.protocol.render import cut
from stripe_mongo_sync.emulator.protocol.wire import Json, LogEntry, Reply

EDGE = Reply(503, {"Content-Type": "text/html"}, b"<html><body><h1>503 Service Unavailable</h1></body></html>")


def as_bytes(body: Json) -> bytes:
    """Stripe indents its JSON, and cuts the lists within an object."""
    return json.dumps(cut(body), indent=2).encode()


def reply(
    entry: LogEntry,
    date: str,
    version: str,
    status: int,
    body: bytes,
    original: str,
    extra: dict[str, str] | None = None,
) -> Reply:
    """`original` is the id of the request that was executed: this one, or the one that is replayed."""
    headers = {
        "Content-Type": "application/json",
        "Date": date,
        "Request-Id": entry.request_id,
        "Stripe-Version": version,
    }
    if entry.method == "POST" and status not in (401, 429):
        # Whatever became of this key, sending it again has no further effect.
        headers |= {"Original-Request": original, "Stripe-Should-Retry": "false"}
    if entry.method == "POST" and entry.key is not None:
        headers["Idempotency-Key"] = entry.key
    if entry.on_behalf is not None:
        headers["Stripe-Account"] = entry.on_behalf
    if entry.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Reply(status, headers | (extra or {}), body)


def spoiled(good: Reply, fault: str | None) -> Reply:
    """The same reply after an accident on the way."""
    match fault:
        case "bad_body":
            return Reply(good.status, good.headers, good.body[: len(good.body) // 2])
        case "html_body":
            return Reply(good.status, {**good.headers, "Content-Type": "text/html"}, b"<html>Bad gateway</html>")
        case _:
            return good
