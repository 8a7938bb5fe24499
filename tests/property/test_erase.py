"""Erase leaves no trace: whatever text stands in whatever field of whatever kind, no byte of it is left."""

import json
from typing import Any

from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from hypothesis import given, settings
from hypothesis import strategies as st
from mongoengine import EmbeddedDocumentField, IntField, ListField, StringField
from mongoengine.base import BaseField

from stripe_mongo_sync.models import Customer, Delivery, Event, SyncedDocument, UsageRecord, kinds, stored_things
from stripe_mongo_sync.models.base.birth import DEFAULTS, SYNC_FIELDS
from stripe_mongo_sync.models.event_body import without_content
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.scrub import ENUM_FIELDS, OURS, scrub_row
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.personal.export import export
from tests.support.mongo import our_database
from tests.support.world import World

Json = dict[str, Any]
MARK = "zq7x"  # in every text that is planted; no id, digest or word has it
CUSTOMER = "cus_9hdaGZ7xMarker1"
NAMES = (
    *("name", "email", "phone", "line1", "postal_code", "country", "last4", "fingerprint", "iban", "description"),
    *("receipt_url", "client_secret", "ip", "user_agent", "statement_descriptor", "message", "value", "customer_name"),
    *("number", "receipt_number", "unit_amount_decimal", "id", "customer_email", "hosted_invoice_url", "code", "x"),
    *sorted(ENUM_FIELDS)[:12],
)
FORMS = (
    *("{}@quux.example", "Ms {} Quux", "+44 {}", "https://pay.example/{}?a=b", "{}", "{}-0001", "pi_{}_secret_{}"),
    *("cus_{}!", "plain{}", "{}.pdf", "ü{}", "203.0.113.{}", "<b>{}</b>", "$stripe_id.{}", "sms1:a:customer:b:{}"),
)
TEXTS = st.builds(lambda form, number: form.replace("{}", f"{MARK}{number}"), st.sampled_from(FORMS), st.integers(0))
UNWORDLY = TEXTS.filter(lambda text: not text.isascii() or any(c in text for c in " @/+<$:"))
LEAVES = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False)


def named(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return UNWORDLY if name in ENUM_FIELDS | OURS else values


TREES: st.SearchStrategy[Any] = st.recursive(
    TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.sampled_from(NAMES).flatmap(lambda name: st.fixed_dictionaries({name: named(name, inner), "n": LEAVES}))
        | st.dictionaries(TEXTS, inner, max_size=2).map(lambda values: {"metadata": values})
    ),
    max_leaves=6,
)
PARTS = st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), named(name, TEXTS | TREES)))
OBJECTS = st.lists(PARTS, min_size=1, max_size=6).map(dict)


def filled(fields: dict[str, BaseField], text: str, word: str) -> Json:
    """Every field of a model, filled as its type allows."""
    return {name: _value(name, field, text, word) for name, field in fields.items() if name not in SYNC_FIELDS}


def _value(name: str, field: BaseField | None, text: str, word: str) -> Any:
    match field:
        case EmbeddedDocumentField():
            return filled(dict(field.document_type._fields), text, word)
        case ListField():
            return [_value(name, field.field, text, word)]
        case StringField():
            return word if name in ENUM_FIELDS | OURS else text
        case IntField():
            return 7
    return None


