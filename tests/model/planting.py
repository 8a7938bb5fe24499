"""The engine that the simulation in memory runs on: as it is, or with one thing wrong in its source."""

import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from stripe_mongo_sync.models.base import decision, document, facts, lifecycle

RULES = {"facts": facts, "decision": decision}  # the second one imports the first
# The ways in which a document changes. They are taken from their classes, as MongoEngine's documents need a MongoDB.
TRANSITIONS = {
    lifecycle: (
        lifecycle.StagedDocument,
        "claim begin reschedule end_refused roll_back send_to_review requeue",
    ),
    document: (
        document.SyncedDocument,
        "sending defer begin_undo spend_undo release store_snapshot _seen miss bring_back record_undo",
    ),
}


@dataclass(frozen=True)
class Engine:
    """What decides about a document, and what changes it."""

    merge: Callable[[Any, Any], dict[str, Any] | None]
    diagnose: Callable[[Any, Any], Any]
    leaves_doubt: Callable[[Any, Any], bool]
    facts_of: Callable[..., Any]
    transitions: dict[str, Callable[..., Any]]


def engine(rules: dict[str, ModuleType] = RULES, wrong: "Mutant | None" = None) -> Engine:
    """Return the engine of these modules, with a wrong transition, if any is given."""
    rule, transitions = rules["decision"], {}
    for module, (model, names) in TRANSITIONS.items():
        own = {name: vars(model)[name] for name in names.split()}
        if wrong is not None:
            own = wrong.among(own, module)
        transitions.update(own)
    return Engine(rule.merge, rule.diagnose, rule.leaves_doubt, rules["facts"].facts_of, transitions)


AS_IT_IS = engine()


@dataclass(frozen=True)
class Mutant:
    """One wrong thing: where `right` stands once in a module of the engine, or in a function of it, `wrong` does."""

    name: str
    place: str  # facts, decision, or the name of a transition or of what it uses
    right: str
    wrong: str
    seed: int = 0  # of a history that finds it, if a test should not search for one

    def plant(self) -> Engine:
        """Return an engine with this mutant in it; the real one stays as it is."""
        if self.place not in RULES:
            return engine(wrong=self)
        planted: dict[str, ModuleType] = {}
        try:
            for name, module in RULES.items():
                planted[name] = self._planted(name, module)
        finally:
            sys.modules.update({module.__name__: module for module in RULES.values()})
        return engine(planted)

    def _planted(self, name: str, module: ModuleType) -> ModuleType:
        path = Path(str(module.__file__))
        text = path.read_text(encoding="utf-8")
        spec = spec_from_file_location(module.__name__, path)
        assert spec is not None
        copy = module_from_spec(spec)
        sys.modules[module.__name__] = copy  # its dataclasses, and the next module, ask for it
        exec(compile(self._mutated(text) if name == self.place else text, str(path), "exec"), vars(copy))
        return copy

    def among(self, own: dict[str, Any], module: ModuleType) -> dict[str, Any]:
        """Return the transitions of a module, this mutant among them if it is about one of them."""
        target = own.get(self.place) or vars(module).get(self.place)
        if not isinstance(target, FunctionType) or target.__module__ != module.__name__:
            return own
        world = dict(vars(module))
        exec(self._mutated(textwrap.dedent(inspect.getsource(target))), world)
        copies = {name: FunctionType(f.__code__, world, name, f.__defaults__) for name, f in own.items()}
        for name, f in own.items():
            copies[name].__kwdefaults__ = f.__kwdefaults__
        return copies | ({self.place: world[self.place]} if self.place in own else {})

    def _mutated(self, text: str) -> str:
        count = text.count(self.right)
        assert count == 1, f"{self.name}: {self.place} has changed, so say anew what is to be wrong there ({count} fit)"
        return text.replace(self.right, self.wrong)
