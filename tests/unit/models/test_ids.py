"""One rule for Stripe's ids, at every door: old ones hold any characters, and no prefix proves anything."""

import pytest

from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.base.resource import is_id
from stripe_mongo_sync.sync.engine.admission import why_not_mirrored
from stripe_mongo_sync.sync.inbox.arrival import parse
from tests.support.events import event

OLD = [
    "Pro plan $699",
    "20% off",
    "Gold+",
    "élan",
    "a/b",
    "50% off/summer",
    "?#&=",
    "..a",
    "x" * 255,
    "card_1Old",
    "🦊",
]
NONE = [
    "",
    ".",
    "..",
    "../charges/ch_1",
    "a/./b",
    "a\nb",
    "a\r",
    "\0",
    "a\u2028b",
    "a\x85b",
    "\ud800",
    "x" * 256,
    None,
    7,
    ["a"],
]


@pytest.mark.parametrize("id", OLD)
def test_an_id_of_any_characters_is_one_whatever_it_names(id: str) -> None:
    for kind, model in kinds().items():
        resource = model.resource
        if not (resource.path or resource.mirrored):
            continue
        assert why_not_mirrored(parse(event(resource.created_event, {"id": id, "object": kind}, 1))) is None
        if resource.path and "{" not in resource.path:
            path = resource.object_path(id)
            assert path.startswith(resource.path + "/")
            assert path.count("/") == resource.path.count("/") + 1, "what is in an id is no part of a path"
            assert path.isascii()


@pytest.mark.parametrize("id", NONE, ids=ascii)
def test_what_cannot_be_written_or_would_go_up_a_path_is_no_id(id: object) -> None:
    assert not is_id(id)
    assert why_not_mirrored({"type": "coupon.updated", "data": {"object": {"id": id, "object": "coupon"}}}) is not None
