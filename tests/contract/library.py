"""stripe-python as an independent source: the types of its parameters and objects, as OpenAPI schemas."""

import importlib
import inspect
import re
import sys
import types
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, ForwardRef, Literal, TypeVar, Union, get_args, get_origin

import stripe
import typing_extensions
from stripe._list_object import ListObject
from stripe._object_classes import OBJECT_CLASSES
from stripe._stripe_object import StripeObject, UntypedStripeObject
from stripe.events._event_classes import get_v2_event_class

Json = dict[str, Any]
FILES = Path(stripe.__file__).parent
OPTIONS = stripe.RequestOptions.__annotations__.keys()
IMPORT = re.compile(r"from (stripe[\w.]*) import (\([^)]*\)|[^(\n]*)")
METHOD = re.compile(r"\n    def \w+\((.*?)\) -> [^\n]*:\n(.*?)(?=\n    (?:async )?def |\Z)", re.DOTALL)
CALL = re.compile(r'self\._request\(\s*"(\w+)",\s*"(/v1/[^"]+)"')
PLAIN: dict[Any, Json] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": "number"},
    Decimal: {"type": "string"},  # sent and shown as a string
    type(None): {"type": "null"},
}


def resolve(schema: Json) -> Json:
    """Return the schema of a class: {"class": stripe.Customer}."""
    return _of_class(schema["class"]) if "class" in schema else schema


@cache
def calls() -> dict[tuple[str, str], tuple[str, str] | None]:
    """Return the calls of its services, with `{}` for each id, and where the type of their parameters is."""
    found: dict[tuple[str, str], tuple[str, str] | None] = {}
    for file in FILES.rglob("_*_service.py"):
        source = file.read_text()
        origin = _imports(source)
        for arguments, body in METHOD.findall(source):
            if call := CALL.search(body):
                named = re.search(r"\w+Params", arguments)
                found[call[1], shape(call[2])] = origin[named[0]] if named else None
    return found


def shape(path: str) -> str:
    return re.sub(r"\{\w*\}", "{}", path)


def call(method: str, path: str) -> Json | None:
    """Return the parameters of a call, or None if there is no such call. `{}` stands for an id."""
    try:
        where = calls()[method, shape(path)]
    except KeyError:
        return None
    return resolve({"class": _load(*where)}) if where else {"type": "object", "properties": {}}


def object(kind: str) -> Json | None:
    """Return the schema of a kind of object. Every property may be missing."""
    found = OBJECT_CLASSES.get(kind)
    return {"class": _load(*found)} if found else None


def thin_event(type: str) -> Json:
    """Return the schema of a thin event, or of all thin events if the library does not know the type."""
    return {"class": get_v2_event_class(type)}


ERROR: Json = {"type": "object", "properties": {"error": {"class": stripe.ErrorObject}}}


def _load(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _imports(source: str) -> dict[str, tuple[str, str]]:
    """Return the module of each imported name, including imports for the type checker."""
    return {
        known or name: (module, name)
        for module, names in IMPORT.findall(source)
        for name, known in re.findall(r"(\w+)(?: as (\w+))?", names)
    }


class _Names(dict[str, Any]):
    """Return the names that a module's annotations use."""

    def __init__(self, module: str) -> None:
        super().__init__(vars(sys.modules[module]))
        self.file = sys.modules[module].__file__

    def __missing__(self, name: str) -> Any:
        return _load(*_imports(Path(str(self.file)).read_text())[name])


@cache
def _names(module: str) -> Mapping[str, Any]:
    return _Names(module)


@cache
def _of_class(kind: Any) -> Json:
    if typing_extensions.is_typeddict(kind):
        hidden = OPTIONS if kind.__annotations__.keys() >= OPTIONS else set()
        annotations = {name: each for name, each in kind.__annotations__.items() if name not in hidden}
        required = kind.__required_keys__ - hidden
    else:
        bases = [each for each in kind.__mro__ if issubclass(each, StripeObject) and each is not StripeObject]
        annotations = {name: each for base in bases[::-1] for name, each in inspect.get_annotations(base).items()}
        annotations = {name: each for name, each in annotations.items() if name[0] != "_" and name != "OBJECT_NAME"}
        required = annotations.keys()
        if not annotations:
            return {"type": "object"}
    module = kind.__module__
    properties = {name: _translated(each, module) for name, each in annotations.items()}
    return {"type": "object", "properties": properties, "required": sorted(required)}


def _translated(annotation: Any, module: str) -> Json:
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        annotation = eval(annotation, {}, _names(module))
        return _translated(annotation, module)
    if annotation in PLAIN:
        return PLAIN[annotation]
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return {"anyOf": _alternatives(args, module)}
    if origin in (Literal, typing_extensions.Literal):
        return {"type": "boolean"} if isinstance(args[0], bool) else {"type": "string", "enum": list(args)}
    if origin in (typing_extensions.NotRequired, typing_extensions.Required):
        return _translated(args[0], module)
    if origin is list:
        return {"type": "array", "items": _translated(args[0], module)}
    if origin in (dict, UntypedStripeObject):
        return {"type": "object", "additionalProperties": _translated(args[-1], module)}
    if isinstance(origin, type) and issubclass(origin, ListObject):
        plain = _of_class(origin)
        data = {"type": "array", "items": _translated(args[0], module)}
        return {**plain, "properties": {**plain["properties"], "object": {"type": "string"}, "data": data}}
    if typing_extensions.is_typeddict(annotation) or (
        isinstance(annotation, type) and issubclass(annotation, StripeObject)
    ):
        return {"class": annotation}
    assert annotation is Any or isinstance(annotation, TypeVar) or annotation is dict, annotation
    return {}


def _alternatives(args: tuple[Any, ...], module: str) -> list[Json]:
    """`Literal["a", "b"] | str` says that there may be newer values: what is known today is held to the list."""
    told = [_translated(each, module) for each in args]
    listed = any({*each.get("enum", ())} - {""} for each in told)
    return [each for each in told if not (listed and each == PLAIN[str])]
