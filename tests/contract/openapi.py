"""Stripe's OpenAPI file (API 2026-05-27.dahlia) as an independent source: parameters and objects."""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

VERSION = "2026-05-27.dahlia"
SHARED = Path(__file__).parents[3] / "shared/stripe-openapi"
PATH = Path(os.environ.get("STRIPE_OPENAPI", SHARED / VERSION / "spec3.json"))
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
Json = dict[str, Any]


@cache
def document() -> Json:
    """Return the whole file, or an empty one if it is not available."""
    return json.loads(PATH.read_text()) if PATH.exists() else {"paths": {}, "components": {"schemas": {}}}


def schemas() -> Json:
    found: Json = document()["components"]["schemas"]
    return found


def resolve(schema: Json) -> Json:
    return schemas()[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


@cache
def calls() -> dict[tuple[str, str], Json]:
    """Return every operation by its method and path, with `{}` for each id."""
    return {
        (method, re.sub(r"\{\w+\}", "{}", path)): operation
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    }


def call(method: str, path: str) -> Json | None:
    """Return the parameters of a call, or None if the file does not have it. `{}` stands for an id."""
    operation = calls().get((method, path))
    if operation is None:
        return None
    if method == "get":
        told = [each for each in operation.get("parameters", []) if each["in"] == "query"]
        return {
            "type": "object",
            "properties": {each["name"]: each["schema"] for each in told},
            "required": [each["name"] for each in told if each.get("required")],
        }
    content = operation.get("requestBody", {}).get("content", {})
    schema: Json = next((content[form]["schema"] for form in FORMS if form in content), {})
    return {**schema, "type": "object", "properties": schema.get("properties", {})}


def reply(method: str, path: str, status: int) -> Json | None:
    """Return the schema of a call's reply."""
    operation = calls().get((method, path))
    if operation is None:
        return None
    found: Json = operation["responses"]["200" if status == 200 else "default"]["content"]["application/json"]["schema"]
    return found


def media(method: str, path: str) -> set[str]:
    """Return the media types of a call's good reply."""
    return {*calls().get((method, path), {"responses": {"200": {"content": ()}}})["responses"]["200"]["content"]}


@cache
def _objects() -> dict[tuple[str, bool], str]:
    """Return the schemas of every kind of object, and of deleted ones."""
    found: dict[tuple[str, bool], str] = {}
    for name, schema in schemas().items():
        for kind in schema.get("properties", {}).get("object", {}).get("enum", ()):
            place = kind, name.startswith("deleted_")
            if place not in found or name == kind:
                found[place] = name
    return found


def object(kind: str, deleted: bool = False) -> Json | None:
    name = _objects().get((kind, deleted))
    return schemas()[name] if name else None
