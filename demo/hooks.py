"""The hooks of `make dev`: each logs one line for a notice."""

import logging

from stripe_mongo_sync.sync.library import Notice, on

log = logging.getLogger("demo.hooks")


@on("*.active", "*.rolled_back", "*.deleted", "order.*")
def log_notice(notice: Notice) -> None:
    """Log the document. A real shop would send an e-mail or the goods."""
    log.info("hook: %s %s", notice.name, notice.document.id)
