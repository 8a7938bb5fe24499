"""The socket of a connection: who reads it has a deadline, and who writes to it never waits."""

import socket
import time
from collections import deque
from collections.abc import Iterator

import pytest
from gunicorn.http.errors import NoMoreData

from stripe_mongo_sync.api.server.connection import Client, Connection, Place

Pair = tuple[Client, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    client = Client(ours.family, ours.type, ours.proto, ours.detach())
    client.unsent = deque()
    with client, theirs:
        yield client, theirs


def test_a_body_that_comes_byte_by_byte_has_one_deadline_for_all_of_it(pair: Pair) -> None:
    client, theirs = pair
    client.until = began = time.monotonic() + 0.05

    def read_on() -> None:
        while theirs.send(b"x"):
            client.recv(100)

    with pytest.raises(NoMoreData):
        read_on()
    assert time.monotonic() - began < 1


def test_who_sends_nothing_is_not_waited_for_longer(pair: Pair) -> None:
    client, _ = pair
    client.until = time.monotonic() + 0.05
    with pytest.raises(NoMoreData):
        client.recv(100)

    assert client.until <= time.monotonic() < client.until + 1


def test_what_is_not_allowed_to_wait_reads_nothing(pair: Pair) -> None:
    client, theirs = pair
    theirs.send(b"x")
    with pytest.raises(NoMoreData):
        client.recv(100)

    client.setblocking(False)
    assert (client.take(), client.take()) == (b"x", None)
    theirs.close()
    assert client.take() == b""


def test_an_answer_that_nobody_takes_is_kept_and_sent_in_order_when_it_is_taken(pair: Pair) -> None:
    client, theirs = pair
    answer = [bytes([number]) * 1_000_000 for number in range(5)]
    for part in answer:
        client.sendall(part)
    assert client.unsent

    came = b""
    while len(came) < 5_000_000:
        came += theirs.recv(1_000_000)
        client.push()

    assert came == b"".join(answer)
    assert not client.unsent


def test_who_waits_longest_makes_room_if_that_is_long_enough(pair: Pair) -> None:
    place = Place(5.0)
    assert place.first() is None
    early, late = (Connection.__new__(Connection) for _ in range(2))
    now = time.monotonic()
    place.waiting.update({early: now - 2 + 5.0, late: now + 5.0})

    assert place.first() is early
    assert place.first(waiting=1.0) is early
    assert place.first(waiting=3.0) is None
    del place.waiting[early]
    assert place.first(waiting=1.0) is None
