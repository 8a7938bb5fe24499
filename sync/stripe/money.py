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


def readable(amount: int, currency: str) -> str:
    """Return an amount of the minor unit with its currency: 1234 and `eur` are `12.34 EUR`."""
    digits = DIGITS.get(currency.lower(), 2)
    return f"{Decimal(amount).scaleb(-digits):,.{digits}f} {currency.upper()}"


def amount_in(*shown: Mapping[str, Any]) -> tuple[int, str] | None:
    """Return the amount that objects or parameters are about, and its currency: of each, what the first of them says.

    None if none says it.
    """
    amounts = (each[name] for each in shown for name in AMOUNTS if isinstance(each.get(name), int))
    currencies = (each["currency"] for each in shown if isinstance(each.get("currency"), str))
    found = next(amounts, None), next(currencies, None)
    return None if found[0] is None or found[1] is None else (found[0], found[1])
