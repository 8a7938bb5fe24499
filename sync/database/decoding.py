"""Decoding: values are read from MongoDB as they were written, and never as one of the driver's own types.

The driver turns a mapping with `$ref` and `$id`, at any depth, into a reference to another collection. Stripe's objects
may use any names in their metadata, so that such a mapping must stay a mapping.
"""

from typing import Any

from bson.codec_options import TypeDecoder, TypeRegistry
from bson.dbref import DBRef


class _Hash(TypeDecoder):
    bson_type = DBRef

    def transform_bson(self, value: DBRef) -> dict[str, Any]:
        """Return the original mapping, in the driver's order."""
        return dict(value.as_doc())


AS_WRITTEN = TypeRegistry([_Hash()])
