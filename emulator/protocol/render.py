"""Renders objects for a reply: cuts the lists within them, and renders some links anew each time.

Source: recorded answers of the API (onetimesecret/onetimesecret on GitHub). A charge that was read twice within a
second has two receipt_urls, and a hosted_invoice_url ends with the second in which it was rendered.
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


SHOWN = 10  # elements of a list within an object; the rest is read at the list's url


def cut(value: Any, *, within: bool = False) -> Any:
    """Return the value with at most ten elements in each list within an object, and `has_more`."""
    if isinstance(value, list):
        return [cut(each, within=True) for each in value]
    if not isinstance(value, dict):
        return value
    shown = {name: cut(each, within=True) for name, each in value.items()}
    if within and shown.get("object") == "list" and len(shown["data"]) > SHOWN:
        shown |= {"data": shown["data"][:SHOWN], "has_more": True}
    return shown


def rendered(value: Any, count: Iterator[int]) -> Any:
    """Return the value with all links in it rendered anew."""
    if isinstance(value, list):
        return [rendered(each, count) for each in value]
    if not isinstance(value, dict):
        return value
    shown: Json = {name: rendered(each, count) for name, each in value.items()}
    for name in LINKS.get(str(shown.get("object")), ()):
        if shown.get(name):
            shown[name] = f"{shown[name]}?s={next(count):08d}"
    return shown
