"""Patience: so many requests a second and no more, and what fails is asked again until that has lasted too long."""

import itertools
from collections.abc import Iterator

import pytest

from stripe_mongo_sync.sync.errors import Outage
from stripe_mongo_sync.sync.stripe.answers import Answer, Reply, Unknown
from stripe_mongo_sync.sync.stripe.throttle import LONGEST_GAP, OUTAGE_AFTER, Throttle

GOOD = Reply({"object": "list", "data": []}, 0, 0, replayed=False, request_id="req_1")
BUSY, BROKEN = Unknown("429", retry_later=True), Unknown("500")


class Time:
    """A clock that moves only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def asked(patience: Throttle, *answers: Answer) -> tuple[Answer, list[float]]:
    """Ask until there is an answer; return it, and when each request was made."""
    left: Iterator[Answer] = iter(answers)
    at: list[float] = []

    def read() -> Answer:
        at.append(patience.clock())
        return next(left)

    return patience.ask(read), at


def test_no_more_requests_are_made_in_a_second_than_allowed(time: Time) -> None:
    patience = Throttle(20.0, time.pause, time)

    at = [asked(patience, GOOD)[1][0] for _ in range(101)]

    assert all(sum(1 for each in at if start <= each < start + 0.999) <= 20 for start in at)
    assert at[-1] - at[0] == pytest.approx(5.0)
    assert patience.requests == 101


def test_a_slow_reader_does_not_wait_and_saves_nothing_up(time: Time) -> None:
    patience = Throttle(2.0, time.pause, time)
    for _ in range(3):
        asked(patience, GOOD)
        time.now += 60
    assert time.waits == []

    asked(patience, GOOD)
    asked(patience, GOOD)

    assert time.waits == [0.5]


def test_what_fails_is_asked_again_ever_later(time: Time) -> None:
    answer, at = asked(Throttle(20.0, time.pause, time), BROKEN, BROKEN, BROKEN, GOOD)

    assert answer is GOOD
    gaps = [after - before for before, after in itertools.pairwise(at)]
    assert [0.7 < gap / wanted < 1.3 for gap, wanted in zip(gaps, (1, 2, 4), strict=True)] == [True] * 3


def test_stripe_says_how_long_to_wait(time: Time) -> None:
    _, at = asked(Throttle(20.0, time.pause, time), Unknown("429", retry_later=True, retry_after=17.0), GOOD)

    assert at[1] - at[0] == 17


def test_too_many_requests_make_it_slower_and_good_answers_faster_again(time: Time) -> None:
    patience = Throttle(10.0, time.pause, time)
    asked(patience, BUSY, BUSY, GOOD)
    at = [asked(patience, GOOD)[1][0] for _ in range(400)]

    assert 0.3 < at[1] - at[0] < 0.4
    assert at[-1] - at[-2] == pytest.approx(0.1)
    asked(patience, *[BUSY] * 6, GOOD)
    at = [asked(patience, GOOD)[1][0] for _ in range(2)]
    assert at[1] - at[0] <= LONGEST_GAP


def test_what_lasts_is_an_outage_and_then_it_is_not_waited_for_twice(time: Time) -> None:
    patience = Throttle(20.0, time.pause, time)
    with pytest.raises(Outage, match="5 minutes"):
        asked(patience, *[BROKEN] * 50)
    assert OUTAGE_AFTER < sum(time.waits) < OUTAGE_AFTER + 120

    with pytest.raises(Outage):
        asked(patience, BROKEN)
    answer, _ = asked(patience, GOOD)
    assert answer is GOOD
    answer, _ = asked(patience, BROKEN, GOOD)
    assert answer is GOOD
