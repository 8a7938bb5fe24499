"""A good body of every kind, made from nothing: what generated tests create, change and delete."""

from typing import Any

import sync
from models import SyncedDocument, kinds

NO_REDIRECTS = {"enabled": True, "allow_redirects": "never"}
CHANGES: dict[str, dict[str, Any]] = {
    "customer": {"name": "Another Name", "phone": None},
    "product": {"name": "Another Product"},
    "price": {"nickname": "another"},
    "coupon": {"name": "Another Coupon"},
    "promotion_code": {"active": False},
    "tax_rate": {"display_name": "Another Tax"},
    "shipping_rate": {"active": False},
    "setup_intent": {"description": "another"},
    "payment_intent": {"description": "another"},
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
        case "tax_rate":
            return {"display_name": "VAT", "percentage": 19, "inclusive": True, "description": f"for {name}"}
        case "shipping_rate":
            return {
                "display_name": f"Mail {name}",
                "type": "fixed_amount",
                "fixed_amount": {"amount": 490, "currency": "eur"},
            }
        case "setup_intent":
            return {"description": f"a card of {name}", "automatic_payment_methods": NO_REDIRECTS}
        case "payment_intent":
            return {
                "amount": 2000,
                "currency": "eur",
                "description": f"of {name}",
                "automatic_payment_methods": NO_REDIRECTS,
            }
        case "refund":
            paid = {**body("payment_intent", name), "payment_method": "pm_card_visa", "confirm": True}
            return {"payment_intent": str(sync.create(kinds()["payment_intent"], paid)[0].id), "amount": 500}
    raise AssertionError(f"no sample of {kind}: add one")


def create(kind: str, name: str = "sample") -> SyncedDocument:
    """Create a sample on both sides."""
    return sync.create(kinds()[kind], body(kind, name))[0]
