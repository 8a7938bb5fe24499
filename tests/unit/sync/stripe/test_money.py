"""Amounts as a person reads them, in the minor unit of each currency."""

import pytest

from stripe_mongo_sync.emulator.protocol.currencies import CURRENCIES
from stripe_mongo_sync.sync.stripe.money import DIGITS, amount_in, readable


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1234, "eur", "12.34 EUR"),
        (5, "usd", "0.05 USD"),
        (-700, "EUR", "-7.00 EUR"),
        (123456789, "usd", "1,234,567.89 USD"),
        (500, "jpy", "500 JPY"),
        (5120, "kwd", "5.120 KWD"),
        (500, "isk", "5.00 ISK"),
        (0, "chf", "0.00 CHF"),
    ],
)
def test_an_amount_is_read_in_the_unit_of_its_currency(amount: int, currency: str, text: str) -> None:
    assert readable(amount, currency) == text


def test_each_currency_without_hundredths_is_one_of_stripes() -> None:
    assert DIGITS.keys() <= {*CURRENCIES}


def test_what_shows_no_amount_or_no_currency_has_none() -> None:
    assert amount_in({"amount_total": 100, "currency": "eur"}) == (100, "eur")
    assert amount_in({"amount": 100}) is None
    assert amount_in({"amount": 100}, {"amount": 200, "currency": "eur"}) == (100, "eur")
    assert amount_in({"currency": "eur", "amount": None}) is None
