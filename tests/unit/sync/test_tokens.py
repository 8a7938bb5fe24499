"""Tokens and their rate: the right one is found without telling a wrong one how near it is, and none asks too fast."""

import hmac
from hashlib import sha256

import pytest

from stripe_mongo_sync.api.auth import RateLimiter
from stripe_mongo_sync.sync.tokens import authenticate, parse

TOKENS = [parse(f"{name}:read:a-token-of-the-{name}") for name in ("shop", "till", "desk")]


@pytest.mark.parametrize("name", ["shop", "till", "desk"])
def test_the_holder_of_a_token_is_found(name: str) -> None:
    found = authenticate(TOKENS, f"a-token-of-the-{name}".encode())

    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "presented",
    [
        b"",
        b"a-token-of-the-shop ",
        b"A-token-of-the-shop",
        b"\xff\xfe",
        sha256(b"a-token-of-the-shop").digest(),
        b"shop",
    ]
    + [f"sha256={sha256(b'a-token-of-the-shop').hexdigest()}".encode(), b"shop:read:a-token-of-the-shop"],
)
def test_nothing_else_is_a_token(presented: bytes) -> None:
    assert authenticate(TOKENS, presented) is None


@pytest.mark.fault("140")
@pytest.mark.parametrize("presented", [b"a-token-of-the-shop", b"a-token-of-the-desk", b"x" * 16, b"x" * 10_000])
def test_every_token_is_compared_in_constant_time(presented: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr("stripe_mongo_sync.sync.tokens.hmac.compare_digest", watched)

    authenticate(TOKENS, presented)

    assert compared == [(32, 32)] * len(TOKENS)


class Clock:
    """A clock that moves when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_admitted_and_then_so_many_a_second() -> None:
    clock = Clock()
    rate = RateLimiter(10, clock)

    assert [rate.wait("shop") for _ in range(10)] == [0.0] * 10
    assert rate.wait("shop") == pytest.approx(0.1)
    clock.now += 0.05
    assert rate.wait("shop") == pytest.approx(0.05), "who is refused is not put back"
    clock.now += 0.05
    assert rate.wait("shop") == 0.0
    assert rate.wait("shop") > 0
    clock.now += 3600
    assert [rate.wait("shop") > 0 for _ in range(11)] == [False] * 10 + [True], "an hour of silence saves up no more"


def test_each_name_has_its_own_rate() -> None:
    rate = RateLimiter(1, Clock())

    assert [rate.wait(name) for name in ("shop", "till", "shop", "till")] == pytest.approx([0, 0, 1, 1])


def test_no_rate_admits_all() -> None:
    rate = RateLimiter(0, Clock())

    assert not any(rate.wait("shop") for _ in range(1000))
