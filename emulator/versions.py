"""What a version of Stripe's API changes: a parameter is known by the name that it had then, and by no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emulator import errors
from emulator.errors import Problem
from emulator.fields import Fields, alive, read
from emulator.wire import Json

# As stripe-python 16.1 has them (WebhookEndpointCreateParams): a header that names another is refused.
_KNOWN = """
2011-01-01 2011-06-21 2011-06-28 2011-08-01 2011-09-15 2011-11-17 2012-02-23 2012-03-25 2012-06-18
2012-06-28 2012-07-09 2012-09-24 2012-10-26 2012-11-07 2013-02-11 2013-02-13 2013-07-05 2013-08-12
2013-08-13 2013-10-29 2013-12-03 2014-01-31 2014-03-13 2014-03-28 2014-05-19 2014-06-13 2014-06-17
2014-07-22 2014-07-26 2014-08-04 2014-08-20 2014-09-08 2014-10-07 2014-11-05 2014-11-20 2014-12-08
2014-12-17 2014-12-22 2015-01-11 2015-01-26 2015-02-10 2015-02-16 2015-02-18 2015-03-24 2015-04-07
2015-06-15 2015-07-07 2015-07-13 2015-07-28 2015-08-07 2015-08-19 2015-09-03 2015-09-08 2015-09-23
2015-10-01 2015-10-12 2015-10-16 2016-02-03 2016-02-19 2016-02-22 2016-02-23 2016-02-29 2016-03-07
2016-06-15 2016-07-06 2016-10-19 2017-01-27 2017-02-14 2017-04-06 2017-05-25 2017-06-05 2017-08-15
2017-12-14 2018-01-23 2018-02-05 2018-02-06 2018-02-28 2018-05-21 2018-07-27 2018-08-23 2018-09-06
2018-09-24 2018-10-31 2018-11-08 2019-02-11 2019-02-19 2019-03-14 2019-05-16 2019-08-14 2019-09-09
2019-10-08 2019-10-17 2019-11-05 2019-12-03 2020-03-02 2020-08-27 2022-08-01 2022-11-15 2023-08-16
2023-10-16 2024-04-10 2024-06-20 2024-09-30.acacia 2024-10-28.acacia 2024-11-20.acacia 2024-12-18.acacia
2025-01-27.acacia 2025-02-24.acacia 2025-03-01.dashboard 2025-03-31.basil 2025-04-30.basil 2025-05-28.basil
2025-06-30.basil 2025-07-30.basil 2025-08-27.basil 2025-09-30.clover 2025-10-29.clover 2025-11-17.clover
2025-12-15.clover 2026-01-28.clover 2026-02-25.clover 2026-03-25.dahlia 2026-04-22.dahlia 2026-05-27.dahlia
2026-06-24.dahlia 2026-07-29.dahlia 2026-08-26.dahlia 2026-09-30.endive 2026-10-28.endive
"""
VERSIONS = tuple(_KNOWN.split())


@dataclass(frozen=True)
class Renamed:
    """A parameter with another name in older versions; from `came` until `went` both are known, but not at once."""

    old: str
    new: str
    came: str
    went: str
    code: str | None = None  # how the old name is refused since; as any unknown one, if Stripe has no code for it


# By type. Additions are known in every version, as at Stripe; only what was taken away or renamed is told apart.
# Sources: changelog/dahlia/2026-07-29/allowed-payment-method-types-parameter; changelog/endive/2026-09-30:
# removes-the-payment-method-types-parameter-from-payment-intents-and-setup-intents, remove-payment-method-types-
# checkout-sessions. Replies show both lists in every version.
_OF_INTENTS = Renamed(
    old="payment_method_types",
    new="allowed_payment_method_types",
    came="2026-07-29.dahlia",
    went="2026-09-30.endive",
    code="payment_method_types_no_longer_supported",
)
_OF_SESSIONS = Renamed(_OF_INTENTS.old, _OF_INTENTS.new, came="2026-09-30.endive", went="2026-09-30.endive")
RENAMED: dict[str, tuple[Renamed, ...]] = {
    "payment_intent": (_OF_INTENTS,),
    "setup_intent": (_OF_INTENTS,),
    "checkout.session": (_OF_SESSIONS,),
}


@dataclass(frozen=True)
class Respelled:
    """A call that was made otherwise before a version: `today` turns it into what it would be now."""

    until: str
    knows: str  # only calls that take this parameter
    today: Callable[[Json], Json]


def _promotion(raw: Json) -> Json:
    if "promotion" in raw:
        raise errors.unknown(["promotion"])
    if "coupon" not in raw:
        raise errors.missing("coupon")
    rest = {name: value for name, value in raw.items() if name != "coupon"}
    return {**rest, "promotion": {"type": "coupon", "coupon": raw["coupon"]}}


def _cards(raw: Json) -> Json:
    told = raw.keys() & {"automatic_payment_methods", _OF_INTENTS.old}
    return raw if told else {**raw, _OF_INTENTS.old: ["card"]}


# Sources: changelog/clover/2025-09-30/adds-promotion-to-promotion-codes, changelog/2023-08-16 (payment methods of the
# Dashboard became the default).
RESPELLED: dict[str, Respelled] = {
    "promotion_code": Respelled("2025-09-30.clover", "promotion", _promotion),
    **dict.fromkeys(("payment_intent", "setup_intent"), Respelled("2023-08-16", "automatic_payment_methods", _cards)),
}


def check(version: str) -> None:
    if version not in VERSIONS:
        raise Problem(400, f"Invalid Stripe API version: {version}", stored=False)


def known(kind: str, fields: Fields, version: str) -> Fields:
    """The parameters of a call by the names that they had in this version."""
    found = alive(fields, version)
    for each in RENAMED.get(kind, ()):
        if each.new in fields:
            if version < each.went:
                found[each.old] = found[each.new]
            if version < each.came:
                del found[each.new]
    return found


def read_as_of(version: str, kind: str, fields: Fields, raw: Json) -> Json:
    """The typed parameters under the names of today, from those of the version; or Stripe's objection."""
    before = RESPELLED.get(kind)
    if before is not None and before.knows in fields and version < before.until:
        raw = before.today(raw)
    renamed = [each for each in RENAMED.get(kind, ()) if each.new in fields and each.old in raw]
    for each in renamed:
        if version >= each.went and each.code is not None:
            message = f"The parameter `{each.old}` is no longer supported. Use `{each.new}` instead."
            raise Problem(400, message, code=each.code, param=each.old)
        if each.new in raw and each.came <= version < each.went:
            raise errors.both(each.new, each.old)
    params = read(known(kind, fields, version), raw)
    return {next((each.new for each in renamed if each.old == name), name): value for name, value in params.items()}
