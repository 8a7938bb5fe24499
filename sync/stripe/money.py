"""Amounts as a person reads them. Stripe counts in the minor unit of a currency, which is not always a hundredth."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

# docs.stripe.com/currencies: zero-decimal and three-decimal currencies. ISK and UGX have no minor unit, but Stripe
# goes on counting them in hundredths.
NONE, THREE = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf", "bhd jod kwd omr tnd"
DIGITS = {**dict.fromkeys(NONE.split(), 0), **dict.fromkeys(THREE.split(), 3)}

# The fields of an object, or of the parameters that create one, that say how much it is about.
AMOUNTS = ("amount_total", "amount", "amount_due", "total", "unit_amount")


def spoken(amount: int, currency: str) -> str:
    """Return an amount of the minor unit with its currency: 1234 and `eur` are `12.34 EUR`."""
    digits = DIGITS.get(currency.lower(), 2)
    return f"{Decimal(amount).scaleb(-digits):,.{digits}f} {currency.upper()}"


def amount_in(shown: Mapping[str, Any]) -> str | None:
    """Return the amount that an object or parameters are about, as a person reads it; None if they show none."""
    amount = next((shown[name] for name in AMOUNTS if isinstance(shown.get(name), int)), None)
    currency = shown.get("currency")
    return spoken(amount, currency) if amount is not None and isinstance(currency, str) else None
