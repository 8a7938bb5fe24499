"""The page of the data model: pictures of the collections, drawn from the registry, and tables of their fields.

A picture is Mermaid's `erDiagram`. Of a type of Stripe's, it has the references, and what lists are filtered by.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from mongoengine import EmbeddedDocumentField, ListField, ObjectIdField
from mongoengine.base import BaseField

from stripe_mongo_sync.models import (
    Delivery,
    Erasure,
    Event,
    OwnRows,
    State,
    SyncedDocument,
    UsageRecord,
    created_kinds,
    kinds,
)
from stripe_mongo_sync.models.base.lifecycle import StagedDocument
from stripe_mongo_sync.models.params.ours import reference
from tests.support.pages.tables import MADE, code, table
from tests.support.rooms import PACKAGE

Model = type[OwnRows]
Fields = Mapping[str, BaseField]  # by their paths
ENGINES: Sequence[Model] = (Event, Delivery, UsageRecord, Erasure, State)
TYPES = {"ObjectId": "id", "DateTime": "date", "Binary": "bytes", "Json": "object", "Dict": "object", "Email": "string"}
TYPES |= {"EmbeddedDocument": "object", "EmbeddedDocumentList": "list", "Plain": "list"}
PICTURES = {  # one of all types would be too wide to read
    "What is sold": "product price billing.meter coupon promotion_code tax_rate shipping_rate",
    "Who pays, and how": "customer payment_method setup_intent order checkout.session payment_link payment_intent "
    "refund",
    "What is billed": "subscription subscription_schedule quote invoice invoiceitem credit_note "
    "customer_balance_transaction billing.credit_grant",
}
BY_ID: Mapping[str, tuple[str, ...]] = {  # the kinds to whose documents' own ids a field refers
    "orders.payment_id": ("checkout.session", "payment_intent"),
    "usage_records.customer": ("customer",),
    "stripe_events.waits_for": (),  # of any kind
    "hook_deliveries.document": (),
}
MEANING = re.compile(r"^    (\w+): .*?\)  # (.+)$", re.MULTILINE)


def page() -> str:
    """Return the page."""
    made: list[Model] = [*created_kinds().values()]
    own = ((code([model.plural()]), code(fields(model))) for model in made)
    every = keys(SyncedDocument)
    more = ((code([model.plural()]), key) for model in (*made, *ENGINES) for key in keys(model) if key not in every)
    return f"""# The data model

{MADE} Each [type](TYPES.md) has a collection. The `_id` of a document is ours; its
`stripe_id` is the id of its object at Stripe. Documents name each other by Stripe's ids, as Stripe's objects do.
MongoDB enforces no reference: a document can name an object that has no document yet.

The pictures show the types that are created here, each with its unique keys, its references, and the fields by which
its lists are filtered. A box without fields is in another picture, or is a copy.

{"".join(_pictures())}## What the engine has

{drawing(ENGINES, fields)}
- `stripe_events` is the inbox: a row for each event.
- `hook_deliveries` has a row for each notice and hook.
- `usage_records` has what customers used, until Stripe's meters have it, and after.
- `erasures` has the ids of erased persons.
- `sync_state` has values under fixed names: the installation, its Stripe account, the checkpoint, and others.

## What every document has

{table(("field", "type", "meaning"), _every())}
An order has no object at Stripe, and so none of the fields from `stripe_id` on.

## What each type has

