"""The log of gunicorn as JSON: its own lines have the form of ours, from the first one of the master on."""

from gunicorn import glogging
from gunicorn.config import Config

from stripe_mongo_sync.sync.logs import AsJson


class Logger(glogging.Logger):
    """The log of gunicorn, whose handlers write JSON wherever its options send them."""

    def setup(self, cfg: Config) -> None:
        """Set the handlers up; gunicorn does so again when it reloads its configuration."""
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            for handler in log.handlers:
                handler.setFormatter(AsJson())
