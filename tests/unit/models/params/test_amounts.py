"""No amount has a limit of one currency: the one bound of ours is what JSON and BSON hold exactly."""

from collections.abc import Iterator
from typing import Any

import pytest

from stripe_mongo_sync.models import created_kinds
from stripe_mongo_sync.models.base.input import Invalid, accepted, validate
from stripe_mongo_sync.models.params.amounts import LARGEST
from stripe_mongo_sync.models.params.table import Table, table

Place = tuple[str, ...]


def numbers(fields: Table, above: Place = ()) -> Iterator[Place]:
    """Yield the place of every whole number; "0" stands for the first of a list."""
    for name, shape in fields.items():
        place = (*above, name)
        if "integer" in shape.plain:
            yield place
        for part, end in ((shape, ()), (shape.items, ("0",))):
            if part is not None and part.fields is not None:
                yield from numbers(table(part.fields), (*place, *end))


def errors_of(kind: str, verb: str, place: Place, value: Any) -> dict[str, str]:
    for name in reversed(place):
        value = [value] if name == "0" else {name: value}
    with pytest.raises(Invalid) as refused:
        validate(created_kinds()[kind], value | {"colour": "red"}, verb)
    return refused.value.errors


@pytest.mark.parametrize("kind", created_kinds())
def test_every_whole_number_that_is_sent_has_the_one_bound(kind: str) -> None:
    model = created_kinds()[kind]
    for verb in ("create", "update", *model.resource.actions):
        for place in numbers(accepted(model, verb)):
            label = ".".join(place)
            for fits in (LARGEST, -LARGEST, 0):
                assert label not in errors_of(kind, verb, place, fits)
            for wrong in (LARGEST + 1, -LARGEST - 1):
                assert errors_of(kind, verb, place, wrong)[label] == "is too large"


def test_amounts_are_among_them() -> None:
    found = {(*place,) for model in created_kinds().values() for place in numbers(accepted(model, "create"))}

    assert {("amount",), ("unit_amount",), ("fixed_amount", "amount"), ("items", "0", "quantity")} <= found
