"""The parameters that Stripe's API takes, as the types of the installed stripe-python say it.

Each call has a TypedDict in `stripe.params`. It is read by its annotations when a request first needs it, level by
level, so that neither a start nor a command reads any. A call of our own has a TypedDict in `models/`, read likewise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, reduce
from operator import attrgetter, or_
from sys import modules
from types import UnionType
from typing import Any, ForwardRef, Literal, Union, cast, get_args, get_origin

import typing_extensions

JSON: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    Decimal: "decimal",  # a text, because a JSON number is not exact
}
UNSET = ""  # the word by which a form unsets a parameter


@dataclass(frozen=True, slots=True)
class Shape:
    """The values that a parameter takes: the union of all that is said here."""

    plain: frozenset[str] = frozenset()  # of the values of JSON
    words: tuple[str, ...] = ()  # any other word is Stripe's to refuse, where `plain` has "string"
    unset: bool = False  # "" unsets it
    items: "Shape | None" = None  # of a list
    values: "Shape | None" = None  # of an object with any names
    fields: "Fields | None" = None  # the TypedDict of an object, or those of several
    required: bool = False

    def __or__(self, other: "Shape") -> "Shape":
        return Shape(
            self.plain | other.plain,
            tuple(dict.fromkeys((*self.words, *other.words))),
            self.unset or other.unset,
            self.items | other.items if self.items and other.items else self.items or other.items,
            self.values | other.values if self.values and other.values else self.values or other.values,
            _either(self.fields, other.fields),
        )


Fields = type | tuple[type, ...]
Table = Mapping[str, Shape]


@cache
def call(name: str) -> type | None:
    """Return the TypedDict of a call's parameters, by its name in `stripe.params`; None if there is no such call."""
    import stripe.params

    try:
        return cast("type", attrgetter(name)(stripe.params))
    except AttributeError:
        return None


def types_in(fields: Fields | None) -> tuple[type, ...]:
    """Return the TypedDicts of an object: one, several of which it is any, or none."""
    return fields if isinstance(fields, tuple) else (() if fields is None else (fields,))


def _either(one: Fields | None, other: Fields | None) -> Fields | None:
    both = tuple(dict.fromkeys((*types_in(one), *types_in(other))))
    return both if len(both) > 1 else next(iter(both), None)


def together(tables: Iterable[Table]) -> Table:
    """Return the parameters of several calls together, of which one requires what it requires."""
    found: dict[str, Shape] = {}
    for name, shape in (each for table in tables for each in table.items()):
        known = found.get(name, Shape())
        found[name] = replace(known | shape, required=known.required or shape.required)
    return found


@cache
def table(fields: Any) -> Table:
    """Return the parameters of a TypedDict, or of an object in one, by name; the options of a request are none.

    Of several TypedDicts, any may be meant, so only what all require is required.
    """
    from stripe import RequestOptions

    if isinstance(fields, tuple):
        each = [table(one) for one in fields]
        return {
            name: replace(shape, required=all(name in one and one[name].required for one in each))
            for name, shape in together(each).items()
        }
    options = RequestOptions.__annotations__
    annotations = {name: each for name, each in fields.__annotations__.items() if name not in options}
    names = vars(modules[fields.__module__])
    return {
        name: replace(_shape(each, names), required=name in fields.__required_keys__)
        for name, each in annotations.items()
    }


def _shape(annotation: Any, names: dict[str, Any]) -> Shape:
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        return _shape(eval(annotation, names), names)  # noqa: S307 - the text is stripe-python's, or our own
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation in JSON:
        return Shape(plain=frozenset([JSON[annotation]]))
    if origin in (Union, UnionType):
        return reduce(or_, (_shape(each, names) for each in args))
    if origin is Literal:
        words = tuple(word for word in args if isinstance(word, str) and word != UNSET)
        flags = frozenset("boolean" for word in args if isinstance(word, bool))
        return Shape(plain=flags, words=words, unset=UNSET in args)
    if origin in (typing_extensions.NotRequired, typing_extensions.Required):
        return _shape(args[0], names)
    if origin is list:
        return Shape(items=_shape(args[0], names))
    if typing_extensions.is_typeddict(annotation):
        return Shape(fields=annotation)
    return Shape(values=_shape(args[-1], names))  # Dict[str, …], also as an UntypedStripeObject
