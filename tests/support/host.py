"""A host: a program with MongoEngine documents of its own, which have all the names of ours. Run by test_hosts.py.

`python -m tests.support.host first|last`: whether its documents are there before ours. It is told the names by stdin,
says what became of both sides, as JSON, and nothing else.
"""

import json
import os
import sys
from typing import Any
from uuid import UUID

import mongoengine
from mongoengine import (
    Document,
    EmbeddedDocument,
    EmbeddedDocumentField,
    GenericEmbeddedDocumentField,
    GenericReferenceField,
    ReferenceField,
    StringField,
    UUIDField,
)
from mongoengine.base import get_document

NUMBER = UUID("01234567-89ab-cdef-0123-456789abcdef")
Class = type[Any]


def documents(names: list[str]) -> dict[str, Class]:
    """Make a document of each of these names."""
    own = {"__module__": "shop", "text": StringField(), "number": UUIDField(), "like": GenericReferenceField()}
    return {name: type(Document)(name, (Document,), dict(own) | {"other": ReferenceField(name)}) for name in names}


def parts(names: list[str]) -> dict[str, Class]:
    """Make an embedded document of each of these names."""
    base = type(EmbeddedDocument)
    return {name: base(name, (EmbeddedDocument,), {"__module__": "shop", "text": StringField()}) for name in names}


def heirs() -> Class:
    """Make a document that MongoEngine registers as `Heir.Charge`, and finds by `Charge`, too."""
    heir = type(Document)("Heir", (Document,), {"__module__": "shop", "meta": {"allow_inheritance": True}})
    return type(heir)("Source", (heir,), {"__module__": "shop", "meta": {}})


def connect_host() -> None:
    """What a shop does: its one connection is the default."""
    mongoengine.connect(host=os.environ["MONGODB_URI"], uuidRepresentation="pythonLegacy")


def uses(whole: dict[str, Class], embedded: dict[str, Class]) -> list[str]:
    """Look up all of the host's classes by their names, and write and read some; return what went wrong."""
    wrong = [name for name, model in {**whole, **embedded}.items() if get_document(name) is not model]
    wrong += [name for name, model in whole.items() if model.other.document_type is not model]
    for name in ("Customer", "Order", "Event", "State", "Charge"):
        model = whole[name]
        first = model(text="a", number=NUMBER).save()
        model(text="b", other=first, like=first).save()
        read = model.objects(text="b").get()
        if {type(read.other), type(read.like)} != {model} or read.other.number != NUMBER:
            wrong.append(f"{name} is read as {type(read.other)}, {type(read.like)}")
        model.objects.delete()
    return wrong


def holds(embedded: dict[str, Class]) -> bool:
    """Store parts by name and by whatever they are, and read them again."""
    fields = {"one": EmbeddedDocumentField("Address"), "any": GenericEmbeddedDocumentField()}
    own = {"__module__": "shop", **fields}
    model = type(Document)("Drawer", (Document,), own)
    model(one=embedded["Address"](text="a"), any=embedded["Operation"](text="b")).save()
    read = model.objects.get()
    model.objects.delete()
    return [type(read.one), type(read.any)] == [embedded["Address"], embedded["Operation"]]


def main(when: str) -> dict[str, Any]:
    told = json.load(sys.stdin)
    before: tuple[Any, ...] = ()
    if when == "first":
        before = documents(told["documents"]), parts(told["parts"]), heirs()
        connect_host()
    import stripe_mongo_sync as ours
    from stripe_mongo_sync import models
    from stripe_mongo_sync.emulator import Emulator
    from stripe_mongo_sync.sync.settings import Settings

    settings = Settings("sk_test_x", mongodb_uri=os.environ["MONGODB_URI"], collection_prefix="billing_")
    stripe = Emulator().transport()
    if when == "last":
        ours.connect(settings, http_client=stripe)
        before = documents(told["documents"]), parts(told["parts"]), heirs()
        connect_host()
    else:
        ours.connect(settings, http_client=stripe)
    whole, embedded, heir = before
    said = {"host": uses(whole, embedded), "parts": holds(embedded), "heir": get_document("Heir.Source") is heir}
    customer = ours.create_customer("user@here.com", address={"city": "Bonn"})
    OnProgress = type(Document)("Note", (Document,), {"__module__": "shop", "of": GenericReferenceField()})
    OnProgress(of=customer).save()
    said["ours"] = [type(customer) is models.Customer, type(customer.address) is models.customer.Address]
    said["of ours"] = OnProgress.objects.get().of == customer
    OnProgress.objects.delete()
    mongoengine.disconnect_all()
    said["after"] = [ours.create_customer("other@here.com").status, models.Customer.objects.count()]
    connect_host()
    said["host"] += uses(whole, embedded)
    ours.disconnect()
    said["host"] += uses(whole, embedded)
    said["aliases"] = sorted(mongoengine.connection._connections)
    mongoengine.disconnect_all()
    return said


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
