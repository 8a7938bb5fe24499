"""Three mongods on this machine as one replica set, whose members are killed and frozen one at a time."""

from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from stripe_mongo_sync.demo.mongod import Mongod
from tests.support import eventually

ELECTION = 2000  # ms without a primary until the others elect one; by default 10 s


class Member(Mongod):
    """One of them: ready when it answers, whatever it is to the others."""

    def _is_writable(self, client: MongoClient[dict[str, Any]]) -> bool:
        client.admin.command("hello")
        return True


class ReplicaSet:
    """`with ReplicaSet() as members:` has a primary, and elects another when that is gone."""

    def __init__(self, size: int = 3) -> None:
        self.members = [Member(fast=True) for _ in range(size)]
        self._end = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as end:
            for member in self.members:
                end.enter_context(member)
            hosts = [{"_id": n, "host": f"127.0.0.1:{member.port}"} for n, member in enumerate(self.members)]
            settings = {"electionTimeoutMillis": ELECTION, "heartbeatIntervalMillis": 500}
            self._ask(self.members[0], {"replSetInitiate": {"_id": "rs0", "members": hosts, "settings": settings}})
            eventually(lambda: self.primary() and all(map(self._is_up, self.members)), 60)
            self._end = end.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._end.close()

    def uri(self, database: str) -> str:
        """Return the address of a database of it."""
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        return f"mongodb://{hosts}/{database}?replicaSet=rs0&w=majority"

    def primary(self) -> Member | None:
        """Return who is primary now, if anybody is. Of two who think so, the one of the later election."""
        claim_due = [(told["electionId"], n) for n, one in enumerate(self.members) if (told := self._hello(one))]
        return self.members[max(claim_due)[1]] if claim_due else None

    def whole(self) -> bool:
        """Whether every member is there and has caught up with the primary."""
        return self.primary() is not None and all(map(self._is_up, self.members))

    def _hello(self, member: Member) -> dict[str, Any] | None:
        try:
            told = self._ask(member, {"hello": 1})
        except (PyMongoError, AssertionError):  # dead, frozen, or not started
            return None
        return told if told.get("isWritablePrimary") else None

    def _is_up(self, member: Member) -> bool:
        try:
            told = self._ask(member, {"hello": 1})
        except PyMongoError:
            return False
        return bool(told.get("isWritablePrimary") or told.get("secondary"))

    @staticmethod
    def _ask(member: Member, command: dict[str, Any]) -> dict[str, Any]:
        with MongoClient[dict[str, Any]]("127.0.0.1", member.port, directConnection=True, timeoutMS=2_000) as client:
            return client.admin.command(command)
