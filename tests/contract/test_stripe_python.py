"""The emulator takes exactly the parameters that stripe-python 16.1 documents; it wins over the older OpenAPI file."""

import re
from functools import reduce
from typing import Any

import pytest
import stripe

from emulator import lists
from emulator.events import EVENT
from emulator.fields import Field, Many, Text
from emulator.planted import PLANTED
from emulator.resource import Resource
from emulator.resources import RESOURCES

ROWS = [*RESOURCES.values(), EVENT]
SERVED = [row for row in ROWS if row.create is not None]
TAKEN = [
    (row, verb, fields)
    for row in ROWS
    for verb, fields in (("Create", row.create), ("Update", row.update))
    if fields is not None
]
OPTIONS = stripe.RequestOptions.__annotations__.keys()
EXPAND: dict[str, Field] = {"expand": Many(each=Text())}
# Of these the emulator serves what is often used, and refuses the rest as unknown.
PARTIAL = {
    *("payment_method", "setup_intent", "payment_intent", "charge", "refund"),
    *("checkout.session", "subscription", "invoice", "invoiceitem"),
    *("payment_link", "billing_portal.session", "invoice_payment"),
    *(row.kind for row in PLANTED),
}


def path_of(kind: str) -> str:
    """Where the library has a kind: checkout.session is checkout.Session, payment_intent is PaymentIntent."""
    *outer, last = {"invoiceitem": "invoice_item"}.get(kind, kind).split(".")
    return ".".join([*outer, camel(last)])


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def documented(kind: str, verb: str) -> Any:
    """The parameters of a call. Some actions are called after the type as well: void_invoice, void_grant."""
    path = path_of(kind)
    (*_, noun) = re.findall("[A-Z][a-z]+", path)
    names = [f"{path}{verb}Params", f"{path}{verb}{noun}Params"]
    return next(found for name in names if (found := named(stripe.params, name)) is not None)


def named(where: Any, path: str) -> Any:
    return reduce(lambda found, step: getattr(found, step, None), path.split("."), where)


def by_kind(row: Resource) -> str:
    return row.kind


@pytest.mark.parametrize(("row", "verb", "ours"), TAKEN, ids=lambda each: getattr(each, "kind", None))
def test_a_row_knows_every_parameter_and_what_is_required(row: Resource, verb: str, ours: dict[str, Field]) -> None:
    theirs, ours = documented(row.kind, verb), {**ours, **EXPAND}
    known = theirs.__annotations__.keys() - OPTIONS

    assert ours.keys() <= known if row.kind in PARTIAL else ours.keys() == known
    assert {name for name, field in ours.items() if field.required} == theirs.__required_keys__


@pytest.mark.parametrize(
    ("row", "action"),
    [(row, action) for row in ROWS for action in row.actions],
    ids=lambda each: getattr(each, "kind", each),
)
def test_an_action_knows_only_parameters_of_the_library(row: Resource, action: str) -> None:
    theirs = documented(row.kind, camel(action))

    assert row.actions[action].params.keys() <= theirs.__annotations__.keys() - OPTIONS


@pytest.mark.parametrize("row", [row for row in ROWS if row.readable], ids=by_kind)
def test_a_list_knows_every_filter(row: Resource) -> None:
    theirs = documented(row.kind, "List").__annotations__.keys() - OPTIONS
    ours = lists.fields(row).keys()

    assert ours <= theirs if row.kind in PARTIAL else ours == theirs


@pytest.mark.parametrize("row", SERVED, ids=by_kind)
def test_an_object_has_only_fields_that_the_library_knows(row: Resource) -> None:
    assert row.defaults.keys() <= named(stripe, path_of(row.kind)).__annotations__.keys()
