"""The MongoDB that tests run on: one server for the whole run, whatever the number of workers."""

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class MongoServer:
    """Where the server is: the one that the run started, or $MONGODB_URI's."""

    address: str

    def uri(self, database: str) -> str:
        """Return the address of one of its databases."""
        parts = urlsplit(self.address)
        options = parts.query if "w=" in parts.query else "&".join(filter(None, (parts.query, "w=majority")))
        return parts._replace(path=f"/{database}", query=options).geturl()
