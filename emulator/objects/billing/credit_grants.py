"""Credit grants: store credit that a customer uses up before they pay for metered usage."""

from __future__ import annotations

from functools import partial

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Resource, blank, same
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem, one_of
from stripe_mongo_sync.emulator.protocol.fields import Currency, Hash, Many, Metadata, OneOf, Ref, Text, Time, Whole
from stripe_mongo_sync.emulator.protocol.wire import Json


def _check(params: Json) -> None:
    if not one_of(params, "customer", "customer_account"):
        raise errors.missing("customer")
    if params["amount"].get("monetary") is None:
        raise errors.missing("amount[monetary]")
    if not one_of(params["applicability_config"]["scope"], "price_type", "prices"):
        raise errors.missing("applicability_config[scope][price_type]")


def _finish(ctx: Effects, params: Json, grant: Json) -> None:
    grant["effective_at"] = grant["effective_at"] or ctx.second
    grant["updated"] = ctx.second


def _end(field: str, ctx: Effects, grant: Json, params: Json) -> Json:
    """Expire or void it, from this second on."""
    over = grant["expires_at"] is not None and grant["expires_at"] <= ctx.second
    if over or grant["voided_at"] is not None:
        raise Problem(400, "This credit grant has already expired or been voided.")
    ended = {**grant, field: ctx.second, "updated": ctx.second}
    ctx.keep("billing.credit_grant", ended)
    ctx.announce("billing.credit_grant.updated", ended, grant)
    return ended


TYPE = OneOf(values=("monetary",), required=True)
MONETARY = Hash(fields={"currency": Currency(required=True), "value": Whole(least=1, required=True)})
PRICES = Many(each=Hash(fields={"id": Ref(kind="price", required=True)}), most=20)
SCOPE = Hash(fields={"price_type": OneOf(values=("metered",)), "prices": PRICES}, fill=False, required=True)
CREDIT_GRANT = Resource(
    kind="billing.credit_grant",
    path="billing/credit_grants",
    prefix="credgr_",
    label="credit grant",
    create={
        "amount": Hash(fields={"monetary": MONETARY, "type": TYPE}, required=True),
        "applicability_config": Hash(fields={"scope": SCOPE}, required=True),
        "category": OneOf(values=("paid", "promotional")),
        "customer": Ref(kind="customer"),
        "customer_account": Text(),
        "effective_at": Time(),
        "expires_at": Time(),
        "metadata": Metadata(),
        "name": Text(longest=100),
        "priority": Whole(least=0, most=100),
    },
    update={"expires_at": Time(), "metadata": Metadata()},
    defaults=blank(
        "amount applicability_config customer customer_account effective_at expires_at name test_clock voided_at"
    )
    | {"category": "paid", "metadata": {}, "priority": 50, "updated": 0},
    filters={"customer": same("customer"), "customer_account": same("customer_account")},
    created_filter=False,
    expands={"customer": "customer"},
    events=("created", "updated"),
    check=_check,
    finish=_finish,
    actions={"expire": Action(partial(_end, "expires_at")), "void": Action(partial(_end, "voided_at"))},
)
