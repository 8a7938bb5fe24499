"""The parameters that Stripe's calls take, as a text: `python -m tests.support.parameters` stores it.

A test compares it with the installed stripe-python, so that an upgrade shows what it brought. Objects with the same
fields are written down once. `*`: required; `""`: may be unset.
"""

from stripe_mongo_sync.models import created_kinds
from stripe_mongo_sync.models.params.table import Shape, Table, table, types_in
from tests.support import ROOT

FILE = ROOT / "tests/contract/parameters.txt"


def text() -> str:
    """Return the text of what the installed stripe-python says."""
    names: dict[str, str] = {}
    calls = [
        f"{kind}.{verb} {written}"
        for kind, model in created_kinds().items()
        for verb in ("create", "update", *model.resource.actions)
        if (written := _object(model.resource.takes(verb), names)) != "{}"
    ]
    return "\n".join([*calls, "", *sorted(f"{name} {body}" for body, name in names.items())]) + "\n"


def _object(fields: Table, names: dict[str, str]) -> str:
    return f"{{{', '.join(f'{name}{_shape(shape, names)}' for name, shape in sorted(fields.items()))}}}"


def _shape(shape: Shape, names: dict[str, str]) -> str:
    words = [] if "string" in shape.plain else ["|".join(shape.words)]  # else Stripe judges the words
    ways = [*sorted(shape.plain), *filter(None, words), *(['""'] if shape.unset else [])]
    ways += [f"[{_shape(shape.items, names).lstrip(':* ')}]"] if shape.items else []
    ways += [f"<{_shape(shape.values, names).lstrip(':* ')}>"] if shape.values else []
    for fields in types_in(shape.fields):
        ways.append(names.setdefault(_object(table(fields), names), fields.__name__))
    return f"{'*' if shape.required else ''}: {' or '.join(ways)}"


if __name__ == "__main__":
    FILE.write_text(text())
