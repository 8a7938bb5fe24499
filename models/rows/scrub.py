"""Scrub: removes personal data from a row, and returns what may stay.

The tables list what may stay, so that an unknown field is removed. These stay: Stripe's ids, numbers, booleans, and
Stripe's enum values under the names in `ENUM_FIELDS`. All other text becomes null, whatever its name.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from stripe_mongo_sync.models.rows.content import digest


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


ERASED = "erased"  # replaces a text that must not be null

# Names under which Stripe writes one of a few words, and never free text; a test compares them with its OpenAPI file.
ENUM_FIELDS = _names(
    """
    amount_type balance_type behavior billing_cycle_anchor billing_reason billing_scheme
    cancellation_reason capture_method collection_method confirmation_method currency
    customer_tax_exempt decline_code duration end_behavior failure_code failure_reason interval
    minimum_amount_currency mode object payment_behavior payment_method_types payment_status
    proration_behavior reason reporting_category setup_future_usage source_type status submit_type
    tax_behavior tax_exempt tax_type taxability_reason tiers_mode transaction_type type usage usage_type
    """
)
OURS = _names("payment stripe_status")  # such names among our own fields
WORD = re.compile(r"[a-z][a-z0-9_.-]{0,60}", re.ASCII)

# Ids that Stripe generates have one of these forms; a chosen one (a product's, a coupon's) may be a person's name.
PREFIXES = _names(
    """
    acct alrt apwc atxi ba bpc bps btok ca card cbtxn ccsbtxn ch clock cn cnli covcred cpmt credgr cs_live cs_test
    cus cusbal di dp du ed evt fca fcsess feat fee file fr iauth ic ich idp ii il in inpay ipi li link mandate mtr
    person pi plan plink pm pmc pmd po price prod promo prv py pyr qt re req rp seti setatt shr si src src_sub sub
    sub_sched tmc tml tmr tok topup tr trr tu txcd txi txn txr vr vs we
    """
)
TAIL = "(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{8,}"  # at least one capital or digit: so `card_present` is no id
ID = re.compile(rf"(?:{'|'.join(sorted(PREFIXES))})_{TAIL}", re.ASCII)

# Accounting finds invoices, credit notes, quotes and receipts by their numbers, which Stripe assigns without gaps.
NUMBER = re.compile(
    r"[A-Z0-9]{1,12}(?:-[A-Z0-9]{1,4})?-\d{4,6}(?:-CN-\d{2})?|QT-[A-Z0-9]{1,12}-\d{4,6}-\d{1,3}", re.ASCII
)
NUMBERED = _names("number receipt_number")
DECIMAL = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)

# Numbers that are personal data, and hashes whose names callers choose.
PERSONAL = _names("metadata dob exp_month exp_year expiration_date issued_date latitude longitude risk_score")


def scrub(value: Any, name: str = "") -> Any:
    """Return what may stay of a value with this name, and of each of its parts."""
    if name in PERSONAL:
        return {} if isinstance(value, dict) else None
    if isinstance(value, dict):
        return {inner: scrub(part, inner) for inner, part in value.items() if WORD.fullmatch(inner)}
    if isinstance(value, list):
        return [left for part in value if (left := scrub(part, name)) is not None]
    if isinstance(value, bytes):
        return None
    return value if not isinstance(value, str) or _may_stay(value, name) else None


def _may_stay(text: str, name: str) -> bool:
    if ID.fullmatch(text):
        return True
    if name in ENUM_FIELDS or name in OURS:
        return WORD.fullmatch(text) is not None
    if name in NUMBERED:
        return NUMBER.fullmatch(text) is not None
    return name.endswith("_decimal") and DECIMAL.fullmatch(text) is not None


def scrub_row(row: Mapping[str, Any], engine: Collection[str]) -> dict[str, Any]:
    """Return what may stay of a document's fields, except the `engine` fields, which hold no personal data.

    The new digest is of what stays: from a digest of the whole, each scrubbed number could be guessed and checked.
    """
    left: dict[str, Any] = {}
    for name, value in row.items():
        match name:
            case "operation" | "request" | "access_until":
                left[name] = None  # parameters not sent yet; the key that the caller chose; the end of what is revoked
            case "error" if isinstance(value, dict):
                words = {part: scrub(told, "reason") for part, told in value.items() if part not in ("message", "key")}
                left[name] = {**words, "message": ERASED, "key": value.get("key")}
            case "review_reason" if isinstance(value, str):
                left[name] = ERASED
            case "digest" if isinstance(value, str):
                left[name] = digest(scrub(row.get("stripe") or {}))
            case _ if name not in engine:
                left[name] = scrub(value, name)
    return left
