"""What Stripe makes of an object whenever it shows it: long lists are cut, and some addresses rendered anew, each time.

Sources: recorded answers of the API (onetimesecret/onetimesecret) show one charge read twice within a second with two
receipt_urls, and the second of the rendering at the end of a hosted_invoice_url.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stripe_mongo_sync.emulator.protocol.wire import Json

LINKS = {
    "invoice": ("hosted_invoice_url", "invoice_pdf"),
    "charge": ("receipt_url",),
    "credit_note": ("pdf",),
}


SHOWN = 10  # of a list within an object; it is read on at its own address


def cut(value: Any, *, within: bool = False) -> Any:
    """What Stripe shows: of each list within an object, the first ten and `has_more`."""
    if isinstance(value, list):
        return [cut(each, within=True) for each in value]
    if not isinstance(value, dict):
        return value
    shown = {name: cut(each, within=True) for name, each in value.items()}
    if within and shown.get("object") == "list" and len(shown["data"]) > SHOWN:
        shown |= {"data": shown["data"][:SHOWN], "has_more": True}
    return shown


def rendered(told: Any, count: Iterator[int]) -> Any:
    """The same, with the addresses of everything in it rendered anew."""
    if isinstance(told, list):
        return [rendered(each, count) for each in told]
    if not isinstance(told, dict):
        return told
    shown: Json = {name: rendered(value, count) for name, value in told.items()}
    for name in LINKS.get(str(shown.get("object")), ()):
        if shown.get(name):
            shown[name] = f"{shown[name]}?s={next(count):08d}"
    return shown
