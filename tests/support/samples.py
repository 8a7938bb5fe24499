"""A good body of every kind, made from nothing: what generated tests create, change and delete."""

from typing import Any

import sync
from models import SyncedDocument, kinds

CHANGES: dict[str, dict[str, Any]] = {
    "customer": {"name": "Another Name", "phone": None},
    "product": {"name": "Another Product"},
    "price": {"nickname": "another"},
    "coupon": {"name": "Another Coupon"},
    "promotion_code": {"active": False},
}


def body(kind: str, name: str = "sample") -> dict[str, Any]:
    """Return what creates a document of that kind; what it refers to is created first."""
    match kind:
        case "customer":
            return {"username": f"{name}@here.com", "name": "A Name", "phone": "+49 30 1234", "address": {"city": "B"}}
        case "product":
            return {"name": f"Product {name}", "description": "it is good"}
        case "price":
            return {"product": str(create("product", name).id), "currency": "eur", "unit_amount": 990}
        case "coupon":
            return {"percent_off": 12.5, "duration": "once", "name": f"Coupon {name}"}
        case "promotion_code":
            return {"promotion": {"type": "coupon", "coupon": str(create("coupon", name).id)}, "code": f"GO-{name}"}
    raise AssertionError(f"no sample of {kind}: add one")


def create(kind: str, name: str = "sample") -> SyncedDocument:
    """Create a sample on both sides."""
    return sync.create(kinds()[kind], body(kind, name))[0]
