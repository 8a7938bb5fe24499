"""What Stripe has comes back as it was: no value is read as one of MongoDB's kinds, and no text as a command to it."""

import json
from typing import Any

import bson
from bson.codec_options import CodecOptions
from hypothesis import given, settings
from hypothesis import strategies as st

from stripe_mongo_sync.models import Customer, SyncedDocument, kinds
from stripe_mongo_sync.models.base.embedded import Plain
from stripe_mongo_sync.sync.database.decoding import AS_WRITTEN
from stripe_mongo_sync.sync.engine.observations import from_event
from stripe_mongo_sync.sync.runs.backfill import backfill
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support.events import event
from tests.support.run import Run
from tests.support.world import World

Json = dict[str, Any]
T = 1_700_000_000
# What MongoDB, its driver, its JSON or MongoEngine mean something by, and names that are hard to write.
NAMES = (
    *("$db", "$ref", "$id", "$oid", "$date", "$numberLong", "$numberDecimal", "$binary", "$type", "$uuid", "$regex"),
    *("$code", "$scope", "$timestamp", "$minKey", "$undefined", "$symbol", "$dbPointer", "$literal", "$set", "$", "$$"),
    *("_cls", "_id", "_ref", "_types", "id", "object", "", ".", "a.b", ".a", "a.$.b", "x" * 2000, "ключ", "__class__"),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["$stripe", "$$ROOT", "Customer", "customers", "5f" * 12, "2020-01-01T00:00:00Z", "a\0b", ""]),
    st.text(st.characters(codec="utf-8"), max_size=8),
)
BESIDE = st.dictionaries(st.sampled_from(NAMES[3:]), LEAVES, max_size=2) | st.just({"$db": "a database"})
TREES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES[1:]), inner, max_size=4)
        | st.builds(lambda ref, id, more: {"$ref": ref, "$id": id, **more}, st.text(max_size=3) | inner, inner, BESIDE)
    ),
    max_leaves=8,
)


SHELF = {"$ref": "shelf", "$id": "4711", "$db": "shop", "n": 7}


def deep(levels: int) -> Any:
    return {"$ref": "shelf", "$id": "1", "below": deep(levels - 1)} if levels else "the end"


def every_name() -> Json:
    """A hash of every name, with a value of every form, at several depths."""
    names = {name: [SHELF, {"$id": 1, "$ref": name}, {name: {name: SHELF}}, 0.5, 2**62, None, name] for name in NAMES}
    return {**names, "$ref": "shelf", "$id": SHELF, "$db": "shop", "deep": deep(60)}


def adopted(model: type[SyncedDocument], remote: Json) -> SyncedDocument:
    """The document of an object, as an event lets it be born, read anew."""
    told = json.loads(event(f"{model.resource.event_prefixes[0]}.created", remote, T))
    return model.adopt(from_event(model, told)).fetch_latest()


@settings(max_examples=60)
@given(value=TREES)
def test_any_value_is_read_as_it_was_written(value: Any) -> None:
    """The driver cannot tell `"$db": null` beside `$ref` and `$id` from none: that null alone is lost."""
    options = CodecOptions[Json](type_registry=AS_WRITTEN)

    assert bson.decode(bson.encode({"stripe": {"metadata": value}}), options)["stripe"]["metadata"] == value


def test_every_kind_shows_what_stripe_has_and_no_other_row_of_a_list_is_lost(world: World) -> None:
    free = {**SHELF, "a.b": [SHELF, deep(3)], "": {"_cls": "Customer", "_id": 1}, "$set": "$stripe"}
    for kind, model in kinds().items():
        if not (model.resource.path or model.resource.mirrored):
            continue
        names = [name for name, field in model.own_fields().items() if type(field) is Plain]
        lists = {name: [{"_cls": "Customer", **free}] for name in names}
        remote = {"id": f"xx_{kind}", "object": kind, "created": T, "metadata": free, "unheard_of": [free], **lists}
        document = adopted(model, remote)
        other = adopted(model, {**remote, "id": f"yy_{kind}", "metadata": {}, "unheard_of": None})

        assert document.stripe == remote, kind
        told = json.loads(event(f"{kind}.updated", remote, T + 1))
        assert document.is_as(from_event(model, told)), kind
        page = world.http.get(f"/{model._get_collection_name().replace('_', '-')}?expand=stripe")
        assert page.status_code == 200, kind
        assert [shown["stripe"] for shown in page.json["data"]] == [other.stripe, remote], kind


def test_what_is_compared_and_printed_is_what_stripe_has(world: World, run: Run) -> None:
    free = every_name()
    world.stripe.insert("customer", id="cus_1AnyNameA", name="Ann", metadata=free)
    world.advance(hours=1)
    backfill(["customers"], patience=Throttle(1000.0, pause=lambda seconds: None))
    world.stripe.dashboard.update("customer", "cus_1AnyNameA", phone="555")
    (raw,) = world.webhooks()
    assert world.deliver([raw]) == ["applied"]

    kept = Customer.by_stripe_id("cus_1AnyNameA")
    assert kept.stripe["metadata"] == free
    assert world.http.get(f"/customers/{kept.id}?expand=stripe").json["stripe"] == kept.stripe
    world.advance(hours=1)
    assert world.reconcile(full=True).counts["drift"] == 0
    code, told = run("events show --raw", json.loads(raw)["id"])
    assert (code, told["raw"]["data"]["object"]["metadata"]) == (0, free)
