"""What payment intents and setup intents share: payment methods, statuses, rules and parameters."""

from __future__ import annotations

from collections.abc import Callable

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.objects.payments import cards
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Fields, Flag, Hash, Many, Metadata, OneOf, Ref, Text
from stripe_mongo_sync.emulator.protocol.values import METHODS_OF_INTENTS
from stripe_mongo_sync.emulator.protocol.wire import Json

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
Step = Callable[[Effects, Json, Json], Json]
TITLES = {"payment_intent": "PaymentIntent", "setup_intent": "SetupIntent"}


def unexpected(intent: Json, verb: str) -> Problem:
    kind = intent["object"]
    message = f"You cannot {verb} this {TITLES[kind]} because it has a status of {intent['status']}."
    return Problem(400, message, code=f"{kind}_unexpected_state", about={kind: intent})


def redirects(automatic: Json | None, kind: str, params: Json) -> None:
    """Require a `return_url` if the Dashboard's payment methods, which can redirect, are enabled."""
    if automatic and automatic["allow_redirects"] == "always" and params.get("return_url") is None:
        raise errors.invalid(
            f"This {TITLES[kind]} is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`. If "
            "you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to "
            "`true` and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
            "Payment Intents.",
            "return_url",
        )


def by_caller(do: Step, verb: str) -> Step:
    """Return the step for API callers, who cannot change the intent of an open checkout session."""

    def checked(ctx: Effects, intent: Json, params: Json) -> Json:
        for session in ctx.realm.all("checkout.session"):
            if session["status"] == "open" and session[intent["object"]] == intent["id"]:
                title = TITLES[intent["object"]]
                message = f"You cannot {verb} this {title} because it belongs to a Checkout Session that is open."
                raise Problem(400, message + " To cancel it, expire the Checkout Session instead.")
        return do(ctx, intent, params)

    return checked


def take_method(ctx: Effects, intent: Json, params: Json) -> Json:
    """Set the intent's payment method from the parameters, and return it."""
    id = params.get("payment_method") or intent["payment_method"]
    if id is None:
        kind, title = intent["object"], TITLES[intent["object"]]
        message = (
            f"You cannot confirm this {title} because it's missing a payment method. You can either update the {title} "
            "with a payment method and then confirm it again, or confirm it again directly with a payment method or "
            "ConfirmationToken."
        )
        raise Problem(400, message, code=f"{kind}_unexpected_state", about={kind: intent})
    cards.usable(ctx, cards.peek(ctx, id), intent["customer"])
    method = ctx.named("payment_method", id)
    if method["id"] != id:
        ctx.keep("payment_method", method)
    intent["payment_method"] = method["id"]
    return method


def ask(intent: Json, return_url: str | None) -> None:
    """Let the intent wait for 3-D Secure."""
    url = f"https://hooks.stripe.com/redirect/authenticate/{intent['id']}"
    way: Json = {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}
    intent["status"] = "requires_action"
    intent["next_action"] = way if return_url is not None else {"type": "use_stripe_sdk", "use_stripe_sdk": {}}


def check_method(params: Json) -> None:
    """Check the rules for parameters that both kinds of intent share."""
    if not params.get("confirm"):
        early = ("error_on_requires_action", "off_session", "return_url")
        for name in [name for name in early if params.get(name) is not None]:
            raise errors.invalid(f"The parameter `{name}` cannot be passed when creating without `confirm`.", name)
    for index, type in enumerate(params.get("allowed_payment_method_types") or []):
        if type not in ("card", "link", "sepa_debit"):
            supported = "the emulator supports only cards and SEPA debits."
            message = f"The payment method type provided: {type} is invalid: {supported}"
            raise errors.invalid(message, f"allowed_payment_method_types[{index}]")


def automatic(params: Json) -> Json | None:
    """Return `automatic_payment_methods` of a new intent: the Dashboard's methods, unless the caller lists types."""
    given = params.get("automatic_payment_methods")
    if given is None:
        listed = params.get("allowed_payment_method_types")
        return None if listed else {"allow_redirects": "always", "enabled": True}
    return {"allow_redirects": given.get("allow_redirects") or "always", "enabled": True} if given["enabled"] else None


def state_check(kind: str) -> Callable[[Effects, Json, Json | None], None]:
    """Return the `check_state` of a kind of intent: after its confirmation, most fields are fixed."""

    def check_state(ctx: Effects, params: Json, intent: Json | None) -> None:
        if intent is not None and intent["status"] not in OPEN:
            for name in sorted(FIXED & params.keys()):
                raise unexpected(intent, f"change the `{name}` of")
        method, whose = params.get("payment_method"), intent or {}
        if method is not None:
            cards.usable(ctx, cards.peek(ctx, method), params.get("customer") or whose.get("customer"))
        if params.get("confirm"):
            if method is None:
                raise errors.missing("payment_method")
            redirects(automatic(params), kind, params)

    return check_state


def finish(ctx: Effects, params: Json, intent: Json) -> None:
    if intent["client_secret"] is None:
        intent["client_secret"] = f"{intent['id']}_secret_{ctx.draw(25, 'base62')}"
        intent["automatic_payment_methods"] = automatic(params)
    if params.get("allowed_payment_method_types") is not None:
        intent["payment_method_types"] = params["allowed_payment_method_types"]
    if params.get("payment_method") is not None:
        method = ctx.named("payment_method", params["payment_method"])
        if method["id"] != params["payment_method"]:
            ctx.keep("payment_method", method)
        intent["payment_method"] = method["id"]
        intent["status"] = "requires_confirmation"


FIXED = {"amount", "currency", "customer", "payment_method", "capture_method", "setup_future_usage"}
TYPES: Fields = {"allowed_payment_method_types": Many(each=OneOf(values=METHODS_OF_INTENTS))}
INTENT_FIELDS: Fields = {
    **TYPES,
    "customer": Ref(kind="customer"),
    "description": Text(longest=1000),
    "metadata": Metadata(),
    "payment_method": Ref(kind="payment_method"),
}
AUTOMATIC = Hash(
    fields={"allow_redirects": OneOf(values=("always", "never")), "enabled": Flag(required=True)}, fill=False
)
CONFIRM_FIELDS: Fields = {"confirm": Flag(hidden=True), "automatic_payment_methods": AUTOMATIC}
RETURN: Fields = {"return_url": Text(hidden=True), "use_stripe_sdk": Flag(hidden=True)}
METHOD: Fields = {"payment_method": Ref(kind="payment_method")}
