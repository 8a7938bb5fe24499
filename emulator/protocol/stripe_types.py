"""Completes the parameters of a call by what stripe-python says of it, so that all that Stripe takes is taken.

A field that is written down in `objects/` wins: it has the limits and effects. Any other one is read, and shown where
the object has a field of that name and form; else it is hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property, partial
from importlib import import_module
from inspect import isclass
from operator import attrgetter
from sys import modules
from types import UnionType
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

import typing_extensions

from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import (
    Field,
    Fields,
    Flag,
    Hash,
    Lazy,
    Many,
    MapOf,
    Metadata,
    Number,
    OneOf,
    Ref,
    Text,
    Whole,
    alive,
)

KINDS = {
    **{name: name for name in ("coupon", "customer", "invoice", "payment_intent", "payment_method", "price")},
    **{name: name for name in ("product", "promotion_code", "shipping_rate", "subscription")},
    **{"default_payment_method": "payment_method", "default_price": "price", "products": "product"},
    **{"from_subscription": "subscription", "schedule": "subscription_schedule"},
    **dict.fromkeys(("default_tax_rates", "tax_rates"), "tax_rate"),
}
PLAIN: dict[Any, Callable[[], Field]] = {
    int: Whole,
    float: Number,
    bool: Flag,
    Decimal: lambda: Number(exact=True),
}


@dataclass(frozen=True, kw_only=True)
class Either(Field):
    """A parameter of several types: the first that can read it does."""

    ways: tuple[Field, ...]

    def parse(self, raw: Any, name: str) -> Any:
        problem: errors.Problem | None = None
        for way in self.ways:
            try:
                return way.parse(raw, name)
            except errors.Problem as error:
                problem = problem or error
        raise problem or errors.invalid(f"Invalid {name}", name)


class AnyText(Text):
    """A text of which stripe-python does not say how long it may be."""


class Completed(Lazy):
    """Fields, and those that stripe-python's type has besides; read when they are first needed."""

    def __init__(self, known: Fields, type: Callable[[], Any], shown: Callable[[], Any]) -> None:
        self._known, self._type, self._shown = known, type, shown

    def __getitem__(self, name: str) -> Field:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def alive(self, version: str) -> Fields:
        """Return those that this version of the API knows, as far as they are written down here."""
        left = alive(self._known, version)
        return self if left == dict(self._known) else Completed(left, self._type, self._shown)

    @cached_property
    def _all(self) -> dict[str, Field]:
        type = self._type()
        if type is None:
            return dict(self._known)
        names, shown = vars(modules[type.__module__]), self._shown()
        from stripe import RequestOptions

        more = {}
        for name, annotation in type.__annotations__.items():
            if name in RequestOptions.__annotations__ or name == "expand":
                continue
            types = list(_types(annotation, names))
            seen = _seen(shown, name)
            known = self._known.get(name)
            if known is not None:
                more[name] = _deeper(known, types)
            else:
                found = _field(name, types, seen)
                more[name] = replace(
                    found, required=name in type.__required_keys__, hidden=found.hidden or not _fits(found, seen)
                )
        return {**self._known, **more}


def completed(kind: str, verbs: tuple[str, ...], known: Fields) -> Fields:
    """Return the fields of a call with those of the first of stripe-python's types that has the name of one verb."""
    return Completed(known, lambda: _call(kind, verbs), lambda: _object(kind))


def _object(kind: str) -> Any:
    from stripe._object_classes import OBJECT_CLASSES

    place = OBJECT_CLASSES.get(kind)
    return getattr(import_module(place[0]), place[1]) if place else None


def _call(kind: str, verbs: tuple[str, ...]) -> Any:
    import stripe.params

    owner = _object(kind)
    if owner is None:
        return None
    room = owner.__module__.split(".")[1:-1]
    for verb in verbs:
        word = "".join(part.title() for part in verb.split("_"))
        try:
            return attrgetter(".".join([*room, f"{owner.__name__}{word}Params"]))(stripe.params)
        except AttributeError:
            continue
    return None


def _types(annotation: Any, names: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the alternatives of an annotation."""
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        annotation = eval(annotation, dict(names))  # noqa: S307 - the text is stripe-python's
        yield from _types(annotation, names)
    elif get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _types(each, names)
    elif get_origin(annotation) in (typing_extensions.NotRequired, typing_extensions.Required):
        yield from _types(get_args(annotation)[0], names)
    elif get_origin(annotation) is list:
        yield [*_types(get_args(annotation)[0], names)]
    else:
        yield annotation


def _seen(shown: Any, name: str) -> list[Any]:
    """Return the types of the object's field of that name; none if it has none."""
    annotation = getattr(shown, "__annotations__", {}).get(name)
    if annotation is None:
        return []
    try:
        return [
            *_types(annotation, {**vars(import_module("typing")), **vars(shown), **vars(modules[shown.__module__])})
        ]
    except (NameError, AttributeError):  # a name that only type checkers import: another object, or its id
        return [str]


def _field(name: str, types: list[Any], seen: list[Any]) -> Field:
    ways: list[Field] = []
    words = [word for each in types if get_origin(each) is Literal for word in get_args(each)]
    texts = [word for word in words if isinstance(word, str) and word]
    if name == "metadata":
        return Metadata()
    for each in types:
        if isinstance(each, list):
            ways.append(Many(each=_field(name, each, [one for many in seen if isinstance(many, list) for one in many])))
        elif typing_extensions.is_typeddict(each):
            parts = next((one for one in seen if _is_part(one)), None)
            ways.append(Hash(fields=Completed({}, partial(_same, each), partial(_same, parts)), fill=False))
        elif each in PLAIN:
            ways.append(PLAIN[each]())
        elif each is str and not texts:
            ways.append(Ref(kind=KINDS[name]) if name in KINDS else AnyText())
        elif get_origin(each) is dict:
            inner = [*_types(get_args(each)[1], vars(modules[__name__]))] if get_args(each) else [str]
            ways.append(MapOf(each=_field("", inner, []), hidden=True))
    ways += [OneOf(values=tuple(texts))] if texts else []
    ways += [Flag()] if any(isinstance(word, bool) for word in words) else []
    return ways[0] if len(ways) == 1 else Either(ways=tuple(ways))


def _same(value: Any) -> Any:
    return value


def _is_part(type: Any) -> bool:
    from stripe._stripe_object import StripeObject

    return isclass(type) and issubclass(type, StripeObject)


def _fits(field: Field, seen: list[Any]) -> bool:
    """Whether the object's field of the same name has the form of the parameter."""
    match field:
        case Hash():
            return any(map(_is_part, seen))
        case Many(each=each):
            return any(isinstance(one, list) and _fits(each, one) for one in seen) and not isinstance(each, Hash)
        case MapOf():
            return False
        case Whole() | Number() | Flag():
            return any(one in PLAIN or get_origin(one) is Literal for one in seen if not isinstance(one, list))
        case Either():
            return False
    return any(one is str or get_origin(one) is Literal for one in seen if not isinstance(one, list))


def _deeper(known: Field, types: list[Any]) -> Field:
    """Return a known field, with the parts that stripe-python's type has besides, hidden."""
    for each in types:
        if isinstance(known, Hash) and typing_extensions.is_typeddict(each):
            return replace(known, fields=Completed(known.fields, partial(_same, each), partial(_same, None)))
        if isinstance(known, Many) and isinstance(each, list):
            return replace(known, each=_deeper(known.each, each))
    return known
