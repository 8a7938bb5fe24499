"""What a worker decides before it gives a request a thread: how much of it is there, and whose thread it may hold."""

import logging

import pytest

from stripe_mongo_sync.api.server.bulkhead import (
    LARGEST,
    PROBES,
    STUCK_AFTER,
    UPLOADS,
    Arrival,
    Bulkhead,
    Kind,
    arrival,
    bulkheads,
    kind_of,
)
from stripe_mongo_sync.sync.process.few import LINES, MINUTE, Few

SIGNED = b"POST /webhooks/stripe HTTP/1.1\r\nStripe-Signature: t=1,v1=0\r\n"
PLAIN = b"POST /webhooks/stripe HTTP/1.1\r\nHost: here.com\r\n"
CHUNKED = SIGNED + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("came", "is_there"),
    [
        (b"", Arrival.BEGINNING),
        (b"G", Arrival.BEGINNING),
        (SIGNED, Arrival.BEGINNING),
        (SIGNED + b"Content-Length: 2\r\n\r", Arrival.BEGINNING),
        (b"GET /healthz HTTP/1.1\r\n\r\n", Arrival.WHOLE),
        (b"GET /healthz HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n", Arrival.WHOLE),
        (SIGNED + b"Content-Length: 2\r\n\r\n{}", Arrival.WHOLE),
        (SIGNED + b"content-length:2\r\n\r\n{}GET", Arrival.WHOLE),
        (SIGNED + b"Content-Length: 2\r\n\r\n{", Arrival.COMING),
        (SIGNED + b"Content-Length: %d\r\n\r\n{" % LARGEST, Arrival.COMING),
        (SIGNED + b"Content-Length: %d\r\n\r\n{" % (LARGEST + 1), Arrival.PART),
        (SIGNED + b"Content-Length: 99999999999\r\n\r\n{", Arrival.WHOLE),  # the parser is asked, and refuses it
        (SIGNED + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", Arrival.PART),
        (PLAIN + b"Content-Length: 2\r\n\r\n{", Arrival.PART),  # nobody waits for what will be refused
        (PLAIN + b"Authorization: Bearer x\r\nContent-Length: 2\r\n\r\n{", Arrival.COMING),
        (CHUNKED, Arrival.COMING),
        (CHUNKED + b"2\r\n{}\r\n", Arrival.COMING),
        (CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", Arrival.WHOLE),
        (CHUNKED + b"0\r\n\r\n", Arrival.WHOLE),
        (CHUNKED + b"1" * (LARGEST + 1), Arrival.PART),
    ],
)
def test_how_much_of_a_request_is_there(came: bytes, is_there: Arrival) -> None:
    assert arrival(came) is is_there


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("GET /healthz", Kind.PROBE),
        ("GET /readyz?verbose", Kind.PROBE),
        ("GET /healthz/x", Kind.READ),
        ("POST /webhooks/stripe", Kind.WEBHOOK),
        ("POST /webhooks/stripe/?a=b", Kind.WEBHOOK),
        ("POST /shop/webhooks/stripe", Kind.WEBHOOK),
        ("POST /customers", Kind.WRITE),
        ("DELETE /customers/healthz", Kind.WRITE),
        ("GET /customers/webhooks", Kind.READ),
        ("HEAD /docs", Kind.READ),
        ("nonsense", Kind.WRITE),
    ],
)
def test_whose_thread_a_request_may_hold(line: str, kind: Kind) -> None:
    came = f"{line} HTTP/1.1\r\n\r\n".encode()

    assert kind_of(came, Arrival.WHOLE) is kind
    assert kind_of(came, Arrival.PART) is Kind.BODY, "whatever it is, its body comes slowly"


@pytest.mark.parametrize("arrived", [Arrival.WHOLE, Arrival.PART])
def test_a_form_with_files_holds_no_thread_of_others_however_slowly_it_comes(arrived: Arrival) -> None:
    assert kind_of(b"POST /disputes/du_1/evidence?expand=stripe HTTP/1.1\r\n\r\n", arrived) is Kind.UPLOAD
    assert kind_of(b"PATCH /disputes/evidence HTTP/1.1\r\n\r\n", Arrival.WHOLE) is Kind.WRITE


def test_each_kind_has_threads_of_its_own() -> None:
    there = bulkheads(8)

    assert {*there} == {*Kind}
    few = {Kind.PROBE: PROBES, Kind.UPLOAD: UPLOADS}
    assert {kind: each.size for kind, each in there.items()} == {**dict.fromkeys(Kind, 8), **few}
    assert all(each.takes() for kind, each in there.items() for _ in range(each.size))
    assert not any(each.takes() for each in there.values())


def test_a_kind_is_stuck_only_while_no_thread_of_it_comes_free() -> None:
    bulkhead = Bulkhead(2)
    assert bulkhead.takes()
    bulkhead.moved -= STUCK_AFTER + 1
    assert not bulkhead.is_stuck(), "a thread is free"

    assert bulkhead.takes()
    assert not bulkhead.is_stuck(), "this may be a burst"
    bulkhead.moved -= STUCK_AFTER + 1
    assert bulkhead.is_stuck()

    bulkhead.frees()
    assert bulkhead.takes()
    assert not bulkhead.is_stuck(), "it moves"


def test_of_many_lines_of_one_reason_a_few_are_logged_each_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    few = Few(logging.getLogger("stripe_mongo_sync"), lambda: now)
    for _ in range(500):
        few.warn("flood", "again")
    few.warn("other", "this one is seldom")
    assert caplog.messages == ["again"] * LINES + ["this one is seldom"]

    caplog.clear()
    now += MINUTE
    few.warn("flood", "again")
    few.warn("flood", "again")

    assert caplog.messages == [f"again (and {500 - LINES} more like it, since the last line)", "again"]
