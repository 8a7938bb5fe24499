"""No amount has a limit of one currency: the one bound of ours is what JSON and BSON hold exactly."""

from collections.abc import Iterator

from mongoengine import EmbeddedDocument, EmbeddedDocumentField, IntField, ListField
from mongoengine.base import BaseField

from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.amounts import LARGEST


def fields(named: dict[str, BaseField], place: str) -> Iterator[tuple[str, BaseField]]:
    for name, each in named.items():
        inner = each.field if isinstance(each, ListField) else each
        yield f"{place}.{name}", inner
        if isinstance(inner, EmbeddedDocumentField):
            yield from fields(dict(inner.document_type._fields), f"{place}.{name}")


def given() -> Iterator[tuple[str, IntField]]:
    """Every whole number that a caller may send and that is an amount."""
    for kind, model in kinds().items():
        takes: list[tuple[str, type[EmbeddedDocument]]] = [
            (f"{kind}.{name}", action.takes) for name, action in model.resource.actions.items() if action.takes
        ]
        own = {name: field for name, field in model._fields.items() if getattr(field, "sent", "")}
        for place, named in [(kind, own), *((place, dict(each._fields)) for place, each in takes)]:
            for path, field in fields(named, place):
                if isinstance(field, IntField) and "amount" in path.rpartition(".")[2]:
                    yield path, field


def test_every_amount_that_is_sent_has_the_one_bound() -> None:
    found = dict(given())

    assert {
        "price.unit_amount",
        "payment_intent.capture.amount_to_capture",
        "shipping_rate.fixed_amount.amount",
    } <= set(found)
    assert {path for path, field in found.items() if field.max_value != LARGEST} == set()
    assert {path for path, field in found.items() if field.min_value not in (0, 1, -LARGEST)} == set()
