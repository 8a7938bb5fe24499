"""Decides what is stored and shown of a Stripe object, and what its content is. Each object passes here before a write.

Two kinds of text in an object are not its content:

- A *key* grants access to whoever has it. It is never stored, except where a shop must pass it on to its buyer: such a
  key stays on the document of its own object, and only tokens with the scope `write` see it.
- A *link* is different in each reply, and expires. It is stored, but two objects that differ in links only are equal.

All names are Stripe's; tests/contract/test_content.py compares the tables with all types of stripe-python.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Json = dict[str, Any]

# Places are written `kind:path`. `*` stands for any name, and `**` at the end for all texts below except their `type`.
KEYS = """
    identity.verification_session:url source:redirect.url source:alipay.native_url source:wechat.qr_code_url
    source:klarna.client_token source:klarna.redirect_url source:klarna.pay_later_redirect_url
    source:klarna.pay_now_redirect_url source:klarna.pay_over_time_redirect_url
    three_d_secure.authentication:challenge_url three_d_secure.authentication:fingerprinting_url
    three_d_secure.authentication:outcome_details.cryptogram
    file_link:url mandate:payment_method_details.*.url source:sepa_debit.mandate_url
    issuing.card:number issuing.card:cvc treasury.financial_account:financial_addresses.aba.account_number
    terminal.configuration:wifi.*.password terminal.configuration:wifi.*.private_key_file_password
    forwarding.request:request_details.headers forwarding.request:request_details.body
    forwarding.request:response_details.headers forwarding.request:response_details.body
    apps.secret:payload
"""
HANDED_ON = """
    payment_intent:client_secret payment_intent:next_action.** setup_intent:client_secret setup_intent:next_action.**
    checkout.session:client_secret checkout.session:url checkout.session:after_expiration.recovery.url
    order:client_secret order:url
"""
LINKS = """
    invoice:hosted_invoice_url invoice:invoice_pdf charge:receipt_url credit_note:pdf climate.order:certificate
    payment_intent:next_action.** setup_intent:next_action.**
    treasury.credit_reversal:hosted_regulatory_receipt_url treasury.debit_reversal:hosted_regulatory_receipt_url
    treasury.inbound_transfer:hosted_regulatory_receipt_url treasury.outbound_payment:hosted_regulatory_receipt_url
    treasury.outbound_transfer:hosted_regulatory_receipt_url treasury.received_credit:hosted_regulatory_receipt_url
    treasury.received_debit:hosted_regulatory_receipt_url
"""
# Stripe shows this only on request (`Resource.expand`), and it never changes: an event without it leaves it as stored.
ASKED = "coupon:applies_to"
# Objects that are keys themselves: only their existence is stored.
_KEYS = """
    account_link account_session billing_portal.session confirmation_token customer_session ephemeral_key
    financial_connections.session login_link terminal.connection_token terminal.onboarding_link token
