"""The page of the settings: what README says of them, and what the program says of a value that it does not take."""

import inspect
import re

from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.settings import Settings
from tests.support import ROOT
from tests.support.pages.tables import MADE, code, rows, table

WRONG = "?"  # no setting that has a rule takes this
VALID = {  # what is required
    "STRIPE_SECRET_KEY": "sk_test_page",
    "STRIPE_WEBHOOK_SECRET": "whsec_page",
    "API_TOKENS": "a-token-of-the-page",
}
HEAD = f"# The settings\n\n{MADE} The words are those of the [README](../README.md#settings).\n"


def page() -> str:
    """Return the page."""
    section = (ROOT / "README.md").read_text().partition("\n## Settings\n")[2].partition("\n## ")[0]
    before, _, after = re.split(r"((?:^\|.*\n)+)", section.replace("](docs/", "]("), maxsplit=1, flags=re.MULTILINE)
    told = {name: cells for name, *cells in rows(section.replace("](docs/", "]("))}
    listed = ((code([name]), *told[code([name])], code(filter(None, [says(name)])) or "–") for name in names())
    made = table(("name", "default", "meaning", f"what a start says of `{WRONG}`"), listed)
    return f"{HEAD}{before}{made}{after.strip()}\n"


def names() -> list[str]:
    """Return the names of all settings, in the order in which they are read."""
    return re.findall(r'"([A-Z_]{4,})"', inspect.getsource(Settings.from_environment))


def says(name: str) -> str:
    """Return what the program says of a wrong value; "" if it takes any."""
    try:
        Settings.from_environment(serve=True, environment={**VALID, name: WRONG})
    except BadSettings as error:
        (problem,) = error.problems
        return problem
    return ""
