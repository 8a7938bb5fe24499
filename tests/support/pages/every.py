"""All pages that are made here, by their paths."""

from collections.abc import Callable

from tests.support import ROOT
from tests.support.pages import commands, data_model, events, http, settings

PAGES: dict[str, Callable[[], str]] = {
    "docs/settings.md": settings.page,
    "docs/commands.md": commands.page,
    "docs/events.md": events.page,
    "docs/http.md": http.page,
    "docs/data-model.md": data_model.page,
}


def write() -> None:
    """Write all of them."""
    for name, page in PAGES.items():
        (ROOT / name).write_text(page())