"""
KEY_KINDS = frozenset(_KEYS.split())
KEY_NAMES = frozenset(("client_secret", "secret"))  # a key under any kind
# A key inside another text, such as a URL.
KEY = re.compile(r"[a-z]_[A-Za-z0-9]{14,}_secret_\w{8,}|client_secret[_=]\w{8,}|\b[ers]k_(test|live)_\w{8,}", re.ASCII)
THEIRS = "metadata"  # the shop's own texts, from which nothing is removed
ABOVE = ("id", "object", "livemode", "created")  # the fields that stay of an object that is a key

DROP, KEEP, TEXTS, TEXTS_KEPT = "drop", "keep", "texts", "texts kept"  # the rules that a name may have
Rules = dict[str, Any]  # a rule by name, or the rules of the names below


def _rules(*tables: tuple[str, str]) -> dict[str, Rules]:
    """Return the rules of each kind. A later rule about the same place replaces an earlier one."""
    found: dict[str, Rules] = {}
    for rule, places in tables:
        for place in places.split():
            kind, _, path = place.partition(":")
            *above, last = path.removesuffix(".**").split(".")
            rules = found.setdefault(kind, {})
            for name in above:
                rules = rules.setdefault(name, {})
            texts = {DROP: TEXTS, KEEP: TEXTS_KEPT}
            rules[last] = texts[rule] if path.endswith("**") else rule
    return found


NO_RULES: Rules = {}
NEVER = _rules((DROP, KEYS), (DROP, HANDED_ON))
OWN = _rules((DROP, KEYS), (KEEP, HANDED_ON))
DEAD = _rules((KEEP, HANDED_ON), (DROP, LINKS))
CONTENT = _rules((DROP, KEYS), (DROP, HANDED_ON), (DROP, LINKS), (DROP, ASKED))
OWN_CONTENT = _rules((DROP, KEYS), (KEEP, HANDED_ON), (DROP, LINKS), (DROP, ASKED))

WITH_KEYS = frozenset(kind.encode() for kind in (*NEVER, *KEY_KINDS))
KINDS_IN = re.compile(rb'"object"\s*:\s*"([^"\\]*)"')
# Each key in a text, and each name of a key, has one of these; so may a name that is written with escapes.
TRACES = (b"secret", b"k_test", b"k_live", b"\\u")
RULED = frozenset({*CONTENT, *KEY_KINDS})  # the kinds that a rule is about
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
OBJECT = re.compile(r'"object":"([^"]*)"')


class Sight(NamedTuple):
    """What one reading of an object tells."""

    kept: Json  # the part of it that may be stored on its own document
    digest: str  # of its content
    has_links: bool


def sight(remote: Json) -> Sight:
    """Return what may be stored of an object, its digest, and whether it shows a link.

    Most objects have nothing that a rule is about. Their text shows it, which is ten times as fast as a walk.
    """
    text = _text(remote)
    if (kinds := _ruled(text)) is None:
        return Sight(remote, _digest(text), False)
    has_links = not kinds.isdisjoint(DEAD) and without_links(remote) != remote
    return Sight(kept(remote), _digest(_text(content(remote))), has_links)


def kept(remote: Json) -> Json:
    """Return the part of an object that may be stored on its own document."""
    return _root(remote, OWN, NEVER)


def shown(remote: Json) -> Json:
    """Return the part of an object that a `read` token may see, and that may be stored in other rows."""
    return _root(remote, NEVER, NEVER)


def content(remote: Json) -> Json:
    """Return the content of an object, by which two observations of it are equal or differ."""
    return _root(remote, OWN_CONTENT, CONTENT)


def without_links(remote: Json) -> Json:
    """Return an object with its links set to null."""
    return _root(remote, DEAD, DEAD, null=True, keys=False)


def digest(remote: Json) -> str:
    """Return a digest of an object's content that does not depend on the order of its keys."""
    text = _text(remote)
    return _digest(text if _ruled(text) is None else _text(content(remote)))


def _text(remote: Json) -> str:
    return CANONICAL.encode(remote)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _ruled(text: str) -> set[str] | None:
    """Return the kinds of the objects in a text; None if no rule is about any of them, and there is no key."""
    kinds = {*OBJECT.findall(text)}
    plain = kinds.isdisjoint(RULED) and not ("secret" in text or "k_test_" in text or "k_live_" in text)
    return None if plain else kinds


def handed_on(kind: str) -> frozenset[str]:
    """Return the fields of a kind that are keys and stay on the document of their object."""
    return frozenset(name for name, rule in OWN.get(kind, NO_RULES).items() if rule == KEEP)


def linked(kind: str) -> frozenset[str]:
    """Return the fields of a kind that are links, or contain links."""
    return frozenset(name for name, rule in DEAD.get(kind, NO_RULES).items() if rule in (DROP, TEXTS))


def has_links(remote: Json | None) -> bool:
    """Whether an object shows a link."""
    return remote is not None and sight(remote).has_links


