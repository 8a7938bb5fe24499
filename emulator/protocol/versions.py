"""The versions of Stripe's API: a call knows a parameter only by its name in that version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Fields, alive, read
from stripe_mongo_sync.emulator.protocol.values import VERSIONS
from stripe_mongo_sync.emulator.protocol.wire import Json


@dataclass(frozen=True)
class Renamed:
    """A parameter with another name in older versions. From `came` until `went`, a call can use either name."""

    old: str
    new: str
    came: str
    went: str
    code: str | None = None  # of the refusal of the old name; None: it is an unknown parameter


# By kind. As at Stripe, every version knows what was added later; only removals and renames depend on the version.
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
    """A call with other parameters before the version `until`: `today` converts them."""

    until: str
    knows: str  # applies to calls that have this parameter
    today: Callable[[Json], Json]


def _promotion(raw: Json) -> Json:
    if "promotion" in raw:
        raise errors.unknown(["promotion"])
    if "coupon" not in raw:
        raise errors.missing("coupon")
    rest = {name: value for name, value in raw.items() if name != "coupon"}
    return {**rest, "promotion": {"type": "coupon", "coupon": raw["coupon"]}}


def _cards(raw: Json) -> Json:
    given = raw.keys() & {"automatic_payment_methods", _OF_INTENTS.old}
    return raw if given else {**raw, _OF_INTENTS.old: ["card"]}


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
    """Return the parameters of a call by their names in this version."""
    found = alive(fields, version)
    for each in RENAMED.get(kind, ()):
        if each.new in fields:
            if version < each.went:
                found[each.old] = found[each.new]
            if version < each.came:
                del found[each.new]
    return found


def read_as_of(version: str, kind: str, fields: Fields, raw: Json) -> Json:
    """Return the typed parameters under today's names. Raises Stripe's first error."""
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