{table(("collection", "fields of its own"), own)}
A [mirrored type](TYPES.md#mirrored) has none: its object is in `stripe`.

## Unique keys

Of each created type: {"; ".join(every)}. A mirrored type has one document for each `stripe_id`. Others have more:

{table(("collection", "key"), more)}"""


# --- fields and keys ---


def fields(model: Model) -> Fields:
    """Return the fields of a model, without those that every document has."""
    above = SyncedDocument._fields if issubclass(model, StagedDocument) else {}
    return {field.db_field: field for name, field in model._fields.items() if name not in above}


def paths(inside: Fields, above: str = "") -> Iterator[tuple[str, BaseField]]:
    """Yield each of these fields with its path, and those inside of them."""
    for name, field in inside.items():
        part = getattr(field, "field", None) or field
        if isinstance(part, EmbeddedDocumentField):
            yield from paths(part.document_type._fields, f"{above}{name}.")
        else:
            yield f"{above}{name}", field


def targets(model: Model, path: str, field: BaseField) -> tuple[str, ...]:
    """Return the kinds to which a field refers. Raises KeyError for the id of a document that `BY_ID` does not name."""
    if isinstance(field, ObjectIdField):
        return () if path == "_id" else BY_ID[f"{model.plural()}.{path}"]
    if not issubclass(model, StagedDocument):
        return ()
    name, known = path.rpartition(".")[2], {kind.replace(".", "_"): kind for kind in kinds()}
    kind = reference(model.resource.kind, path) or known.get(name) or known.get(name.partition("_")[2])
    return (kind,) if kind else ()


def shown(model: Model) -> Fields:
    """Return the fields of a type that are in the picture."""
    ids = {field.db_field: field for name, field in model._fields.items() if name in ("id", "stripe_id")}
    filters = model.filters().fields.values() if issubclass(model, StagedDocument) else ()
    named = {*filters, *_unique(model)}
    return ids | {path: field for path, field in paths(fields(model)) if path in named or targets(model, path, field)}


def keys(model: Model) -> list[str]:
    """Return the unique keys of a collection, each as code."""
    return [code(key).replace("`, `", "` with `") for key in _keys(model)]


def _keys(model: Model) -> list[list[str]]:
    return [[*index.document["key"]] for index in model.indexes if index.document.get("unique")]


def _unique(model: Model) -> set[str]:
    return {name for name, *_ in _keys(model)}


def _every() -> Iterator[tuple[str, str, str]]:
    classes = [each for each in SyncedDocument.__mro__ if each.__module__.startswith(PACKAGE)]
    told = dict(found for each in classes for found in MEANING.findall(inspect.getsource(each)))
    for name, field in {"id": SyncedDocument.id, **SyncedDocument._fields}.items():
        yield code([field.db_field]), _type(field), told.get(name, "")


# --- the picture ---


def _pictures() -> Iterator[str]:
    left = dict(created_kinds())
    for title, names in PICTURES.items():
        yield f"## {title}\n\n{drawing([left.pop(kind) for kind in names.split()], shown)}\n"
    if left:
        yield f"## Other types\n\n{drawing([*left.values()], shown)}\n"


def drawing(models: Sequence[Model], of: Callable[[Model], Fields]) -> str:
    """Return a picture of these models, each with the fields that `of` returns."""
    boxes, arrows = [], []
    for model in models:
        boxes.append(f"    {model.plural()} {{")
        for path, field in of(model).items():
            kinds_there = targets(model, path, field)
            mark = " PK" if path == "_id" else " UK" if path in _unique(model) else " FK" if kinds_there else ""
            inside = f' "{path}"' if "." in path else ""
            boxes.append(f"        {_type(field)} {path.rpartition('.')[2]}{mark}{inside}")
            many = "}o" if _is_many(model, path) else "|o"
            there = [kinds()[kind].plural() for kind in kinds_there]
            arrows += [f'    {to} {many}--o{{ {model.plural()} : "{path}"' for to in there]
        boxes.append("    }")
    return "\n".join(["```mermaid", "erDiagram", *boxes, *arrows, "```\n"])


def _type(field: BaseField) -> str:
    name = type(field).__name__.removesuffix("Field")
    return TYPES.get(name, name.lower())


def _is_many(model: Model, path: str) -> bool:
    """Whether a document has several values at a path: there is a list on the way."""
    names = path.split(".")
    inside: Fields = fields(model)
    for name in names:
        field = inside.get(name)
        if isinstance(field, ListField):
            return True
        inside = field.document_type._fields if isinstance(field, EmbeddedDocumentField) else {}
    return False
