"""The hooks of `make dev`: what happened is one line of what the process of the hooks says."""

import logging

from stripe_mongo_sync.sync.library import Notice, on

log = logging.getLogger("demo.hooks")


@on("*.active", "*.rolled_back", "*.deleted", "order.*")
def tell(notice: Notice) -> None:
    """Name the document: a shop would write a letter, or send the goods."""
    log.info("hook: %s %s", notice.name, notice.document.id)
