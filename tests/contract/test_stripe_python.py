"""The emulator takes exactly the parameters that stripe-python 16.1 documents; it wins over the older OpenAPI file."""

import re
from typing import Any

import pytest
import stripe

from emulator import lists
from emulator.events import EVENT
from emulator.fields import Field, Many, Text
from emulator.resource import Resource
from emulator.resources import RESOURCES

ROWS = [*RESOURCES.values(), EVENT]
SERVED = [row for row in ROWS if row.create is not None]
OPTIONS = stripe.RequestOptions.__annotations__.keys()
EXPAND: dict[str, Field] = {"expand": Many(each=Text())}
# Planted types only know the filters that tell whether a customer has money on it.
PARTIAL = {"subscription", "payment_intent", "charge", "invoice"}


def documented(kind: str, verb: str) -> Any:
    name = "".join(part.capitalize() for part in re.split(r"[_.]", kind))
    return getattr(stripe.params, f"{name}{verb}Params")


def by_kind(row: Resource) -> str:
    return row.kind


@pytest.mark.parametrize("verb", ["Create", "Update"])
@pytest.mark.parametrize("row", SERVED, ids=by_kind)
def test_a_row_knows_every_parameter_and_what_is_required(row: Resource, verb: str) -> None:
    theirs = documented(row.kind, verb)
    ours = {**((row.create if verb == "Create" else row.update) or {}), **EXPAND}

    assert ours.keys() == theirs.__annotations__.keys() - OPTIONS
    assert {name for name, field in ours.items() if field.required} == theirs.__required_keys__


@pytest.mark.parametrize("row", ROWS, ids=by_kind)
def test_a_list_knows_every_filter(row: Resource) -> None:
    theirs = documented(row.kind, "List").__annotations__.keys() - OPTIONS
    ours = lists.fields(row).keys()

    assert ours <= theirs if row.kind in PARTIAL else ours == theirs


@pytest.mark.parametrize("row", SERVED, ids=by_kind)
def test_an_object_has_only_fields_that_the_library_knows(row: Resource) -> None:
    name = "".join(part.capitalize() for part in row.kind.split("_"))

    assert row.defaults.keys() <= getattr(stripe, name).__annotations__.keys()
