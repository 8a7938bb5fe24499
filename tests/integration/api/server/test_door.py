"""The door of ordinary webhooks: whatever bytes come, they are answered as gunicorn's parser and Flask would."""

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import pytest
from flask import request_started
from gunicorn.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.monitoring import CommandStartedEvent
from stripe import WebhookSignature
from werkzeug.middleware.proxy_fix import ProxyFix

from stripe_mongo_sync import sync
from stripe_mongo_sync.api import create_app
from stripe_mongo_sync.api.server.door import MINE, OURS, door_of
from stripe_mongo_sync.api.server.logger import Logger
from stripe_mongo_sync.models import Event
from tests.support import eventually
from tests.support.heard import Listener
from tests.support.served import PATIENCE, Served, served
from tests.support.world import SECRET, World

numbers = count(1)
LINE = "POST /webhooks/stripe HTTP/1.1"
LAST = b"0\r\n\r\n"  # of a chunked body: the worker waits for it before it gives the request a thread
Doors = tuple[Served, Served]


def fresh(**changes: object) -> bytes:
    """An event of a type that is not kept, so that it changes nothing but the inbox; each has another id."""
    told = {"id": f"evt_{next(numbers):08}", "object": "event", "type": "odd.made", "created": 1, "livemode": False}
    return json.dumps({**told, "data": {"object": {"id": "x_1", "object": "odd"}}, **changes}).encode()


def signature(raw: bytes, secret: str = SECRET) -> str:
    return WebhookSignature.generate_signature_header(raw.decode(), secret)


def request(raw: bytes, *fields: str, line: str = LINE, end: str = "\r\n", **given: str | None) -> bytes:
    """A request: the usual head, with fields replaced or (None) left out, then more `fields`."""
    head = {"Host": "here.com", "Content-Length": str(len(raw)), "Stripe-Signature": signature(raw)}
    head |= {name.replace("_", "-"): value for name, value in given.items() if value is not None}
    lines = [
        line,
        *(f"{name}: {value}" for name, value in head.items() if given.get(name.replace("-", "_"), "") is not None),
    ]
    return (end.join([*lines, *fields, "", ""])).encode("latin-1") + raw


@pytest.fixture
def doors(world: World) -> Iterator[Doors]:
    """One application, served with the door and without it."""
    with served(world.app, door=False) as general, served(world.app) as own:
        yield own, general


def told(server: Served, *parts: bytes) -> bytes:
    """What is answered, without what differs each time."""
    answer = re.sub(rb"\r\nDate: [^\r]+", b"", server.exchange(*parts))
    return re.sub(rb"X-Request-Id: [0-9a-f]{32}", b"X-Request-Id", answer)


