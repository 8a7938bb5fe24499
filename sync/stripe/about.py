"""Checks that a reply answers our request: a shared connection, a proxy or a cache may deliver another request's.

Each public function returns a check. A check takes the object, and returns the name of what differs, without values, or
None. Stripe's own formatting must not count as a difference: texts are compared without case and blanks, rounded
numbers approximately, and what Stripe rewrites not at all.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import unquote

from stripe_mongo_sync.models import SyncedDocument, kinds
from stripe_mongo_sync.models.base.resource import is_deleted, shortened
from stripe_mongo_sync.models.params.ours import REFERENCES
from stripe_mongo_sync.models.params.table import Shape, table
from stripe_mongo_sync.models.rows.sure import sure

NOTHING = Shape()
Json = dict[str, Any]
About = Callable[[Json], str | None]

ACCOUNT = "/v1/account"  # the account of our key
NAMED = re.compile(r"No such [^:']{1,60}: '([^']+)'")  # how Stripe names an object that it does not find
ADDRESS = re.compile(r"https?://", re.IGNORECASE)  # Stripe may escape a URL in another way
ROUNDED = Decimal("0.01")  # Stripe keeps percentages with at least this precision


def an(kind: str, **fields: Any) -> About:
    """Check that it is an object of that kind, with these fields."""
    return lambda remote: (
        "another kind of object"
        if remote.get("object") != kind
        else next((f"another {name}" for name, value in fields.items() if remote.get(name) != value), None)
    )


def a_page(path: str) -> About:
    """Check that it is a page of the list at this path: with the list's URL, and only objects of its kind."""
    asked = _ends(path)
    kind = next((kind for kind, model in kinds().items() if model.resource.path == path), None)

    def wrong(remote: Json) -> str | None:
        if not isinstance(data := remote.get("data"), list):
            return "no list"
        told = remote.get("url")
        elsewhere = isinstance(told, str) and told.startswith("/") and not asked & _ends(told)
        shown = {each.get("object", kind) for each in data if isinstance(each, dict)}
        return "another list" if elsewhere or (kind is not None and shown - {kind}) else None

    return wrong


def _ends(path: str) -> set[str]:
    """Return the first and the last part of a list's path, which together identify the list."""
    parts = [part for part in path.partition("?")[0].split("/") if part]
    return {parts[1], parts[-1]} if len(parts) > 1 else set(parts)


def of_id(stripe_id: str) -> About:
    """Check that it is the object with that id, or its stub."""
    return lambda remote: None if remote.get("id") == stripe_id else "another id"


def at(path: str) -> About:
    """Check that it is the object at this path. The last part is its id, except for our own account."""
    return an("account") if path == ACCOUNT else of_id(unquote(path.rpartition("/")[2]))


def of_operation(document: SyncedDocument) -> About:
    """Check that it is the result of a document's operation: its object, or for a creation, one as it was sent."""
    if document.stripe_id is not None:
        return of_id(document.stripe_id)
    return lambda remote: _made_otherwise(document, remote)


def is_of_another(headers: Mapping[str, str] | None, key: str | None) -> bool:
    """Whether an answer belongs to another key: Stripe returns the key of each POST in a header."""
    told = (headers or {}).get("Idempotency-Key")
    return key is not None and bool(told) and key not in str(told)


def misses_another(message: Any, path: str, params: Json) -> bool:
    """Whether the refusal of a read or a deletion names an object as missing that this request did not name."""
    named = NAMED.search(message) if isinstance(message, str) else None
    return named is not None and named[1] not in f"{unquote(path)} {params}"


# --- what a creation makes ---


def _made_otherwise(document: SyncedDocument, remote: Json) -> str | None:
    model, kind = type(document), document.resource.kind
    if not isinstance(remote.get("id"), str) or remote.get("object", kind) != kind:
        return "another kind of object"
    if is_deleted(remote):
        return None
    sent, cut = model.resource.sent(sure(document.operation)), shortened(remote)
    shown = model.in_request_shape(remote)
    if sent.get("id", remote["id"]) != remote["id"]:
        return "another id"
    taken = model.resource.takes("create")
    for name, field in model.own_fields().items():
        if name in cut:  # the rest is not shown
            continue
        told = shown.get(getattr(field, "stripe_name", name))
        given, shape = sent.get(name), taken.get(name, NOTHING)
        if given in (None, "", []):
            wrong = getattr(field, "unfilled", False) and told not in (None, "")
        elif told is None:
            wrong = _is_text(name, shape) and bool(given.strip())
        else:
            wrong = not _as(name, shape, given, told)
        if wrong:
            return f"another {name}"
    return None


def _is_text(name: str, shape: Shape) -> bool:
    """Whether Stripe shows this text as it was sent. It does not for its own words, nor for payment methods, because a
    test card creates a new one.
    """
    return shape.plain == {"string"} and not shape.words and REFERENCES.get(name) != "payment_method"


def _as(name: str, shape: Shape, given: Any, told: Any) -> bool:
    """Whether `told` may be how Stripe shows what was `given`."""
    if isinstance(given, list) and isinstance(told, list) and shape.items is not None and shape.items.fields:
        inner = shape.items
        return all(any(_as(name, inner, one, other) for other in told) for one in given)
    if isinstance(given, dict) and isinstance(told, dict) and shape.fields is not None:
        fields = table(shape.fields)
        return all(told.get(each) is None or _as(each, fields[each], one, told[each]) for each, one in given.items())
    if isinstance(given, int | float) or "decimal" in shape.plain or (_is_text(name, shape) and isinstance(given, str)):
        return _same(given, told["id"] if isinstance(told, dict) and "id" in told else told)
    return True


def _same(given: Any, told: Any) -> bool:
    if given == told or (isinstance(given, str) and ADDRESS.match(given)):
        return True  # compared first, because normalising a long text is slow
    with suppress(InvalidOperation):
        one, other = Decimal(str(given)), Decimal(str(told))
        if one.is_finite() and other.is_finite():
            return one == other or (isinstance(given, float) and abs(one - other) <= ROUNDED)
    return not isinstance(told, str | int | float) or _plain(given) == _plain(told)


def _plain(value: Any) -> str:
    return "".join(unicodedata.normalize("NFKC", str(value)).casefold().split())
