"""Identity: sessions that verify a person's identity."""

from __future__ import annotations

from stripe.params import identity

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Resource, blank, same
from stripe_mongo_sync.emulator.engine.steps import change, expect, step
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Fields, Flag, Hash, Many, Metadata, OneOf, Ref, Text
from stripe_mongo_sync.emulator.protocol.values import choice
from stripe_mongo_sync.emulator.protocol.wire import Json

CANCEL = step("cancel", ("requires_input",), "canceled", "identity.verification_session.canceled")


def _check(params: Json) -> None:
    if params.get("type") is None:
        raise errors.missing("type")


def _open(ctx: Effects, params: Json, session: Json) -> None:
    if session["client_secret"] is None:
        session["client_secret"] = f"{session['id']}_secret_test_{ctx.draw(22, 'base62')}"
        session["url"] = f"https://verify.stripe.com/start/test_{ctx.draw(40, 'base62')}"


def _redact(ctx: Effects, session: Json, params: Json) -> Json:
    """Remove the personal data, after a while. An open session is canceled first."""
    expect(session, "redact", "requires_input", "verified", "canceled")
    if session["status"] == "requires_input":
        session = CANCEL.do(ctx, session, {})
    session |= {"redaction": {"status": "processing"}, **blank("client_secret provided_details url")}
    ctx.keep(session["object"], session)
    ctx.schedule(session, ctx.second)
    return session


def _on_due(ctx: Effects, session: Json) -> None:
    change(ctx, session, "identity.verification_session.redacted", redaction={"status": "redacted"})


DOCUMENT: Fields = {
    "allowed_types": Many(each=OneOf(values=("driving_license", "id_card", "passport"))),
    "require_id_number": Flag(),
    "require_live_capture": Flag(),
    "require_matching_selfie": Flag(),
}
SHOWN: Fields = {
    "metadata": Metadata(),
    "options": Hash(fields={"document": Hash(fields=DOCUMENT, fill=False)}, fill=False),
    "provided_details": Hash(fields={"email": Text(), "phone": Text()}),
    "type": OneOf(values=("document", "id_number")),
}
VERIFICATION_SESSION = Resource(
    kind="identity.verification_session",
    path="identity/verification_sessions",
    prefix="vs_",
    label="verification session",
    create={
        **SHOWN,
        "client_reference_id": Text(),
        "related_customer": Ref(kind="customer"),
        "return_url": Text(hidden=True),
    },
    update=SHOWN,
    defaults=blank(
        "client_reference_id client_secret last_error last_verification_report provided_details redaction "
        "related_customer related_customer_account url verified_outputs"
    )
    | {"metadata": {}, "options": {}, "status": "requires_input", "type": "document"},
    filters={
        **{name: same(name) for name in ("client_reference_id", "related_customer", "related_customer_account")},
        "status": same("status", choice(identity.VerificationSessionListParams, "status")),
    },
    events=("created",),
    check=_check,
    finish=_open,
    on_due=_on_due,
    actions={"cancel": CANCEL, "redact": Action(_redact)},
)
