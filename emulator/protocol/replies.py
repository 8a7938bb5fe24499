"""Replies with Stripe's headers (stripe-facts.md#requests-and-replies)."""

from __future__ import annotations

import json

from stripe_mongo_sync.emulator.protocol.render import cut
from stripe_mongo_sync.emulator.protocol.wire import Json, LogEntry, Reply

EDGE = Reply(503, {"Content-Type": "text/html"}, b"<html><body><h1>503 Service Unavailable</h1></body></html>")


def as_bytes(body: Json) -> bytes:
    """Return the body, indented as Stripe does, with the lists within objects cut."""
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
    """Return a reply with Stripe's headers. `original` is the id of the executed request: this or the replayed one."""
    headers = {
        "Content-Type": "application/json",
        "Date": date,
        "Request-Id": entry.request_id,
        "Stripe-Version": version,
    }
    if entry.method == "POST" and status not in (401, 429):
        # The key has a saved reply or an error that stays, so a retry has no effect.
        headers |= {"Original-Request": original, "Stripe-Should-Retry": "false"}
    if entry.method == "POST" and entry.key is not None:
        headers["Idempotency-Key"] = entry.key
    if entry.on_behalf is not None:
        headers["Stripe-Account"] = entry.on_behalf
    if entry.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Reply(status, headers | (extra or {}), body)


def corrupted(good: Reply, fault: str | None) -> Reply:
    """Return the reply, or what a fault of its body makes of it."""
    match fault:
        case "bad_body":
            return Reply(good.status, good.headers, good.body[: len(good.body) // 2])
        case "html_body":
            return Reply(good.status, {**good.headers, "Content-Type": "text/html"}, b"<html>Bad gateway</html>")
        case _:
            return good
