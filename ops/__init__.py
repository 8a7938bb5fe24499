"""The operator's page: what the commands show and do, in a browser. Its templates compute nothing.

It is an application of its own, which `api/app.py` mounts at `/ops`: it knows no bearer token, and the API no cookie.
It may import `sync` and `models`.
"""

from stripe_mongo_sync.checkout import alias
from stripe_mongo_sync.ops.application import register
from stripe_mongo_sync.ops.session import configure

alias(__name__)

__all__ = ["configure", "register"]
