"""What a part of a document shows of itself: never what is personal."""

from stripe_mongo_sync.models.base.embedded import Operation
from stripe_mongo_sync.models.customer import Address, Shipping
from stripe_mongo_sync.models.order import Line, Order


def test_a_part_shows_which_fields_it_has_and_what_may_be_seen_of_anybody() -> None:
    line = Line(price="price_1QABCDEFGH2", quantity=2)

    assert repr(line) == str(line) == "<Line price='price_1QABCDEFGH2' quantity=2>"
    assert repr([*Order(items=[line]).items]) == f"[{line!r}]"
    assert repr(Operation(verb="create", params={"name": "Ann"})) == "<Operation verb='create' params=…>"
    assert repr(Address()) == "<Address>"
    assert repr(Shipping(name="Ann", address=Address(city="Ulm"))) == "<Shipping name=… address=<Address city=…>>"
