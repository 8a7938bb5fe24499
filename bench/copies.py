"""Lets the server copy a stored row any number of times: a client would take minutes for a million."""

from collections.abc import Iterator
from typing import Any

from bson import ObjectId
from pymongo.database import Database

Json = dict[str, Any]
PRIME, FACTOR = 2_147_483_647, 1_103_515_245  # number * FACTOR % PRIME differs for each, and has no order
NUMBER, HEX, TEXT = "$copy.number", "$copy.hex", "$copy.text"  # of a copy, in the expressions of its own fields
DIGITS = 14  # of a text, about as long as what Stripe draws for an id


def hex_of(number: int) -> str:
    """Return the `HEX` of the copy with this number."""
    return f"665{number:021}"


def text_of(number: int) -> str:
    """Return its `TEXT`."""
    return f"{(number + 1) * FACTOR % PRIME:0{DIGITS}}"  # not zero: an id of zeros is that of a sample


def id_of(number: int) -> ObjectId:
    """Return the id of a copy whose `_id` is its `HEX`."""
    return ObjectId(hex_of(number))


def copy_rows(database: Database[Any], name: str, row: Json, documents: int, own: Json) -> None:
    """Replace a collection by so many copies of a row, with the same indexes.

    `own` are the fields of each copy by itself. They may use its `NUMBER`, its `HEX` (24 digits that grow, for an
    ObjectId), and its `TEXT` (digits in no order); no two copies have the same.
    """
    indexes = [*_indexes(database, name)]
    database.bench_template.drop()
    database.bench_template.insert_one(row)
    scrambled = {"$mod": [{"$multiply": [{"$add": [{"$toLong": NUMBER}, 1]}, FACTOR]}, PRIME]}
    database.bench_template.aggregate(
        [
            {"$set": {"copy.thousand": {"$range": [0, -(-documents // 1000)]}}},
            {"$unwind": "$copy.thousand"},
            {"$set": {"copy.one": {"$range": [0, 1000]}}},
            {"$unwind": "$copy.one"},
            {"$limit": documents},
            {"$set": {"copy.number": {"$add": [{"$multiply": ["$copy.thousand", 1000]}, "$copy.one"]}}},
            {"$set": {"copy.hex": {"$concat": ["665", _padded(NUMBER, 21)]}, "copy.text": _padded(scrambled, DIGITS)}},
            {"$set": own},
            {"$unset": "copy"},
            {"$out": "bench_copies"},
        ]
    )
    database.command("createIndexes", "bench_copies", indexes=indexes)  # in one pass
    database.bench_copies.rename(name, dropTarget=True)


def _padded(number: Any, digits: int) -> Json:
    text = {"$toString": number}
    return {"$concat": [{"$substrBytes": ["0" * digits, 0, {"$subtract": [digits, {"$strLenBytes": text}]}]}, text]}


def _indexes(database: Database[Any], name: str) -> Iterator[Json]:
    for index, told in database[name].index_information().items():
        if index != "_id_":
            yield {**told, "name": index, "key": dict(told["key"])}
