"""Decoding: what is read from MongoDB is what was written there, and never one of the driver's own kinds.

The driver takes a hash that has `$ref` and `$id`, at whatever depth, for a reference to another collection. Stripe's
objects have free names (metadata), and for JSON such a hash is one like any other.
"""

from typing import Any

from bson.codec_options import TypeDecoder, TypeRegistry
from bson.dbref import DBRef


class _Hash(TypeDecoder):
    bson_type = DBRef

    def transform_bson(self, value: DBRef) -> dict[str, Any]:
        """Return the hash that it was, in the order in which the driver gives it."""
        return dict(value.as_doc())


AS_WRITTEN = TypeRegistry([_Hash()])
