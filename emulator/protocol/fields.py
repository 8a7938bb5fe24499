"""The types of parameters: a field reads one value of a form, or raises Stripe's error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.currencies import CURRENCIES
from stripe_mongo_sync.emulator.protocol.forms import UPLOADED, items
from stripe_mongo_sync.emulator.protocol.wire import Json

EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


@dataclass(frozen=True, kw_only=True)
class Field:
    """A parameter. `read` returns None for '' (unset), else the parsed value; raises Problem."""

    required: bool = False
    unset: bool = True  # '' clears the field
    hidden: bool = False  # affects the call, and is not shown in the object
    until: str = ""  # the version of the API that removed it

    def read(self, raw: Any, name: str) -> Any:
        if raw == "":
            if self.required or not self.unset:
                raise errors.empty(name)
            return None
        return self.parse(raw, name)

    def parse(self, raw: Any, name: str) -> Any:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Text(Field):
    longest: int = 5000
    pattern: str | None = None

    def parse(self, raw: Any, name: str) -> Any:
        if not isinstance(raw, str):
            raise errors.invalid(f"Invalid string: {raw}", name)
        if len(raw) > self.longest:
            shown = f"{raw[:10]}...{raw[-5:]}"
            raise errors.invalid(f"Invalid string: {shown}; must be at most {self.longest} characters", name)
        if self.pattern is not None and not re.fullmatch(self.pattern, raw):
            raise errors.invalid(f"Invalid {name}: {raw}", name)
        return raw


@dataclass(frozen=True, kw_only=True)
class Ref(Text):
    """The id of another object, which must exist when the request is executed."""

    kind: str


@dataclass(frozen=True, kw_only=True)
class Email(Text):
    longest: int = 512

    def parse(self, raw: Any, name: str) -> Any:
        text = super().parse(raw, name)
        if not EMAIL.fullmatch(text):
            raise errors.invalid(f"Invalid email address: {text}", name, "email_invalid")
        return text


@dataclass(frozen=True, kw_only=True)
class Currency(Text):
    """A currency of three letters in either case; stored in lower case."""

    def parse(self, raw: Any, name: str) -> Any:
        text = super().parse(raw, name).lower()
        if text not in CURRENCIES:
            known = ", ".join(CURRENCIES)
            raise errors.invalid(f"Invalid currency: {text}. Stripe currently supports these currencies: {known}", name)
        return text


@dataclass(frozen=True, kw_only=True)
class OneOf(Text):
    values: tuple[str, ...]

    def parse(self, raw: Any, name: str) -> Any:
        if raw not in self.values:
            *rest, last = self.values
            choice = f"one of {', '.join(rest)}{',' if len(rest) > 1 else ''} or {last}" if rest else last
            raise errors.invalid(f"Invalid {name}: must be {choice}", name)
        return raw


@dataclass(frozen=True, kw_only=True)
class Whole(Field):
    least: int = -(2**63)
    most: int = 2**63 - 1

    def parse(self, raw: Any, name: str) -> Any:
        if not isinstance(raw, str) or not re.fullmatch(r"[+-]?[0-9]{1,20}", raw):
            raise errors.invalid(f"Invalid integer: {raw}", name, "parameter_invalid_integer")
        number = int(raw)
        if number < self.least:
            raise errors.invalid(
                f"This value must be greater than or equal to {self.least}.", name, "parameter_invalid_integer"
            )
        if number > self.most:
            raise errors.invalid(
                f"This value must be less than or equal to {self.most}.", name, "parameter_invalid_integer"
            )
        return number


@dataclass(frozen=True, kw_only=True)
class Time(Whole):
    """Seconds since the epoch."""

    least: int = 0
    most: int = 2**40

    def parse(self, raw: Any, name: str) -> Any:
        try:
            return super().parse(raw, name)
        except errors.Problem as problem:
            raise errors.invalid("Invalid timestamp: must be an integer Unix timestamp in seconds.", name) from problem


@dataclass(frozen=True, kw_only=True)
class Moment(Time):
    """Seconds since the epoch, or `now`."""

    def parse(self, raw: Any, name: str) -> Any:
        return raw if raw == "now" else super().parse(raw, name)


@dataclass(frozen=True, kw_only=True)
class Flag(Field):
    unset: bool = False

    def parse(self, raw: Any, name: str) -> Any:
        if raw not in ("true", "false"):
            raise errors.invalid(f"Invalid boolean: {raw}", name)
        return raw == "true"


@dataclass(frozen=True, kw_only=True)
class Number(Field):
    """A decimal number above `above` and up to `most`, read as text if `exact`, else as a float."""

    above: float = float("-inf")
    most: float = float("inf")
    exact: bool = False

    def parse(self, raw: Any, name: str) -> Any:
        try:
            number = Decimal(raw) if isinstance(raw, str) and re.fullmatch(r"[+-]?[0-9.]{1,32}", raw) else None
        except InvalidOperation:
            number = None
        if number is None or -number.as_tuple().exponent > 12:  # type: ignore[operator]
            raise errors.invalid(f"Invalid decimal: {raw}", name, "parameter_invalid_decimal" if self.exact else None)
        if not self.above < number <= self.most:
            limit = f" and less than or equal to {self.most:g}" if self.most != float("inf") else ""
            raise errors.invalid(f"Invalid {name}: must be greater than {self.above:g}{limit}.", name)
        return f"{number.normalize():f}" if self.exact else float(number)


Fields = Mapping[str, Field]


class Lazy(Mapping[str, Field]):
    """Fields that are found when they are first needed."""

    def alive(self, version: str) -> Fields:
        """Return those that this version of the API knows."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Hash(Field):
    fields: Fields
    fill: bool = True  # missing fields are shown as null
    merge: bool = False  # an update changes only the fields that it names

    def parse(self, raw: Any, name: str) -> Any:
        if not isinstance(raw, dict):
            raise errors.invalid("Invalid object", name)
        given = read(self.fields, raw, name)
        if not self.fill or self.merge:
            return given
        return {each: None for each, field in self.fields.items() if not field.hidden} | given


