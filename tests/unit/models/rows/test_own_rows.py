"""MongoEngine's ways to write are closed on each row of ours, those of later versions too. What `repr` tells of one."""

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from mongoengine import Document, DynamicDocument, EmbeddedDocument, QuerySet
from mongoengine.queryset import QuerySetNoCache

from stripe_mongo_sync import ReadOnly
from stripe_mongo_sync.models import Customer, Delivery, Erasure, Event, State, kinds
from stripe_mongo_sync.models.rows.own_rows import OwnQuerySet, OwnRows, OwnUncachedQuerySet

MODELS: list[type[OwnRows]] = [*kinds().values(), Event, Delivery, Erasure, State]
OF_DOCUMENTS = """
    STRICT clean compare_indexes from_json get_text_score list_indexes my_metaclass pk register_delete_rule reload
    select_related switch_collection switch_db to_dbref to_json to_mongo validate
"""
OF_QUERIES = """
    aggregate all all_fields allow_disk_use as_pymongo average batch_size cache clear_cls_query clone collation comment
    count distinct exclude explain fields filter first from_json get hint in_bulk item_frequencies limit max_time_ms
    no_cache no_dereference no_sub_classes none only order_by read_concern read_preference rewind scalar search_text
    select_related skip snapshot sum timeout to_json using values_list where with_id
"""


def public(*classes: type) -> set[str]:
    return {name for each in classes for name in dir(each) if not name.startswith("_")}


WRITERS = sorted(public(Document, DynamicDocument) - set(OF_DOCUMENTS.split()))
QUERY_WRITERS = sorted(public(QuerySet, QuerySetNoCache) - set(OF_QUERIES.split()))
FULL: dict[str, Any] = {"status": "active", "stripe_id": "cus_1GeteiltA7", "username": "ann@here.com"}


def raises(write: Callable[..., Any], *given: Any) -> None:
    with pytest.raises(ReadOnly, match="`update`"):
        write(*given)


def test_mongoengine_writes_by_these_ways() -> None:
    """A new one is in neither list of readers: it counts as a writer, and fails below until it is closed."""
    assert {"save", "delete", "update", "modify", "cascade_save", "drop_collection"} <= set(WRITERS)
    assert {"insert", "create", "update", "update_one", "upsert_one", "modify", "delete"} <= set(QUERY_WRITERS)
    assert not {"save", "update", "delete", "modify", "insert"} & public(EmbeddedDocument)


def test_no_way_to_write_is_open() -> None:
    for model in MODELS:
        document = model()
        for way in WRITERS:
            raises(getattr(document, way))
            raises(getattr(model, way), document)
        for queries in (OwnQuerySet, OwnUncachedQuerySet):
            asked = queries.__new__(queries)
            asked._document = model
            for way in QUERY_WRITERS:
                raises(getattr(asked, way), document)
            for stage in ({"$out": "customers"}, {"$merge": "customers"}):
                raises(asked.aggregate, [{"$match": {}}, stage])
                raises(asked.aggregate, stage)


def test_a_repr_tells_which_document_it_is_and_nothing_that_is_secret() -> None:
    for kind, model in kinds().items():
        document = model(id=ObjectId(), **{name: value for name, value in FULL.items() if name in model._fields})
        for name, field in model._fields.items():
            if name not in (*FULL, "id") and type(field).__name__ in ("StringField", "Email", "Json"):
                document._data[name] = "Zenobia whsec_x"  # as MongoDB may have it: nothing is validated that is read

        told = repr(document)

        object = "" if kind == "order" else " stripe_id='cus_1GeteiltA7'"
        assert told == f"<{kind} {document.id} status='active'{object}>"
        assert told == f"<{document}>"


def test_the_id_of_a_customer_is_told_where_it_is_no_name() -> None:
    assert "stripe_id='cus_NffrFeUfNV2Hib'" in repr(Customer(stripe_id="cus_NffrFeUfNV2Hib"))
    assert "zenobia" not in repr(Customer(stripe_id="zenobia@here.com"))


def test_a_repr_is_one_line_whatever_is_stored() -> None:
    assert "\n" not in repr(Customer(username="a\nb", status="\x1b[31m")) + repr(Event(id="evt_1", type="a\nb"))


def test_the_other_rows_tell_what_they_are() -> None:
    rows = [
        Event(id="evt_1", type="charge.failed", state="dead", raw=b"Zenobia"),
        Delivery(id="n1:hook", state="done", event_body=b"Zenobia", reason="Zenobia"),
        State(id="checkpoint", value={"a": "secret"}),
        Erasure(id=ObjectId("6" * 24), stripe_ids=["zenobia@here.com"]),
    ]

    assert [repr(row) for row in rows] == [
        "<event evt_1 type='charge.failed' state='dead'>",
        "<delivery n1:hook state='done'>",
        "<state checkpoint>",
        f"<erasure {'6' * 24}>",
    ]
