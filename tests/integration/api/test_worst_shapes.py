"""One request never stops a worker: the largest that is admitted, in the worst shapes, takes little of a processor."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.api.app import LARGEST_BODY
from stripe_mongo_sync.models import Customer, created_kinds
from stripe_mongo_sync.models.base.input import Invalid, accepted, validate
from stripe_mongo_sync.sync.errors import SyncError
from stripe_mongo_sync.sync.operator import endpoint, operations
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.shop.customers import customer_of
from stripe_mongo_sync.webhooks.routes import LARGEST
from tests.support.events import event
from tests.support.quick import timed as bounded
from tests.support.world import World

MARKS = "\u0315\u0300"  # two marks whose order must be changed, each time: to normalise n of them takes n² steps
BOUND = 1.0  # s of a processor, for a megabyte: thrice what it takes, and a seventh of what 100 kB of marks took
TEXT = 8_192  # characters of a path, a query or a header, twice what gunicorn admits


def timed(what: str, call: Callable[[], Any], bound: float = BOUND) -> Any:
    return bounded(what, call, bound)


def fields_of(model: Any, verb: str) -> dict[str, Any]:
    return dict(accepted(model, verb))


def worst(fields: dict[str, Any], size: int) -> bytes:
    """A body in which everything is as bad as it can be: texts, names, numbers, lists and depth."""
    share = size // (len(fields) + 8)
    parts = [f'"{name}":{_worst_of(field, share)}' for name, field in fields.items()]
    parts.append(f'"{"k" * share * 3}":[{"1," * share}1]')  # a long name above much
    parts.append(",".join(f'"{number:x}":1' for number in range(share // 10)))
    parts.append('"deep":' + '{"a":' * 18 + "1" + "}" * 18)
    parts.append(f'"ints":[{",".join(["9" * 4300] * (share // 4400))}],"float":0.{"1" * share}')
    raw = ("{" + ",".join(parts)).encode()
    return raw + b" " * (size - len(raw) - 1) + b"}"


def _worst_of(field: Any, share: int) -> str:
    if field.items is not None:
        return f"[{'{},' * (share // 3 - 1)}{{}}]"
    return f'"a{MARKS * (share // 4 - 1)}"'


def test_the_largest_body_in_the_worst_shape_takes_little_at_every_route(world: World) -> None:
    tried = set()
    for rule in world.app.url_map.iter_rules():
        for method in sorted({"POST", "PATCH", "DELETE"} & (rule.methods or set())):
            model = (rule.defaults or {}).get("model", Customer)
            raw = worst(fields_of(model, "update" if method == "PATCH" else "create"), LARGEST_BODY)
            path = rule.rule.replace("<reference:reference>", "nobody").replace("<id>", "0" * 24)

            def ask(method: str = method, path: str = path, raw: bytes = raw) -> Any:
                return world.http.open(path, method=method, data=raw, content_type="application/json")

            response = timed(f"{method} {rule.rule}", ask)
            assert 400 <= response.status_code < 500
            assert len(response.data) < 100_000, "what is wrong is told within bounds"
            tried.add(rule.endpoint)
    assert len(tried) > 60


SHAPES = {
    "marks": json.dumps({"username": "a" + MARKS * 130_000}, ensure_ascii=False).encode(),
    "escapes": json.dumps({"username": "a" + MARKS * 80_000}).encode(),
    "a long name above a long list": b'{"' + b"k" * 524_000 + b'":[' + b"1," * 262_000 + b"1]}",
    "names": b"{" + b",".join(b'"%x":1' % number for number in range(100_000)) + b"}",
    "items": b'{"preferred_locales":[' + b"{}," * 349_000 + b"{}]}",
    "depth": b'{"address":' + b"[" * 1_048_000,
    "digits": b'{"balance":' + b"9" * 1_048_000 + b"}",
    "places": b'{"balance":0.' + b"9" * 1_048_000 + b"}",
    "an exponent": b'{"balance":1e' + b"9" * 1_048_000 + b"}",
}


def test_no_shape_of_a_body_takes_long(world: World) -> None:
    for name, raw in SHAPES.items():
        assert len(raw) <= LARGEST_BODY

        def ask(raw: bytes = raw) -> Any:
            return world.http.post("/customers", data=raw, content_type="application/json")

        assert timed(name, ask).status_code in (400, 422)


def test_no_path_query_or_header_takes_long(world: World) -> None:
    for text in (MARKS * (TEXT // 2), "a/portal/" * (TEXT // 9), "a=b;" * (TEXT // 4)):
        path = quote(text)
        for method, url in (
            ("GET", f"/customers/{path}"),
            ("POST", f"/customers/{path}/portal"),
            ("GET", f"/charges/{path}"),
            ("GET", f"/{path}"),
            ("POST", f"/operations/{path}/retry"),
            ("GET", f"/customers?limit={path}"),
            ("GET", f"/customers?starting_after={path}&{path}=1"),
        ):
            told = timed(
                f"{method} {url[:40]}", lambda method=method, url=url: world.http.open(url, method=method), 0.2
            )
            assert told.status_code >= 400
        for name in ("Idempotency-Key", "Authorization", "Stripe-Signature", "Content-Type"):
            for url in ("/customers", "/webhooks/stripe"):
                headers = {"Content-Type": "application/json", name: text if text.isascii() else "é" * TEXT}
                ask = lambda url=url, headers=headers: world.http.post(url, data=b"{}", headers=headers)  # noqa: E731
                assert timed(f"{name} at {url}", ask, 0.2).status_code >= 400


def test_no_text_takes_long_in_process(world: World) -> None:
    product, intent = (created_kinds()[kind] for kind in ("product", "payment_intent"))
    ann = sync.create_customer("ann@example.com")
    doors: list[Callable[[str], Any]] = [
        customer_of,
        sync.create_customer,
        erase,
        operations.document_of,
        lambda text: operations.page(limit=1, after=text),
        lambda text: sync.set_payment_method(text, "pm_card_visa"),
        lambda text: sync.create_customer("x", email=text, phone=text, address={"city": text}),
        lambda text: sync.create_customer("x", idempotency_key=text),
        lambda text: sync.create_order(text, [{"price": text, "quantity": 1}], "payment_intent"),
        lambda text: sync.open_portal(ann, f"https://{text}"),
        lambda text: endpoint.create(f"https://{text}"),
        lambda text: sync.create(product, {"id": text, "name": text}),
        lambda text: sync.create(intent, {"amount": 1, "currency": text, "customer": text}),
    ]
    for text in ("a" + MARKS * 500_000, "a@" * 500_000, "cus_" + "a" * 1_000_000):
        for door in doors:
            with pytest.raises((SyncError, Invalid)):
                timed(ascii(text[:10]), lambda door=door, text=text: door(text))
        assert timed("a look-up", lambda text=text: Customer.lookup(text)) is None
    with pytest.raises(Invalid, match="too large"):
        timed("an int", lambda: sync.create_customer("x", balance=10**1_000_000))


def test_every_verb_and_action_asks_for_lengths_first() -> None:
    for model in created_kinds().values():
        for verb in ("create", "update", *model.resource.actions):
            if fields := fields_of(model, verb):
                body = json.loads(worst(fields, 262_144))
                with pytest.raises(Invalid):
                    timed(f"{verb} {model}", lambda model=model, body=body, verb=verb: validate(model, body, verb))


def test_every_text_and_list_that_a_caller_may_give_has_an_end() -> None:
    for model in created_kinds().values():
        for verb in ("create", "update", *model.resource.actions):
            for name, shape in fields_of(model, verb).items():
                endless: list[Any] = ["x" * 40_001] if "string" in shape.plain else []
                endless += [[{}] * 1001] if shape.items is not None else []
                for value in endless:
                    with pytest.raises(Invalid) as refused:
                        validate(model, {name: value}, verb)
                    assert "has more than" in refused.value.errors[name]


def test_the_largest_event_in_the_worst_shapes_takes_little(world: World) -> None:
    size, now = LARGEST - 1000, int(world.stripe.clock.now())
    about = {"id": "cus_1", "object": "customer", "created": now, "livemode": False, "balance": "here"}
    bodies = [
        event("customer.updated", {**about, **inner}, now)
        for inner in (
            {"name": "a_" * (size // 2)},
            {"name": "a" + MARKS * (size // 12)},
            {"metadata": {f"{number:x}": "v" for number in range(size // 16)}},
            {"k" * (size // 2): [1] * (size // 6)},
        )
    ]
    bodies += [
        event("customer.updated", about, now).replace(b'"here"', number)
        for number in (b"9" * size, b"0." + b"1" * (size - 2), b"[" * size)
    ]
    for raw in bodies:
        assert LARGEST * 0.7 < len(raw) <= LARGEST
        told = timed(str(raw[300:360]), lambda raw=raw: world.send(raw), 4 * BOUND)
        assert told.status_code in (200, 400, 503), "503: MongoDB was too slow to store it"
