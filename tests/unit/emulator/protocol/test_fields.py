"""What the emulator's parameters accept, and how they refuse."""

from typing import Any

import pytest

from stripe_mongo_sync.emulator.engine.execution import references
from stripe_mongo_sync.emulator.protocol import fields
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import (
    Currency,
    Email,
    Flag,
    Hash,
    Many,
    MapOf,
    Metadata,
    Number,
    OneOf,
    Ref,
    Text,
    Time,
    Whole,
)

ADDRESS = Hash(fields={"city": Text(required=True), "zip": Text()})


@pytest.mark.parametrize(
    ("field", "raw", "expected"),
    [
        (Text(), "x", "x"),
        (Text(), "", None),
        (Email(), "a+b@mail.example.com", "a+b@mail.example.com"),
        (Currency(), "EUR", "eur"),
        (OneOf(values=("a", "b")), "b", "b"),
        (Whole(), "-3", -3),
        (Whole(), "", None),
        (Time(), "1700000000", 1_700_000_000),
        (Flag(), "false", False),
        (Number(), "25.5", 25.5),
        (Number(exact=True), "10.500", "10.5"),
        (Number(exact=True), "100", "100"),
        (ADDRESS, {"city": "Bern"}, {"city": "Bern", "zip": None}),
        (Many(each=Whole()), {"1": "2", "0": "1"}, [1, 2]),
        (Many(each=Text()), "", None),
        (MapOf(each=Whole()), {"usd": "1"}, {"usd": 1}),
        (Metadata(), {"a": ""}, {"a": ""}),
        (Metadata(), "", None),
    ],
)
def test_a_value_is_read(field: fields.Field, raw: Any, expected: Any) -> None:
    assert field.read(raw, "p") == expected


@pytest.mark.parametrize(
    ("field", "raw", "message"),
    [
        (Text(longest=3), "abcd", "must be at most 3 characters"),
        (Text(), {"a": "b"}, "Invalid string"),
        (Text(pattern="[a-z]+"), "A", "Invalid p: A"),
        (Text(unset=False), "", "You passed an empty string for 'p'"),
        (Flag(), "", "You passed an empty string for 'p'"),
        (Flag(), "yes", "Invalid boolean: yes"),
        (Email(), "a b@example.com", "Invalid email address: a b@example.com"),
        (Email(), "a@b", "Invalid email address: a@b"),
        (Currency(), "zzz", "Invalid currency: zzz. Stripe currently supports these currencies: usd, aed"),
        (OneOf(values=("a", "b", "c")), "d", "Invalid p: must be one of a, b, or c"),
        (OneOf(values=("a", "b")), "d", "must be one of a or b"),
        (OneOf(values=("a",)), "d", "must be a"),
        (Whole(), "1.5", "Invalid integer: 1.5"),
        (Whole(), "١", "Invalid integer"),
        (Whole(least=1), "0", "greater than or equal to 1"),
        (Whole(most=9), "10", "less than or equal to 9"),
        (Time(), "tomorrow", "Invalid timestamp"),
        (Number(above=0, most=100), "0", "greater than 0 and less than or equal to 100"),
        (Number(), "1e9", "Invalid decimal"),
        (Number(), "1.2.3", "Invalid decimal"),
        (Number(exact=True), "0.1234567890123", "Invalid decimal"),
        (ADDRESS, "Bern", "Invalid object"),
        (ADDRESS, {"zip": "1"}, r"Missing required param: p\[city\]"),
        (ADDRESS, {"city": "x", "street": "y"}, r"Received unknown parameter: p\[street\]"),
        (Many(each=Text()), "x", "Invalid array"),
        (Many(each=Text(), most=1), ["a", "b"], "exceeded maximum 1"),
        (Many(each=Whole()), ["x"], "Invalid integer: x"),
        (MapOf(each=Text()), "x", "Invalid object"),
        (Metadata(), "x", "Invalid object"),
        (Metadata(), {"k" * 41: "v"}, "up to 40 characters"),
        (Metadata(), {"k": "v" * 501}, "a value that is 501 characters"),
        (Metadata(), {"k": {"nested": "v"}}, "Invalid string"),
        (Metadata(), {str(n) + "k": "v" for n in range(51)}, "up to 50 metadata keys"),
    ],
)
def test_a_value_is_refused(field: fields.Field, raw: Any, message: str) -> None:
    with pytest.raises(Problem, match=message) as caught:
        field.read(raw, "p")
    assert caught.value.status == 400
    assert caught.value.error["param"].startswith("p")


def test_strangers_are_named_before_anything_else() -> None:
    with pytest.raises(Problem, match="Received unknown parameters: x, y") as caught:
        fields.read({"a": Text(required=True)}, {"x": "1", "y": "2"})
    assert caught.value.error["param"] == "x"


def test_references_are_found_at_any_depth() -> None:
    known = {
        "product": Ref(kind="product"),
        "promotion": Hash(fields={"coupon": Ref(kind="coupon")}),
        "applies_to": Hash(fields={"products": Many(each=Ref(kind="product"))}),
        "items": Many(each=Hash(fields={"price": Ref(kind="price")})),
    }
    params = {
        "product": "p",
        "promotion": {"coupon": "c"},
        "applies_to": {"products": ["q"]},
        "items": [{"price": "r"}],
    }

    assert list(references(known, params)) == [
        ("product", "p", "product"),
        ("coupon", "c", "promotion[coupon]"),
        ("product", "q", "applies_to[products][0]"),
        ("price", "r", "items[0][price]"),
    ]