ODD: dict[str, Callable[[bytes], bytes]] = {
    "as Stripe sends it": lambda raw: request(
        raw,
        "Accept: */*; q=0.5, application/xml",
        "User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Content-Type: application/json; charset=utf-8",
        "Cache-Control: no-cache",
    ),
    "through a proxy": lambda raw: request(
        raw, "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", "Via: 1.1 x", Connection="keep-alive"
    ),
    "names in other letters": lambda raw: request(
        raw,
        f"STRIPE-signature:{signature(raw)}",
        f"content-length:\t{len(raw)} ",
        Stripe_Signature=None,
        Content_Length=None,
    ),
    "closes": lambda raw: request(raw, Connection="close"),
    "Closes": lambda raw: request(raw, "connection: Close"),
    "an odd connection": lambda raw: request(raw, Connection="keep-alive, Upgrade"),
    "two connections": lambda raw: request(raw, "Connection: close", Connection="keep-alive"),
    "an old version": lambda raw: request(raw, line="POST /webhooks/stripe HTTP/1.0"),
    "a newer version": lambda raw: request(raw, line="POST /webhooks/stripe HTTP/1.2"),
    "another version": lambda raw: request(raw, line="POST /webhooks/stripe HTTP/2.0"),
    "another method": lambda raw: request(raw, line="PUT /webhooks/stripe HTTP/1.1"),
    "a small method": lambda raw: request(raw, line="post /webhooks/stripe HTTP/1.1"),
    "a slash": lambda raw: request(raw, line="POST /webhooks/stripe/ HTTP/1.1"),
    "a query": lambda raw: request(raw, line="POST /webhooks/stripe?a=b HTTP/1.1"),
    "an encoded path": lambda raw: request(raw, line="POST /webhooks/strip%65 HTTP/1.1"),
    "a whole address": lambda raw: request(raw, line="POST http://here.com/webhooks/stripe HTTP/1.1"),
    "two spaces": lambda raw: request(raw, line="POST  /webhooks/stripe HTTP/1.1"),
    "an empty line before": lambda raw: b"\r\n" + request(raw),
    "bare line feeds": lambda raw: request(raw, end="\n"),
    "a bare line feed": lambda raw: request(raw, "X: a\nY: b"),
    "a bare carriage return": lambda raw: request(raw, "X: a\rY: b"),
    "a NUL": lambda raw: request(raw, "X: a\0b"),
    "a folded line": lambda raw: request(raw, "X: a", " b"),
    "a space before the colon": lambda raw: request(raw, "X : a"),
    "no colon": lambda raw: request(raw, "X"),
    "no name": lambda raw: request(raw, ": a"),
    "an underscore": lambda raw: request(raw, "SCRIPT_NAME: /webhooks"),
    "an odd name": lambda raw: request(raw, "X!y: a"),
    "letters of Latin": lambda raw: request(raw, "X: \xe9"),
    "no host": lambda raw: request(raw, Host=None),
    "an odd host": lambda raw: request(raw, Host="a b"),
    "an empty host": lambda raw: request(raw, Host=""),
    "an IPv6 host": lambda raw: request(raw, Host="[::1]:8000"),
    "a long host": lambda raw: request(raw, Host="x" * 64),
    "two hosts": lambda raw: request(raw, "Host: there.com"),
    "two lengths": lambda raw: request(raw, f"Content-Length: {len(raw)}"),
    "two other lengths": lambda raw: request(raw, "Content-Length: 5"),
    "a list of lengths": lambda raw: request(raw, Content_Length=f"{len(raw)}, {len(raw)}"),
    "a length with a sign": lambda raw: request(raw, Content_Length=f"+{len(raw)}"),
    "a length with zeros": lambda raw: request(raw, Content_Length=f"000{len(raw)}"),
    "a length with an underscore": lambda raw: request(raw, Content_Length="1_0"),
    "a length in hex": lambda raw: request(raw, Content_Length=hex(len(raw))),
    "no length": lambda raw: request(raw, Content_Length=None),
    "too short": lambda raw: request(raw, Content_Length=str(len(raw) - 1)),
    "chunked": lambda raw: request(
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(raw), raw),
        "Transfer-Encoding: chunked",
        Content_Length=None,
        Stripe_Signature=signature(raw),
    ),
    "chunked, with a length": lambda raw: request(raw + LAST, "Transfer-Encoding: chunked"),
    "an odd transfer": lambda raw: request(raw + LAST, "Transfer-Encoding: xchunked"),
    "a transfer that is none": lambda raw: request(raw + LAST, "Transfer-Encoding: identity"),
    "an expectation": lambda raw: request(raw, "Expect: 100-continue"),
    "another expectation": lambda raw: request(raw, "Expect: 200-ok"),
    "an upgrade": lambda raw: request(raw, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"),
    "two schemes": lambda raw: request(raw, "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off"),
    "no signature": lambda raw: request(raw, Stripe_Signature=None),
    "two signatures": lambda raw: request(raw, f"Stripe-Signature: {signature(raw)}"),
    "a split signature": lambda raw: request(
        raw, f"Stripe-Signature: {signature(raw).partition(',')[2]}", Stripe_Signature=signature(raw).partition(",")[0]
    ),
    "a bad signature": lambda raw: request(raw, Stripe_Signature=signature(raw, "whsec_other")),
    "a long head": lambda raw: request(raw, "X: " + "a" * 5_000),
    "a longer head": lambda raw: request(raw, "X: " + "a" * 9_000),
    "many fields": lambda raw: request(raw, *(f"X-{n}: a" for n in range(150))),
    "no event": lambda raw: request(b"{}"),
    "no JSON": lambda raw: request(b"hello"),
    "no body": lambda raw: request(b""),
    "a question": lambda raw: request(fresh(type="issuing_authorization.request")),
    "spaces behind": lambda raw: request(raw + b"  "),
    "a long body": lambda raw: request(raw + b" " * 100_000),
    "a body with a head in it": lambda raw: request(fresh(note="a\r\n\r\nPOST /webhooks/stripe HTTP/1.1\r\n\r\n")),
}


