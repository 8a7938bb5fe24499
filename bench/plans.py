"""Query plans: how MongoDB answers each question that the service really asks, seen while it asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

ASKS = ("find", "findAndModify", "count", "aggregate", "distinct", "update", "delete")
ENVELOPE = ("lsid", "txnNumber", "maxTimeMS", "writeConcern", "readConcern")  # what `explain` does not take; and $…
ABOUT = ("customers", "stripe_events", "sync_state")  # the other kinds have the indexes of customers
ALL_DATES: CodecOptions[Any] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)  # plans name the last
SLACK = 10  # rows that may be examined in vain
Row = tuple[str, str, str, int, int, int]
HEAD = ("who asks", "what", "plan", "keys", "documents", "found")


@dataclass(frozen=True)
class Plan:
    """How a question is answered: the stages, and what they had to look at."""

    asker: str
    question: str
    stages: tuple[str, ...]  # the name of an index stands for the scan of it
    keys: int
    documents: int
    found: int

    @property
    def scans(self) -> bool:
        """Whether it reads what it does not need, so that it gets slower with every document."""
        return "COLLSCAN" in self.stages or max(self.keys, self.documents) > 2 * self.found + SLACK

    def row(self) -> Row:
        """Return it for a table."""
        return self.asker, self.question, " ← ".join(self.stages), self.keys, self.documents, self.found


class Plans(CommandListener):
    """Explains the first question of each form, just before it is asked."""

    def __init__(self, uri: str) -> None:
        self._client: MongoClient[Any] = MongoClient(uri)  # not the one that is listened to
        self._asker: str | None = None
        self._found: dict[str, Plan] = {}
        self._errors: list[Exception] = []

    @contextmanager
    def of(self, asker: str) -> Iterator[None]:
        """Listen meanwhile."""
        self._asker = asker
        yield
        self._asker = None
        if self._errors:
            raise self._errors[0]  # pymongo prints what listeners raise, and goes on

    @property
    def found(self) -> list[Plan]:
        """Every plan, in the order of the questions."""
        return list(self._found.values())

    def started(self, event: CommandStartedEvent) -> None:
        """Explain the command that is about to be sent."""
        if self._asker is None or event.command_name not in ASKS or event.command[event.command_name] not in ABOUT:
            return
        question = _question(event.command_name, event.command)
        if question not in self._found:
            try:
                self._found[question] = self._explain(question, event)
            except Exception as error:
                self._errors.append(error)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing."""

    def _explain(self, question: str, event: CommandStartedEvent) -> Plan:
        assert self._asker
        command = {k: v for k, v in event.command.items() if k not in ENVELOPE and not k.startswith("$")}
        explain = {"explain": command, "verbosity": "executionStats"}
        plan = self._client[event.database_name].command(explain, codec_options=ALL_DATES)
        stats = next(_within(plan, "executionStats"))
        return Plan(
            asker=self._asker,
            question=question,
            stages=tuple(_stages(next(_within(plan, "winningPlan")))),
            keys=stats["totalKeysExamined"],
            documents=stats["totalDocsExamined"],
            found=stats["nReturned"],
        )


def _question(name: str, command: Any) -> str:
    """Return what makes two questions the same: the collection, the fields of the query, the order."""
    query = command.get("filter") or command.get("query") or command.get("pipeline") or {}
    order = f" by {', '.join(command['sort'])}" if command.get("sort") else ""
    return f"{command[name]}.{name} {_shape(query)}{order}"


def _shape(query: Any) -> str:
    if isinstance(query, list):
        return f"[{', '.join(sorted({_shape(each) for each in query}))}]"
    if not isinstance(query, dict):
        return ""
    parts = [f"{name} {inner}".strip() for name, value in query.items() for inner in [_shape(value)]]
    return f"{{{', '.join(parts)}}}" if parts else ""


def _within(plan: Any, name: str) -> Iterator[Any]:
    """Yield every value under that name, outermost first."""
    if isinstance(plan, dict):
        if name in plan:
            yield plan[name]
        for value in plan.values():
            yield from _within(value, name)
    elif isinstance(plan, list):
        for value in plan:
            yield from _within(value, name)


def _stages(plan: Any) -> list[str]:
    """Return the stages of a plan, first the last one."""
    plan = plan.get("queryPlan", plan)
    own = [plan["stage"], *([plan["indexName"]] if "indexName" in plan else [])]
    inner = [plan[name] for name in ("inputStage",) if name in plan] + plan.get("inputStages", [])
    return [*own, *(stage for each in inner for stage in _stages(each))]
