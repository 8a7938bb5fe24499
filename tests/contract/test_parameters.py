"""Which of Stripe's parameters a caller may give: counted against stripe-python, read by a reader of the tests' own."""

from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

import pytest

from stripe_mongo_sync.models import created_kinds
from stripe_mongo_sync.models.base.input import Invalid, params, validate
from stripe_mongo_sync.models.params.ours import OURS, OURS_AT, why_ours
from tests.contract import library
from tests.support import parameters

Json = dict[str, Any]
Place = tuple[str, ...]  # the names on the way to a parameter; in a list and in a map, too
LEAST = 0.95
SAMPLES = {"integer": 7, "number": 0.5, "boolean": True, "null": None, "string": "x"}
WORDS = {"currency": "eur", "email": "user@here.com", "decimal": "7.5"}
# The calls whose path is not that of the action.
PATHS = {("subscription", "cancel"): ("delete", ""), ("subscription", "pause"): ("post", "")}
PATHS |= {("customer", "payment_method"): ("", "")}  # two calls, with a parameter of ours


def calls() -> Iterator[tuple[str, str, Json]]:
    """Yield each kind and verb that sends parameters of Stripe's, and what stripe-python says of them."""
    for kind, model in created_kinds().items():
        path = model.resource.path
        for verb in ("create", "update", *model.resource.actions) if path else ():
            usual = {"create": ("post", ""), "update": ("post", "/{}")}.get(verb, ("post", f"/{{}}/{verb}"))
            method, end = PATHS.get((kind, verb), usual)
            end = "/{}" if verb in ("cancel", "pause") and not end else end
            schema = library.call(method, f"{path}{end}") if method else None
            if schema and verb == "pause":
                (schema,) = [
                    library.resolve(way) for way in ways(schema["properties"]["pause_collection"]) if "class" in way
                ]
            if schema and schema["properties"]:
                yield kind, verb, schema
    yield "order", "create", of_orders()


def of_orders() -> Json:
    """What the two calls take of which one pays for an order; what is refused is refused with all that is below."""
    both = [library.call("post", path)["properties"] for path in ("/v1/checkout/sessions", "/v1/payment_intents")]
    named = {name: {"anyOf": [each[name] for each in both if name in each]} for name in both[0] | both[1]}
    return {"properties": named | {name: {"type": "string"} for name in named if f"order.{name}" in OURS_AT}}


def ways(schema: Json) -> list[Json]:
    return [way for each in schema["anyOf"] for way in ways(each)] if "anyOf" in schema else [schema]


def each_of(schema: Json, above: Place = ()) -> Iterator[tuple[Place, list[Json]]]:
    """Yield every parameter by its place, with the types of its value."""
    for name, inner in schema.get("properties", {}).items():
        place, types = (*above, name), ways(inner)
        yield place, types
        for each in types:
            many = each.get("type") == "array"
            for part in ways(each["items"]) if many else [each]:
                yield from each_of(library.resolve(part), (*place, "0") if many else place)
                for value in ways(part["additionalProperties"]) if "additionalProperties" in part else ():
                    yield from each_of(library.resolve(value), (*place, "eur"))


def sample(name: str, schema: Json) -> Any:
    if schema.get("type") == "string" and (word := name.rpartition("_")[2]) in WORDS:
        return WORDS[word]
    if "enum" in schema:
        return next(word for word in schema["enum"] if word) if any(schema["enum"]) else ""
    if schema.get("type") == "array":
        return [sample(name, ways(schema["items"])[0])]
    if "class" in schema or schema.get("type") == "object":
        told = library.resolve(schema)
        return {each: sample(each, ways(told["properties"][each])[0]) for each in told.get("required", ())}
    return SAMPLES[schema["type"]]


def nest(place: Place, value: Any) -> Any:
    for name in reversed(place):
        value = [value] if name == "0" else {name: value}
    return value


def is_sent(kind: str, verb: str, place: Place, value: Any) -> bool:
    """Whether the service takes this value at this place, and would send it as it is."""
    model, body = created_kinds()[kind], nest(place, value)
    try:
        validate(model, body, verb)
    except Invalid as invalid:
        label = ".".join(place)
        if any(label.startswith(f"{each}.") or f"{each}.".startswith(f"{label}.") for each in invalid.errors):
            return False
    if place == ("id",) and model.resource.accepts_custom_id:
        return True
    sent = params(model, body, verb)
    for name in place:
        sent = sent[int(name)] if name == "0" else sent[name]
    return bool(sent == value or value == {})


def counted() -> Iterator[tuple[str, str, list[tuple[str, str | None]]]]:
    """Yield each kind and verb with its parameters: the path of each, and why it is refused, or None."""
    for kind, verb, schema in calls():
        found = []
        for place, types in each_of(schema):
            path = ".".join(name for name in place if name not in ("0", "eur"))
            texts = [each for each in types if sample(place[-1], each) not in ("", None)]
            taken = all(is_sent(kind, verb, place, sample(place[-1], each)) for each in texts)
            found.append((path, None if taken else why_ours(kind, path) or "?"))
        yield kind, verb, found


def test_nearly_every_parameter_of_stripe_s_is_taken_and_the_others_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines, refused, top = [f"{'kind':18} {'verb':20} parameters  at any depth   ours"], {}, [0, 0]
    for kind, verb, found in counted():
        theirs = [(path, why) for path, why in found if why is None or why == "?"]
        taken = [path for path, why in theirs if why is None]
        refused |= {f"{kind}.{path}": why for path, why in found if why}
        first = [path for path, _ in theirs if "." not in path]
        taken_first = [path for path in taken if "." not in path]
        top = [top[0] + len(taken_first), top[1] + len(first)]
        lines.append(
            f"{kind:18} {verb:20} {len(taken_first):4} /{len(first):4} {len(taken):6} /{len(theirs):5} "
            f"{len(found) - len(theirs):6}"
        )
        assert not theirs or len(taken) / len(theirs) >= LEAST, (kind, verb)
        assert not first or len(taken_first) / len(first) >= LEAST, (kind, verb)
    lines += [f"{top[0]} of {top[1]} parameters of calls", "", "refused:"]
    lines += [f"  {path}: {why}" for path, why in sorted(refused.items()) if path.rpartition(".")[2] not in OURS]
    lines += [f"  {name}, at any depth: {why}" for name, why in OURS.items()]
    with capsys.disabled():
        print("", *lines, sep="\n")

    assert "?" not in refused.values()
    assert {path for path in refused if path.rpartition(".")[2] not in OURS} == OURS_AT.keys()
    assert top[1] > 600


def test_what_a_new_stripe_python_changed_is_seen() -> None:
    stored, now = parameters.FILE.read_text().splitlines(), parameters.text().splitlines()

    changed = "\n".join(unified_diff(stored, now, "stored", "stripe-python", lineterm="", n=0))
    assert not changed, f"review it, say it in CHANGELOG.md, and run `make types`:\n{changed}"