def test_each_odd_request_is_answered_as_by_gunicorn_and_flask(doors: Doors) -> None:
    for name, make in ODD.items():
        own, general = (told(server, make(fresh()) + make(fresh())) for server in doors)
        assert own == general, name
        assert own or name == "bare line feeds", name


def test_an_ordinary_webhook_needs_no_application_and_any_other_does(world: World, doors: Doors) -> None:
    asked: list[str] = []
    with request_started.connected_to(lambda sender, **more: asked.append("asked"), world.app):
        for name in ("as Stripe sends it", "through a proxy", "names in other letters", "closes"):
            assert told(doors[0], ODD[name](fresh())).startswith(b"HTTP/1.1 200 OK"), name
        assert asked == []
        for name in ("a query", "two signatures", "an underscore", "an old version", "chunked"):
            before = len(asked)
            assert told(doors[0], ODD[name](fresh())).startswith(b"HTTP/1."), name
            assert len(asked) > before, name


FIELDS = st.lists(
    st.sampled_from(
        [
            *(
                "X-A: b",
                "Accept: */*",
                "Connection: close",
                "Connection: keep-alive",
                "connection:  Keep-Alive ",
                "TE: x",
            ),
            *("Host: there.com", "Content-Length: 3", "Expect: 100-continue", "X_A: b"),
            *("X-Forwarded-Proto: https", "X-Forwarded-Ssl: on", "Stripe-Signature: t=1,v1=0", "X-A:\tb", "X-A: \x7f"),
            *("Upgrade: h2c", "Keep-Alive: 5", "Content-Type: x", "Content-Type: y", "A" * 300 + ": b", "X-Å: b", ""),
        ]
    ),
    max_size=4,
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "Content_Length": st.sampled_from([None, "0", "5", " 5", "+5", "5 5", "\x0b5", "٥"]),
        "Host": st.sampled_from(
            [
                None,
                "",
                "here.com:80",
                "here.com:",
                "a/b",
                "a@b",
                "::1",
                "x" * 64,
                "-a-.b",
                "a.",
                ".a",
                "a..b",
                "xn--a",
                "a:99999",
            ]
        ),
        "Stripe_Signature": st.sampled_from(["", "t=1,v1=0", "x"]),
        "line": st.sampled_from([LINE, LINE.lower(), LINE + " ", " " + LINE, LINE[:-1], LINE + "\t", "GET / HTTP/1.1"]),
    },
)


