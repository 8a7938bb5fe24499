"""What errors say: each tells people something, and none of it is a docstring."""

from collections.abc import Iterator

import pytest

import api.errors
import sync.inbox
import sync.link
import webhooks.signature
from models import created_kinds, kinds
from models.input import Invalid
from sync.errors import SyncError


def below(kind: type) -> Iterator[type]:
    """Yield a class and all that are made from it."""
    yield kind
    for inner in kind.__subclasses__():
        yield from below(inner)


ERRORS = [*below(SyncError), *below(api.errors.RequestError), Invalid, sync.inbox.Malformed]
ERRORS.append(webhooks.signature.BadSignature)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_each_error_says_a_sentence(kind: type) -> None:
    assert kind.says[0].isupper()  # type: ignore[attr-defined]
    assert kind.says.endswith(".")  # type: ignore[attr-defined]


def test_what_an_error_says_is_its_message_unless_it_is_told_another() -> None:
    assert str(sync.errors.NotFound()) == "There is no such document."
    assert str(sync.errors.NotFound("There is no such delivery.")) == "There is no such delivery."
    assert str(sync.link.Differs("It differs.", [])) == "It differs."


def test_the_api_says_something_of_each_type_and_of_the_parameters_of_each_action() -> None:
    taken = {action.takes for model in kinds().values() for action in model.resource.actions.values() if action.takes}

    said = [each.says for each in (*created_kinds().values(), *taken)]

    assert all(text[0].isupper() and text.endswith(".") for text in said)
