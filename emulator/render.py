"""What Stripe makes of an object whenever it shows it: some addresses are rendered anew, each time.

Sources: recorded answers of the API (onetimesecret/onetimesecret) show one charge read twice within a second with two
receipt_urls, and the second of the rendering at the end of a hosted_invoice_url.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emulator.wire import Json

LINKS = {
    "invoice": ("hosted_invoice_url", "invoice_pdf"),
    "charge": ("receipt_url",),
    "credit_note": ("pdf",),
}


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
