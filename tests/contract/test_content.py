"""What is a key, a link, or shown only when asked: held to every field that stripe-python knows of.

A new version that brings a field which looks like a key or an address fails here, until models/rows/content.py or
`PLAIN` says what it is.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from stripe._object_classes import OBJECT_CLASSES

from stripe_mongo_sync.models import created_kinds, kinds
from stripe_mongo_sync.models.base.input import accepted
from stripe_mongo_sync.models.mirrored import REASONS
from stripe_mongo_sync.models.rows.content import (
    DEAD,
    HANDED_ON,
    KEY_KINDS,
    KEY_NAMES,
    KEYS,
    LINKS,
    NEVER,
    content,
    kept,
    shown,
    without_links,
)
from tests.contract.openapi import PATH, schemas

NAME = re.compile(
    r"(url|uri|secret|token|cvc|password|nonce|cryptogram|credential|private|(^|_)pdf|certificate|iban$|"
    r"account_number$|^number$|image|payload)",
    re.IGNORECASE,
)
TOLD = re.compile(r"\bURL\b|client.side|secret|one-time|\blink to\b|short-lived|\blog ?in\b|bearer", re.IGNORECASE)

# Fields that look like a key or an address, and are neither. `*` matches any name.
PLAIN = {
    "the shop's own addresses, and what it shows to everybody": """
        account:business_profile.* *:*return_url checkout.session:cancel_url checkout.session:success_url
        *:*custom_mandate_url payment_link:after_completion.redirect.url product:images product:url
        billing_portal.configuration:business_profile.* billing_portal.configuration:login_page.url payment_link:url
        checkout.session:branding_settings.* payment_method:custom.logo.url forwarding.request:url
        apps.install:content_security_policy_* payment_intent_amount_details_line_item:payment_method_options.klarna.*
        source:klarna.*_url source:klarna.*asset_urls_*
    """,
    "an address of somebody else's": """
        issuing.authorization:merchant_data.url issuing.transaction:merchant_data.url issuing.card:shipping.tracking_url
        climate.order:delivery_details.registry_url climate.supplier:info_url
    """,
    "it asks for the secret key, or for a login": "file:url file_upload:url *:*request_log_url",
    "an address of Stripe's documentation, or of a list": "*:*doc_url list:url",
    "where money is sent to, which lets nobody in": """
        *:payment_method_details.ach_credit_transfer.account_number *:payment_method_details.sepa_credit_transfer.iban
        source:ach_credit_transfer.account_number source:sepa_credit_transfer.* source:multibanco.refund_iban
        source_transaction:*
    """,
    "a number that names something": """
        *:*oxxo.number credit_note:number invoice:number quote:number tax_deducted_at_source:*
        identity.verification_report:document.number tax.registration:* tax_rate:jurisdiction
    """,
    "the outcome of a check, or proof of one that was used up": """
        *:*cvc_check *:*application_cryptogram source:card_present.evidence_transaction_certificate
    """,
    "the name of a way, of who asked, or of a field": """
        *:*tokenization_method issuing.token:network_data.* invoice:confirmation_secret.type
        billing.meter:*event_payload_key
    """,
    "it no longer has any function": "*:*persistent_token",
    "the id of a file": "terminal.configuration:wifi.*_file",
    "a name that the cardholder chose": "dispute:evidence.*customer_account_id",
}


@cache
def fields(kind: str) -> list[tuple[str, str, str]]:
    """Yield every string of a kind, at any depth: its path, type and description."""
    module, name = OBJECT_CLASSES[kind]
    file = importlib.import_module(module).__file__
    assert file
    top = next(n for n in _parsed(file).body if isinstance(n, ast.ClassDef) and n.name == name)
    return list(_walk(top, ""))


@cache
def _parsed(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text())


def _walk(cls: ast.ClassDef, above: str) -> Iterator[tuple[str, str, str]]:
    inner = {node.name: node for node in cls.body if isinstance(node, ast.ClassDef)}
    for node, after in zip(cls.body, [*cls.body[1:], ast.Pass()], strict=True):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        said = ast.unparse(node.annotation)
        if node.target.id.startswith("_") or "ClassVar" in said:
            continue
        path = f"{above}{node.target.id}"
        below = [inner[word] for word in re.findall(r"\w+", said) if word in inner]
        for each in below:
            yield from _walk(each, f"{path}.")
        if not below and re.search(r"\bstr\b", said) and "Literal" not in said:
            doc = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            yield path, said, str(doc)


def suspects() -> Iterator[tuple[str, str]]:
    for kind in OBJECT_CLASSES:
        for path, _, said in fields(kind):
            if NAME.search(path.rpartition(".")[2]) or TOLD.search(said):
                yield kind, path


SUSPECTS = list(suspects())


def fits(place: str, listed: str) -> bool:
    """Return whether a path matches one of the list."""
    return _pattern(listed).fullmatch(place) is not None


@cache
def _pattern(listed: str) -> re.Pattern[str]:
    each = (re.escape(one).replace(r"\.\*\*", r"\..*").replace(r"\*", ".*") for one in listed.split())
    return re.compile("|".join(each))


def reasons(kind: str, path: str) -> list[str]:
    """Return every text that describes a field."""
    place = f"{kind}:{path}"
    whole = kind in KEY_KINDS or kind in REASONS
    found = ["its kind is not kept"] if whole else []
    found += ["key"] if path.rpartition(".")[2] in KEY_NAMES or fits(place, KEYS) or fits(place, HANDED_ON) else []
    found += ["link"] if fits(place, LINKS) else []
    return found or [why for why, listed in PLAIN.items() if fits(place, listed)]


def test_all_that_looks_like_a_key_or_an_address_is_known_for_what_it_is() -> None:
    unknown = [f"{kind}:{path}" for kind, path in SUSPECTS if not reasons(kind, path)]

    assert len(SUSPECTS) > 200
    assert not unknown, "say in models/rows/content.py what these are, or here why they are neither"


def test_the_tables_name_nothing_that_is_not_there() -> None:
    places = [f"{kind}:{path}" for kind in OBJECT_CLASSES for path, _, _ in fields(kind)]
    hashes = {f"{place.rsplit('.', number)[0]}" for place in places for number in range(1, place.count(".") + 1)}
    listed = f"{KEYS} {HANDED_ON} {LINKS}".split()

    ours = {place for place in listed if place.partition(":")[0] == "order"}
    missing = [
        place for place in {*listed} - ours if not any(fits(each, place) for each in (*places, *hashes, *HASHES))
    ]
    assert not missing
    unused = [place for listed in PLAIN.values() for place in listed.split() if not any(fits(p, place) for p in places)]
    assert not unused


# hashes whose inner names are the caller's own
HASHES = ("forwarding.request:request_details.headers", "forwarding.request:response_details.headers")
VALUE = "Something9"


def planted(kind: str, path: str) -> dict[str, Any]:
    """Return an object of a kind with a value at this path, in a list if a step of the path is one."""
    value: Any = VALUE
    for name in reversed(path.split(".")):
        value = {name: value}
    return {"id": "x_1", "object": kind, **value}


KEY_FIELDS = [(kind, path) for kind, path in SUSPECTS if "key" in reasons(kind, path) or kind in KEY_KINDS]
LINK_FIELDS = [(kind, path) for kind, path in SUSPECTS if "link" in reasons(kind, path)]


@pytest.mark.parametrize(("kind", "path"), KEY_FIELDS, ids=[f"{kind}:{path}" for kind, path in KEY_FIELDS])
def test_a_key_is_on_no_other_document_and_shown_to_nobody_who_may_only_read(kind: str, path: str) -> None:
    remote = planted(kind, path)

    assert VALUE not in str(shown(remote))
    assert VALUE not in str(kept({"id": "in_1", "object": "invoice", "inner": {"list": [remote]}}))
    own = fits(f"{kind}:{path}", HANDED_ON)
    assert (VALUE in str(kept(remote))) == own, "only what a shop hands on stays on the document of its own object"


@pytest.mark.parametrize(("kind", "path"), LINK_FIELDS, ids=[f"{kind}:{path}" for kind, path in LINK_FIELDS])
def test_a_link_is_kept_and_is_no_content(kind: str, path: str) -> None:
    remote = planted(kind, path)

    assert VALUE in str(kept(remote))
    assert VALUE not in str(content(remote))
    assert VALUE not in str(content({"id": "sub_1", "object": "subscription", "latest": remote}))
    assert VALUE not in str(without_links(remote))


def test_every_kind_with_a_rule_is_one_that_is_known() -> None:
    assert {*NEVER, *DEAD} <= {*kinds(), *REASONS}


# --- what is shown only when asked ---

ALWAYS_SHOWN = {  # shown for its type, or where it was set, without `expand`
    "customer.invoice_settings",
    "payment_method.card",
    "shipping_rate.fixed_amount",
    "invoiceitem.pricing",
    "product.package_dimensions",
}


@pytest.mark.skipif(not PATH.exists(), reason="Stripe's OpenAPI file is not on this machine")
@pytest.mark.parametrize("kind", [kind for kind, model in created_kinds().items() if model.resource.path])
def test_what_we_send_and_stripe_shows_only_when_asked_is_asked_for(kind: str) -> None:
    """Return the properties that can be expanded, are no ids, and are absent without `expand`."""
    schema, model = schemas()[kind], created_kinds()[kind]
    hidden = {
        name
        for name in schema.get("x-expandableFields", ())
        if name not in schema.get("required", ()) and _is_part(schema["properties"].get(name, {}))
    }
    sent = model.own_fields().keys() & {*accepted(model, "create"), *accepted(model, "update")}

    asked = {name for name in hidden & sent if f"{kind}.{name}" not in ALWAYS_SHOWN}
    assert asked == set(model.resource.expand)


def _is_part(schema: dict[str, Any]) -> bool:
    """Return whether a property is never an id or null, so that it is absent where it is not shown."""
    return "$ref" in schema or (
        bool(schema.get("anyOf")) and not schema.get("nullable") and all("$ref" in each for each in schema["anyOf"])
    )