@given(st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_bytes_come_in_whatever_pieces_both_answer_alike(doors: Doors, data: st.DataObject) -> None:
    heads = data.draw(st.lists(st.tuples(FIELDS, CHANGES), min_size=1, max_size=3))
    raws = [fresh() for _ in heads for _ in doors]
    cuts = data.draw(st.lists(st.integers(0, 900), max_size=3).map(sorted))
    answers = []
    for server in doors:
        come = b"".join(latin(raws.pop(), *fields, **changes) for fields, changes in heads)
        ends = [*cuts, len(come)]
        answers.append(told(server, *(come[begin:end] for begin, end in zip([0, *ends], ends, strict=False))))

    assert answers[0] == answers[1]


def latin(raw: bytes, *fields: str, **changes: str | None) -> bytes:
    return request(
        raw.decode().encode(),
        *(field.encode("utf-8").decode("latin-1") for field in fields),
        **{name: value and value.encode("utf-8").decode("latin-1") for name, value in changes.items()},
    )


class Pause(Listener):
    """Stops the writing of events until it is told to go on."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def started(self, event: CommandStartedEvent) -> None:
        if event.command.get(event.command_name) == "stripe_events":
            self.reached.set()
            assert self.go_on.wait(PATIENCE)


@contextmanager
def paused(world: World) -> Iterator[Pause]:
    """A world whose events are written only when the pause ends."""
    world.listeners = (pause := Pause(),)
    world.start()
    try:
        yield pause
    finally:
        pause.go_on.set()


def test_who_is_told_to_end_first_answers_what_was_taken(world: World) -> None:
    with paused(world) as pause, ThreadPoolExecutor(1) as pool:
        server = Served(world.app, door=True)
        answer = pool.submit(told, server, ODD["as Stripe sends it"](fresh()))
        assert pause.reached.wait(PATIENCE)

        ending = threading.Thread(target=server.stop)
        ending.start()
        eventually(lambda: not server.worker.alive)
        pause.go_on.set()

        ending.join(PATIENCE)
        assert b"Connection: close" in answer.result()
    assert Event.objects.count() == 1


def test_a_worker_counts_what_its_door_took_and_ends_after_its_last_request(world: World) -> None:
    server = Served(world.app, door=True, max_requests=3)
    answer = told(server, *(ODD["as Stripe sends it"](fresh()) for _ in range(3)))

    server.thread.join(PATIENCE)
    assert (answer.count(b"HTTP/1.1 200"), answer.count(b"keep-alive"), answer.count(b"Connection: close")) == (3, 2, 1)
    server.stop()


def test_a_client_that_does_not_wait_for_its_answer_costs_nothing(world: World) -> None:
    with paused(world) as pause, served(world.app) as server:
        with socket.create_connection(server.address) as client:
            client.sendall(ODD["as Stripe sends it"](fresh()))
            assert pause.reached.wait(PATIENCE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # hang up hard
        pause.go_on.set()
        eventually(lambda: Event.objects.count() == 1)
        eventually(lambda: server.worker.nr_conns == 0)
        assert told(server, ODD["as Stripe sends it"](fresh())).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accesslog", "-"),
        ("limit_request_fields", 10),
        ("header_map", "dangerous"),
        ("pre_request", lambda worker, request: None),
    ],
)
def test_a_setting_of_gunicorn_that_concerns_each_request_closes_the_door(
    world: World, name: str, value: object
) -> None:
    world.app.extensions[MINE] = True
    try:
        config = Config()
        assert door_of(world.app, config) is not None
        config.set(name, value)
        assert door_of(world.app, config) is None
    finally:
        del world.app.extensions[MINE]


def test_a_log_in_json_leaves_the_door_open(world: World) -> None:
    config, app = Config(), create_app(world.read)
    app.extensions[MINE] = True

    config.set("logger_class", OURS["logger_class"])

    assert issubclass(config.logger_class, Logger)
    assert door_of(app, config) is not None


def test_an_application_of_others_has_no_door(world: World) -> None:
    config, app = Config(), create_app(world.read)
    assert door_of(app, config) is None, "only wsgi.py serves it as it is"
    assert door_of(lambda environ, start: [], config) is None
    app.extensions[MINE] = True
    assert door_of(app, config) is not None
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    assert door_of(app, config) is None


def test_who_finds_the_queue_full_is_told_to_come_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stripe_mongo_sync.sync.inbox.committer.QUEUE", 0)
    with served(world.app) as server:
        answer = told(server, ODD["as Stripe sends it"](fresh()))

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5" in answer
    assert Event.objects.count() == 0


def test_an_event_that_goes_alone_holds_no_other_up(world: World) -> None:
    """The first is of another version, so that Stripe is read; it hangs."""
    sync.create_customer("user@here.com")
    made = json.loads(world.webhooks()[0])
    slow = json.dumps({**made, "api_version": "2019-01-01"}).encode()
    held = world.stripe.fault("hold_after", method="GET")
    with served(world.app) as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(told, server, request(slow))
        assert held.entered.wait(PATIENCE)

        assert told(server, request(fresh())).startswith(b"HTTP/1.1 200")

        held.release()
        assert b'"applied"' in first.result()
