"""What errors say: each tells people something, and none of it is a docstring."""

from collections.abc import Iterator

import pytest

from stripe_mongo_sync.api.errors import RequestError
from stripe_mongo_sync.models import created_kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.sync.errors import NotFound, SyncError
from stripe_mongo_sync.sync.inbox.arrival import Malformed
from stripe_mongo_sync.sync.operator.link import Differs
from stripe_mongo_sync.webhooks.signature import BadSignature


def below(kind: type) -> Iterator[type]:
    """Yield a class and all that are made from it."""
    yield kind
    for inner in kind.__subclasses__():
        yield from below(inner)


ERRORS = [*below(SyncError), *below(RequestError), Invalid, Malformed, BadSignature]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_each_error_says_a_sentence(kind: type) -> None:
    assert kind.says[0].isupper()  # type: ignore[attr-defined]
    assert kind.says.endswith(".")  # type: ignore[attr-defined]


def test_what_an_error_says_is_its_message_unless_it_is_told_another() -> None:
    assert str(NotFound()) == "There is no such document."
    assert str(NotFound("There is no such delivery.")) == "There is no such delivery."
    assert str(Differs("It differs.", [])) == "It differs."


def test_the_api_says_something_of_each_type() -> None:
    said = [each.says for each in created_kinds().values()]

    assert all(text[0].isupper() and text.endswith(".") for text in said)
