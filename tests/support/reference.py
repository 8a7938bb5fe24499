"""The reference page of the Python API, made from its docstrings: `python -m tests.support.reference` prints it."""

import ast
import inspect
import re
import sys
from textwrap import dedent
from typing import Any

import stripe_mongo_sync
from stripe_mongo_sync import aio

PAGES = {
    "Connect": ("connect", "disconnect", "current"),
    "Every type": ("create", "get", "find", "update", "delete", "act"),
    "In the shop's words": (
        *("create_customer", "set_payment_method", "open_portal", "create_order", "refund_order"),
        *("create_preview", "quote_pdf", "attach_evidence", "record_usage", "access"),
    ),
    "Hear of what happened": ("on", "Notice"),
    "Serve": ("init_app", "create_app", "requires_access"),
}
HEAD = """# The Python API

Made from the docstrings by `make types`: `from stripe_mongo_sync import connect, create, get`. What waits is a
coroutine in `stripe_mongo_sync.aio`. See also: [settings](../README.md#settings), [types and kinds](TYPES.md), and what
a hook may rely on: [hooks.md](hooks.md).
"""
FIELD = re.compile(r"^    (\w+): (.+?)(?: = .+?)?  # (.+)$", re.MULTILINE)


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for title, names in PAGES.items():
        parts += [f"## {title}\n", *(_entry(name, getattr(stripe_mongo_sync, name)) for name in names)]
    rest = [name for name in stripe_mongo_sync.__all__ if not any(name in names for names in PAGES.values())]
    parts += ["## What is raised\n", *_errors(rest)]
    parts += ["## Without waiting: `stripe_mongo_sync.aio`\n", f"{inspect.getdoc(aio)}\n"]
    return "\n".join(parts)


def examples(name: str) -> list[str]:
    """Return the code of the examples in the docstring of a public name."""
    return [dedent(each) for each in re.findall(r"^Example:\n\n((?:    .*\n?|\n)+)", _doc(name), re.MULTILINE)]


def _doc(name: str) -> str:
    return inspect.getdoc(getattr(stripe_mongo_sync, name)) or ""


def _entry(name: str, found: Any) -> str:
    told = re.sub(
        r"^Example:\n\n((?:    .*\n?|\n)+)",
        lambda each: f"```python\n{dedent(each[1]).strip()}\n```\n",
        _doc(name),
        flags=re.MULTILINE,
    )
    signed = "\n".join(_signatures(found))
    fields = "\n".join(f"- `{name}`: {says}" for name, _, says in FIELD.findall(inspect.getsource(found)))
    return "\n".join([f"### {name}\n", *([f"```\n{signed}\n```\n"] if signed else []), f"{told.strip()}\n"]) + (
        f"\n{fields}\n" if inspect.isclass(found) else ""
    )


def _signatures(found: Any) -> list[str]:
    """Return how a function is called, in each of the ways that it has."""
    if inspect.isclass(found):
        return []
    module = ast.parse(inspect.getsource(sys.modules[found.__module__]))
    named = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == found.__name__]
    return [
        f"{node.name}({_spelled(ast.unparse(node.args))}) -> "
        + re.sub(r"\bAny(?=\]?$)", "document", _spelled(ast.unparse(node.returns or ast.Constant(None))))
        for node in named[:-1] or named
    ]


def _spelled(annotations: str) -> str:
    """Return annotations with words that say what is meant."""
    told = annotations.replace("'", "").replace("type[D]", "class").replace("Created", "str").replace("Kind", "str")
    return re.sub(r"(?<=\S)=(?=\S)", " = ", re.sub(r"\bD\b", "document", told))


def _errors(names: list[str]) -> list[str]:
    lines = ["| error | says | carries |", "|---|---|---|"]
    for name in names:
        kind = getattr(stripe_mongo_sync, name)
        says = getattr(kind, "says", None) or _doc(name).splitlines()[0]
        carried = ", ".join(f"`{each}`" for each in _carried(kind))
        lines.append(f"| `{name}` | {says} | {carried} |")
    return ["\n".join(lines) + "\n"]


def _carried(kind: Any) -> list[str]:
    """Return what an error has beside its message: its properties, and what its classes set when one is made."""
    found = []
    for each in kind.__mro__:
        if each.__module__.startswith(stripe_mongo_sync.__name__):
            found += re.findall(r"^        self\.(\w+)\b.* = ", inspect.getsource(each), re.MULTILINE)
            found += [name for name, value in vars(each).items() if isinstance(value, property)]
    return sorted(set(found))


if __name__ == "__main__":
    print(page(), end="")