def event_shown(event: Json) -> Json:
    """Return the part of an event that may be stored: with its object and previous attributes, but without keys.

    If a key was removed that the object's own document keeps, `withheld` says so, because the event then no longer
    shows the whole content. In a thin event, or in JSON that is no event, the places are unknown, so keys are found by
    their names and forms only.
    """
    data = event.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("object"), dict):
        return _root(event, NEVER, NEVER)
    remote, before = data["object"], data.get("previous_attributes")
    rest = {name: part for name, part in event.items() if name != "data"}
    told = {name: part for name, part in data.items() if name not in ("object", "previous_attributes")}
    told["object"] = shown(remote)
    if isinstance(before, dict):
        told["previous_attributes"] = dict(_parts(before, NEVER.get(_kind(remote), NO_RULES), _How(NEVER, False, True)))
    withheld = {"withheld": True} if told["object"] != kept(remote) else {}
    return {**_root(rest, NEVER, NEVER), "data": told, **withheld}


def may_have_keys(raw: bytes) -> bool:
    """Whether the JSON of an event may contain a key. Most events contain none, and need no search."""
    return any(trace in raw for trace in TRACES) or not WITH_KEYS.isdisjoint(KINDS_IN.findall(raw))


def is_key(event: Json) -> bool:
    """Whether an event is about an object that is a key itself."""
    data = event.get("data")
    remote = data.get("object") if isinstance(data, dict) else None
    return isinstance(remote, dict) and _kind(remote) in KEY_KINDS


# --- the walk through an object ---


def _kind(remote: Mapping[str, Any]) -> str:
    kind = remote.get("object")
    return kind if isinstance(kind, str) else ""


def _root(
    remote: Json, own: dict[str, Rules], others: dict[str, Rules], *, null: bool = False, keys: bool = True
) -> Json:
    """Return an object after the rules of `own`, and of `others` for the objects inside it.

    With `null`, a dropped field becomes null. With `keys`, keys inside other texts are dropped, too.
    """
    how = _How(others, null, keys)
    if keys and _kind(remote) in KEY_KINDS:
        return _above(remote)
    return dict(_parts(remote, own.get(_kind(remote), NO_RULES), how))


class _How(NamedTuple):
    others: dict[str, Rules]
    null: bool
    keys: bool


def _above(remote: Json) -> Json:
    return {name: part for name, part in remote.items() if name in ABOVE}


def _parts(value: Json, rules: Rules, how: _How) -> Iterator[tuple[str, Any]]:
    """Yield the name of each part of an object that stays, with the part as it stays."""
    for name, part in value.items():
        rule = None if part is None or isinstance(part, int | float) else rules.get(name, rules.get("*"))
        if rule is None and how.keys and name in KEY_NAMES and part is not None:
            rule = DROP
        if rule == DROP:
            if how.null:
                yield name, None
        elif rule == TEXTS:
            yield name, _textless(part)
        elif rule in (KEEP, TEXTS_KEPT) or name == THEIRS:
            yield name, part
        elif not (how.keys and isinstance(part, str) and KEY.search(part)):
            yield name, _walked(part, rule or NO_RULES, how)


def _walked(value: Any, rules: Rules, how: _How) -> Any:
    if isinstance(value, list):
        return [
            _walked(part, rules, how) for part in value if not (how.keys and isinstance(part, str) and KEY.search(part))
        ]
    if not isinstance(value, dict):
        return value
    if isinstance(kind := value.get("object"), str):
        if how.keys and kind in KEY_KINDS:
            return _above(value)
        rules = how.others.get(kind, NO_RULES)
    return dict(_parts(value, rules, how))


def _textless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: part if name == "type" else _textless(part)
            for name, part in value.items()
            if name == "type" or not isinstance(part, str)
        }
    return [_textless(part) for part in value if not isinstance(part, str)] if isinstance(value, list) else value
