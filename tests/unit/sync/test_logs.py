"""The log as JSON: one object a line, whatever is logged, with the ids that the line is about, and nothing secret."""

import json
import logging

import pytest

from stripe_mongo_sync.sync.logs import REDACTION, REQUEST, AsJson

DOCUMENT, EVENT, ID = "66f0a1b2c3d4e5f6a7b8c9d0", "evt_1PZq2eLkd", "0123456789abcdef0123456789abcdef"


def line(message: str, *given: object, error: BaseException | None = None, filtered: bool = True) -> dict[str, str]:
    """Return what one record becomes, with or without the filter of our loggers."""
    told = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("stripe_mongo_sync", logging.WARNING, "a.py", 1, message, given, told)
    if filtered:
        REDACTION.filter(record)
    written = AsJson().format(record)
    assert written.isascii()
    assert len(written.splitlines()) == 1
    read: dict[str, str] = json.loads(written)
    return read


def test_a_line_says_when_how_grave_of_whom_what_and_which() -> None:
    held = REQUEST.set(ID)
    try:
        told = line("customer %s → %s (webhook %s)", DOCUMENT, "active", EVENT)
    finally:
        REQUEST.reset(held)

    assert told.pop("time").endswith("+00:00")
    assert told.pop("process")
    assert told == {
        "level": "WARNING",
        "logger": "stripe_mongo_sync",
        "message": f"customer {DOCUMENT} → active (webhook {EVENT})",
        "request": ID,
        "document": DOCUMENT,
        "event": EVENT,
    }


@pytest.mark.parametrize("message", ["a run ended", f"request {ID}: MongoDB: AutoReconnect", "0" * 25])
def test_what_is_not_known_is_left_out(message: str) -> None:
    assert {*line(message)} == {"time", "level", "logger", "process", "message"}


@pytest.mark.parametrize("filtered", [True, False], ids=["ours", "gunicorn's master's"])
def test_no_secret_and_no_person_is_in_a_line(filtered: bool) -> None:
    secrets = ("sk_test_abcdefgh", "ada@here.com", "whsec_abcdefgh", "mongodb://user:password@here")
    told = str([line("it is %s", secret, filtered=filtered)["message"] for secret in secrets])
    try:
        raise ValueError("ada@here.com has sk_test_abcdefgh")
    except ValueError as error:
        traced = line("it failed", error=error, filtered=filtered)

    assert "ValueError" in traced["trace"]
    assert "test_logs.py" in traced["trace"]
    for secret in ("abcdefgh", "ada@", "password"):
        assert secret not in told + str(traced)


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[2J", '"}\n{"level": "x', "\u2028", "\u202e", "\ud800", "\0"])
@pytest.mark.parametrize("filtered", [True, False])
def test_nobody_forges_a_line_or_a_member(text: str, filtered: bool) -> None:
    told = line("no such path: %s", f"/{text}", filtered=filtered)

    assert told["level"] == "WARNING"
    assert told["message"].isprintable()