def plant(text: str, word: str, remote: Json) -> ObjectId:
    """A document, an event and a delivery of every kind, all about one customer; return the customer's document."""
    at, customer = clock.now(), ObjectId()
    born = {
        **DEFAULTS,
        "created_at": at,
        "updated_at": at,
        "revision": 1,
        "is_current": False,
        "status": "deleted",
        "creation_key": "k",
    }
    events, deliveries = [], []
    for number, (kind, model) in enumerate(kinds().items()):
        own = CUSTOMER if model is Customer else f"xx_{number}PlantedA"
        there = {**remote, "id": own, "object": kind, "customer": CUSTOMER}
        row = {**born, **row_of(model, text, word, there), "_id": customer if model is Customer else ObjectId()}
        row |= {"stripe_id": own, "creation_key": f"k{number}"}
        if number % 2:
            row |= {"status": "rolled_back", "operation": {"verb": "create", "params": there, "prerequisites": [there]}}
        model._get_collection().insert_one(row)
        raw = event_of(kind, there, text)
        about = {"type": f"{kind}.updated", "object_id": own, "raw": raw, "reason": text, "attempts": 1}
        state = {"state": ("applied", "dead", "ignored")[number % 3], "received_at": at, "due_at": None}
        events.append({"_id": f"evt_{number}", **about, **state})
        told = {"event_body": raw, "state": "done"} if number % 2 else {"document": row["_id"], "state": "dead"}
        deliveries.append({"_id": f"{number}:hook", "reason": text, "attempts": 1, "due_at": None, **told})
    used = {
        "attempts": 1,
        "customer": customer,
        "owners": [CUSTOMER],
        "meter": "m",
        "value": "7",
        "state": "refused",
        "reason": text,
    }
    request = {"caller": "t", "route": "r", "key": text, "digest": "d"}
    UsageRecord._get_collection().insert_one(
        {"_id": ObjectId(), **used, "payload": {"who": CUSTOMER}, "request": request}
    )
    Event._get_collection().insert_many(events[::4])
    Delivery._get_collection().insert_many(deliveries[::5])
    return customer


def row_of(model: type[SyncedDocument], text: str, word: str, there: Json) -> Json:
    """A document whose every text is planted."""
    problem = {"type": word, "code": word, "decline_code": word, "message": text, "key": "k"}
    request = {"caller": "t", "route": "r", "key": text, "digest": "d"}
    own = filled(dict(model._fields), text, word)
    return {
        **own,
        "stripe": there,
        "unheard_of": text,
        "error": problem,
        "review_reason": f"it is {text}",
        "request": request,
    }


def event_of(kind: str, there: Json, text: str) -> bytes:
    """An event that shows all of it, with a key that somebody else chose."""
    told = {"id": "evt_1", "type": f"{kind}.updated", "account": text, "request": {"idempotency_key": text}}
    return json.dumps({**told, "data": {"object": there, "previous_attributes": there}, text: text}).encode()


def leaks() -> list[tuple[str, str]]:
    """The rows of which some byte is part of a planted text: their collections, and their ids."""
    raw = CodecOptions(RawBSONDocument)
    return [
        (name, str(row["_id"]))
        for name in our_database().list_collection_names()
        for row in our_database()[name].with_options(codec_options=raw).find()
        if MARK.encode() in bytes(row.raw)
    ]


@settings(max_examples=100)
@given(kind=st.sampled_from(sorted(kinds())), text=TEXTS, word=UNWORDLY, remote=OBJECTS)
def test_nothing_that_is_kept_has_any_text(kind: str, text: str, word: str, remote: Json) -> None:
    row = row_of(kinds()[kind], text, word, remote)
    told = json.loads(event_of(kind, {**remote, "id": "xx_1", "object": kind}, text))

    left = scrub_row(row, SYNC_FIELDS)

    assert row.keys() - left.keys() <= SYNC_FIELDS, "what is not named in an update stays as it was"
    assert MARK not in json.dumps(left, ensure_ascii=False)
    assert MARK not in without_content(told).decode()
    assert scrub_row(left, SYNC_FIELDS) == left, "twice is once"


def test_each_row_with_a_text_is_exported_and_no_byte_of_it_is_left_after_an_erasure(world: World) -> None:
    text = f"Ms {MARK} Quux"
    address = {"line1": text, "metadata": {text: text, "plain": f"{MARK}plain"}}
    customer = plant(
        text, text, {"name": text, "receipt_url": text, "list": [text, address, [text]], "address": address}
    )
    planted = leaks()
    assert len(planted) > len(kinds())
    assert {name for name, _ in planted} == {thing.plural() for thing in stored_things()} - {"erasures", "sync_state"}

    told = export(str(customer))
    assert {(name, row["id"]) for name, rows in told["kept"].items() for row in rows if MARK in json.dumps(row)} == {
        *planted
    }

    done = erase(str(customer))

    assert done.waiting_for == []
    assert leaks() == []