@dataclass(frozen=True, kw_only=True)
class Many(Field):
    each: Field
    most: int = 1000

    def parse(self, raw: Any, name: str) -> Any:
        elements = items(raw)
        if elements is None:
            raise errors.invalid("Invalid array", name)
        if len(elements) > self.most:
            raise errors.invalid(f"Array {name} exceeded maximum {self.most} allowed elements.", name)
        return [self.each.parse(value, f"{name}[{index}]") for index, value in enumerate(elements)]


@dataclass(frozen=True, kw_only=True)
class MapOf(Field):
    """A hash with any keys, such as currency_options."""

    each: Field

    def parse(self, raw: Any, name: str) -> Any:
        if not isinstance(raw, dict):
            raise errors.invalid("Invalid object", name)
        return {key: self.each.read(value, f"{name}[{key}]") for key, value in raw.items()}


@dataclass(frozen=True, kw_only=True)
class Metadata(Field):
    """50 keys of 40 characters, values of 500; '' removes a key, or all (stripe-facts.md#requests-and-replies)."""

    def parse(self, raw: Any, name: str) -> Any:
        if not isinstance(raw, dict):
            raise errors.invalid("Invalid object", name)
        if len(raw) > 50:
            raise errors.invalid("You can only have up to 50 metadata keys.", name)
        for key, value in raw.items():
            if len(key) > 40:
                raise errors.invalid(f"Metadata keys can have up to 40 characters, but you passed in: {key}", name)
            if not isinstance(value, str):
                raise errors.invalid(f"Invalid string: {value}", f"{name}[{key}]")
            if len(value) > 500:
                raise errors.invalid(
                    "Metadata values can have up to 500 characters, but you passed in a value that is "
                    f"{len(value)} characters. Invalid value: {value[:20]}...",
                    f"{name}[{key}]",
                )
        return raw


@dataclass(frozen=True, kw_only=True)
class Upload(Field):
    """A file of a multipart form: {"filename", "content"}, which are bytes."""

    def parse(self, raw: Any, name: str) -> Any:
        if not isinstance(raw, dict) or raw.keys() != {UPLOADED}:
            raise errors.invalid("Invalid file: send it as a part of multipart/form-data.", name)
        file = raw[UPLOADED]
        return {"filename": file["filename"], "content": file["content"].encode("latin-1")}


def alive(fields: Fields, version: str) -> dict[str, Field]:
    """Return the fields that this version of the API knows."""
    known = {name: each for name, each in fields.items() if not each.until or version < each.until}
    return {name: _alive(each, version) for name, each in known.items()}


def _alive(field: Field, version: str) -> Field:
    match field:
        case Hash(fields=inner) if isinstance(inner, Lazy):
            return replace(field, fields=inner.alive(version))
        case Hash(fields=inner) if (left := alive(inner, version)) != inner:
            return replace(field, fields=left)
        case Many(each=each) if (part := _alive(each, version)) is not each:
            return replace(field, each=part)
    return field


def read(fields: Fields, raw: Json, prefix: str = "") -> Json:
    """Return the typed parameters. Raises Stripe's first error."""

    def path(key: str) -> str:
        return f"{prefix}[{key}]" if prefix else key

    if unknown := [path(key) for key in raw if key not in fields]:
        raise errors.unknown(unknown)
    for key, field in fields.items():
        if field.required and key not in raw:
            raise errors.missing(path(key))
    return {key: fields[key].read(value, path(key)) for key, value in raw.items()}
