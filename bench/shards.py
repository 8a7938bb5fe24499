"""How MongoDB would spread documents over shards: its hash of a value, and how much the fullest shard has of a key."""

import hashlib
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import bson
from bson import ObjectId
from pymongo.database import Database

SPAN = 1 << 64  # hashes
CANONICAL = {ObjectId: 35, str: 15, type(None): 5}  # MongoDB's numbers of the types, by which it compares and hashes
HEAD = 4 + 1 + len("v\0")  # bytes of an encoded document before its value: length, type, name


def hashed(value: Any) -> int:
    """Return the hash that a hashed index of MongoDB has of an id, a text or None."""
    encoded = bson.encode({"v": value})[HEAD:-1]
    found = hashlib.md5(struct.pack("<ii", 0, CANONICAL[type(value)]) + encoded, usedforsecurity=False)
    return int.from_bytes(found.digest()[:8], "little", signed=True)


def check_hash(database: Database[Any], values: Iterable[Any]) -> None:
    """Raise AssertionError unless a hashed index has the hashes of these values that `hashed` returns."""
    rows = database.bench_hashed
    rows.create_index([("value", "hashed")])
    for value in values:
        rows.insert_one({"value": value})
        (found,) = rows.find({"value": value}, hint=[("value", "hashed")], return_key=True)
        assert found["value"] == hashed(value), value
    rows.drop()


def by_hash(hashes: Iterable[int], shards: int) -> Counter[int]:
    """Count the documents of each shard, if each has an equal part of all hashes, as MongoDB begins with."""
    return Counter((each + SPAN // 2) * shards // SPAN for each in hashes)


def by_range(ordered: Sequence[Any], values: Iterable[Any], shards: int) -> Counter[int]:
    """Count these values on each shard, if each has an equal part of the `ordered` ones."""
    bounds = [ordered[len(ordered) * shard // shards] for shard in range(1, shards)]
    return Counter(bisect_right(bounds, value) for value in values)


def fullest(counted: Counter[int]) -> float:
    """Return the percentage that the fullest shard has."""
    return 100 * max(counted.values()) / counted.total()
