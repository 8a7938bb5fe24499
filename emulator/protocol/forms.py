"""Reads forms, query strings and the JSON of the v2 API into nested values (stripe-facts.md#requests-and-replies)."""

from __future__ import annotations

import json
import re
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, quote_plus

from werkzeug.exceptions import HTTPException
from werkzeug.formparser import parse_form_data

from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.wire import Json, Request

KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
DEEPEST = 16  # levels of nesting; no parameter of Stripe's has more
UPLOADED = "\x00file"  # the key that marks a file of a multipart form: no parameter may contain a null byte


def decode(text: str) -> Json:
    """Return nested parameters: `a[b]=c` nests, `a[0]=` and `a[]=` make arrays. The last of equal names wins."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:  # a UnicodeDecodeError is one, too
        raise Problem(400, "Invalid request: the parameters could not be parsed as UTF-8 form data.") from error
    root: Json = {}
    for name, value in pairs:
        _put(root, name, value)
    return root


def params_of(request: Request) -> Json:
    """Return the parameters of a request, from its query and its body."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        return decode(request.query) | _parts(request.body, kind)
    try:
        body = request.body.decode()
    except UnicodeDecodeError as error:
        raise Problem(400, "Invalid request: the body is not valid UTF-8.", stored=False) from error
    if request.path.startswith("/v2/"):
        return decode(request.query) | _json(body or "{}")
    if body and "json" in kind:
        message = "Invalid request (check that your POST content type is application/x-www-form-urlencoded)."
        raise Problem(400, message, stored=False)
    return decode(request.query) | decode(body)


def _json(body: str) -> Json:
    """Return the parameters of a body of the v2 API."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise Problem(400, "Invalid request: the body is not a JSON object.", stored=False)
    return told


def _parts(body: bytes, kind: str) -> Json:
    """Return the fields of a multipart form; of a file, its name, and its bytes as a text, which JSON can hold."""
    environ = {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": kind}
    try:
        _, fields, files = parse_form_data(environ, lambda *_, **__: BytesIO(), silent=False)
    except (ValueError, HTTPException) as error:
        raise Problem(400, "Invalid request: the multipart form could not be parsed.", stored=False) from error
    if None in (*fields, *files):
        raise Problem(400, "Invalid request: a part of the multipart form has no name.", stored=False)
    root: Json = {}
    for name, value in fields.items(multi=True):
        _put(root, name, value)
    for name, file in files.items():
        root[name] = {UPLOADED: {"filename": file.filename, "content": file.read().decode("latin-1")}}
    return root


def shown(params: Json) -> Json:
    """Return parameters as a log shows them: of a file, only its name."""
    return {
        name: value[UPLOADED]["filename"] if isinstance(value, dict) and UPLOADED in value else value
        for name, value in params.items()
    }


def _put(root: Json, name: str, value: str) -> None:
    if "\x00" in name or "\x00" in value:
        raise Problem(400, "Invalid request: parameters cannot contain null bytes.")
    _place(root, _steps(name), value, name)


def _steps(name: str) -> list[str]:
    match = KEY.fullmatch(name)
    if match is None:
        raise Problem(400, f"Invalid parameter name: {name}", param=name)
    steps = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
    if len(steps) > DEEPEST:
        raise Problem(400, f"Invalid parameter name: {name} is nested too deeply", param=name)
    return steps


def _place(node: Any, steps: list[str], value: str, name: str) -> None:
    """Set the value at a path, creating the hashes and arrays on the way."""
    for here, below in zip(steps, [*steps[1:], None], strict=True):
        leaf = below is None
        if isinstance(node, list):
            if here != "":
                raise _conflict(name)
            if leaf:
                node.append(value)
                return
            # Rack's rule for `a[][b]=1&a[][c]=2`: one element, until a name comes again.
            if not node or not isinstance(node[-1], dict) or below in node[-1]:
                node.append([] if below == "" else {})
            node = node[-1]
        else:
            if here == "":
                raise _conflict(name)
            if leaf:
                if isinstance(node.get(here), dict | list):
                    raise _conflict(name)
                node[here] = value
                return
            wanted: type = list if below == "" else dict
            node = node.setdefault(here, wanted())
            if not isinstance(node, wanted):
                raise _conflict(name)


def _conflict(name: str) -> Problem:
    return Problem(400, f"Invalid parameter: {name} is given both as a value and as a hash or array", param=name)


def items(value: Any) -> list[Any] | None:
    """Return the elements of an array in either spelling, or None if the value is no array."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and all(key.isascii() and key.isdigit() for key in value):
        return [value[key] for key in sorted(value, key=lambda key: (len(key.lstrip("0")), key.lstrip("0")))]
    return None


def canonical(value: Any) -> Any:
    """Return a form that is equal for equal parameters, in any order and spelling of arrays."""
    if isinstance(value, dict):
        elements = items(value) if value else None
        if elements is not None:
            return [canonical(each) for each in elements]
        return {key: canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [canonical(each) for each in value]
    return value


def spell(value: Any) -> Any:
    """Return Python values as the strings of a form."""
    if isinstance(value, dict):
        return {str(key): spell(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [spell(each) for each in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def encode(params: Json) -> str:
    """Return the form body that stripe-python sends: arrays with an index, brackets literal."""

    def walk(name: str, value: Any) -> list[str]:
        if isinstance(value, dict):
            return [pair for key, each in value.items() for pair in walk(f"{name}[{key}]", each)]
        if isinstance(value, list):
            return [pair for index, each in enumerate(value) for pair in walk(f"{name}[{index}]", each)]
        return [f"{quote_plus(name, safe='[]')}={quote_plus(value)}"]

    return "&".join(pair for name, value in spell(params).items() for pair in walk(name, value))
