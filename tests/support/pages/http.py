"""The page of the HTTP API: a table for each part of the OpenAPI document, and one of all problems."""

from typing import Any

from stripe_mongo_sync.api.app import unconnected_app
from stripe_mongo_sync.api.components import GUARDED, PROBLEMS
from stripe_mongo_sync.api.openapi import describe
from tests.support.pages.tables import MADE, code, table

SHARED = {str(PROBLEMS[name][0]) for name in GUARDED}  # answers of every operation that needs a token


def page() -> str:
    """Return the page."""
    document = describe(unconnected_app())
    parts = (f"## {tag['name']}\n\n{tag['description']}\n\n{_operations(document, tag)}\n" for tag in document["tags"])
    problems = sorted((str(status), code([name]), says or "") for name, (status, says) in PROBLEMS.items())
    return f"""# The HTTP API

{MADE} A running service shows all of it, with every parameter, field and answer: at
`/docs`, where each call can be tried, and as OpenAPI 3.1 at `/openapi.json`.

- **Scope** is what the token in `Authorization: Bearer …` must be allowed ([tokens](settings.md)).
- **200** and **201** mean done, **202** accepted with an outcome that is not known yet: GET the `Location` later. Any
  other status is a [problem](#problems). Wherever a token is required, {", ".join(sorted(SHARED))} are possible, too.
- `{{reference}}` is the document's id, or Stripe's; for a customer, also the username.

{"".join(parts)}## Problems

They are `application/problem+json`; the `type` ends with the name.

{table(("status", "name", "when"), problems)}"""


def _operations(document: dict[str, Any], tag: dict[str, str]) -> str:
    found = (
        (code([f"{method.upper()} {path}"]), operation["summary"], _scope(operation), ", ".join(_answers(operation)))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if tag["name"] in operation["tags"]
    )
    return table(("operation", "what it does", "scope", "answers"), found)


def _scope(operation: dict[str, Any]) -> str:
    return code(scope for each in operation["security"] for scopes in each.values() for scope in scopes) or "public"


def _answers(operation: dict[str, Any]) -> list[str]:
    return [status for status in operation["responses"] if not operation["security"] or status not in SHARED]
