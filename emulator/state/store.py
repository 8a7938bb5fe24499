"""Stores the state as JSON rows in memory and, with a path, in a SQLite file."""

from __future__ import annotations

import copy
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from stripe_mongo_sync.emulator.protocol.wire import Json

SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL, UNIQUE (name, id)
)
"""
UPSERT = "INSERT INTO rows (name, id, json) VALUES (?, ?, ?) ON CONFLICT (name, id) DO UPDATE SET json = excluded.json"


class Store:
    """Named tables of JSON rows in order of insertion. With a path, what `commit` wrote survives a kill."""

    def __init__(self, path: str | Path | None = None) -> None:
        self._tables: dict[str, dict[str, Json]] = {}
        self._dirty: dict[tuple[str, str], Json | None] = {}
        self._db: sqlite3.Connection | None = None
        if path is not None:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            # Without fsync: the rows must survive a kill, but not a power cut.
            self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;" + SCHEMA)
            for name, id, row in self._db.execute("SELECT name, id, json FROM rows ORDER BY seq"):
                self.table(name)[id] = json.loads(row)

    def table(self, name: str) -> dict[str, Json]:
        return self._tables.setdefault(name, {})

    def put(self, name: str, id: str, row: Json) -> None:
        self.table(name)[id] = row
        if self._db is not None:
            self._dirty[name, id] = row

    def drop(self, name: str, id: str) -> None:
        self.table(name).pop(id, None)
        if self._db is not None:
            self._dirty[name, id] = None

    def wipe(self, name: str) -> None:
        for id in list(self.table(name)):
            self.drop(name, id)

    def names(self) -> list[str]:
        return list(self._tables)

    def commit(self) -> None:
        if self._db is None or not self._dirty:
            return
        self._db.execute("BEGIN")
        for (name, id), row in self._dirty.items():
            if row is None:
                self._db.execute("DELETE FROM rows WHERE name = ? AND id = ?", (name, id))
            else:
                self._db.execute(UPSERT, (name, id, json.dumps(row)))
        self._db.execute("COMMIT")
        self._dirty.clear()

    def close(self) -> None:
        self.commit()
        if self._db is not None:
            self._db.close()


class Overlay(Store):
    """What another store has, and what is written over it, of which nothing stays."""

    def __init__(self, below: Store) -> None:
        super().__init__()
        self._below = below

    def table(self, name: str) -> dict[str, Json]:
        if name not in self._tables:
            self._tables[name] = copy.deepcopy(self._below.table(name))
        return self._tables[name]

    def names(self) -> list[str]:
        return list(dict.fromkeys([*self._below.names(), *self._tables]))


@dataclass(frozen=True)
class Realm:
    """The tables of one account in one mode: its objects, events and saved replies."""

    store: Store
    account: str
    livemode: bool

    def name(self, table: str) -> str:
        return f"{self.account}/{'live' if self.livemode else 'test'}/{table}"

    def table(self, table: str) -> dict[str, Json]:
        return self.store.table(self.name(table))

    def put(self, table: str, id: str, row: Json) -> None:
        self.store.put(self.name(table), id, row)

    def drop(self, table: str, id: str) -> None:
        self.store.drop(self.name(table), id)

    def find(self, kind: str, id: str) -> Json | None:
        """Return the object, or None if it is deleted or never existed."""
        row = self.table(kind).get(id)
        return None if row is None or row["deleted"] else row["object"]

    def all(self, kind: str) -> list[Json]:
        return [row["object"] for row in self.table(kind).values() if not row["deleted"]]

    def other_mode(self) -> Realm:
        return Realm(self.store, self.account, not self.livemode)
