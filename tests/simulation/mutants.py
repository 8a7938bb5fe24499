"""Mutants: the engine with one thing wrong. Each names the history that catches it; a mutant that lives shows a hole.

`python -m tests.simulation.mutants` plants each in a copy of the project and looks for such a history anew.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.ground import mongodb
from tests.support import ROOT

PARTS = ("__init__.py", "checkout.py", "models", "sync", "webhooks", "api", "emulator", "demo", "tests")
SEEDS = 60  # to try before a mutant is said to live


@dataclass(frozen=True)
class Mutant:
    """One wrong thing: in `file`, `right` is `wrong`. The history of `seed` with those `steps` catches it."""

    name: str
    file: str
    right: str
    wrong: str
    seed: int = 0
    steps: tuple[int, ...] = ()

    @property
    def history(self) -> tuple[str, ...]:
        """The arguments that run the history that catches it."""
        return "--seed", str(self.seed), "--steps", ",".join(map(str, self.steps))

    def plant(self, directory: Path) -> Path:
        """Make a copy of the project with this mutant in it, and return where it is."""
        copy = directory / "stripe_mongo_sync"
        copy.mkdir()
        for part in PARTS:
            if (ROOT / part).is_file():
                shutil.copyfile(ROOT / part, copy / part)
            else:
                shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / self.file
        text = file.read_text(encoding="utf-8")
        assert text.count(self.right) == 1, f"{self.name}: {self.file} has changed; say anew what is to be wrong there"
        file.write_text(text.replace(self.right, self.wrong), encoding="utf-8")
        return copy


def simulate(directory: Path, address: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the simulation of a copy."""
    environment = {**os.environ, "PYTHONHASHSEED": "0", "MONGODB_URI": address, "PYTHONPATH": str(directory.parent)}
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


MUTANTS = (
    Mutant(
        "sends without the key",
        "sync/stripe/gateway.py",
        'options["idempotency_key"] = call.key',
        'options["idempotency_key"] = None',
        seed=0,
        steps=(35,),
    ),
    Mutant(
        "sends again with another key",
        "sync/stripe/gateway.py",
        "            answer = self.write(call, fits, version, is_upload=is_upload)\n"
        "            if isinstance(answer, Refusal)",
        "            answer = self.write(replace(call, key=f'{call.key}2'), fits, version, is_upload=is_upload)\n"
        "            if isinstance(answer, Refusal)",
        seed=0,
        steps=(28,),
    ),
    Mutant(
        "sends an old key instead of finding first",
        "models/base/facts.py",
        "KEY_REPLAY_WINDOW = timedelta(hours=23)",
        "KEY_REPLAY_WINDOW = timedelta(days=23)",
        seed=5,
        steps=(13, 23, 24),
    ),
    Mutant(
        "trusts a stale event",
        "models/base/decision.py",
        "    return facts.snapshot_earliest is not None and seen.latest < facts.snapshot_earliest\n\n\n"
        "def _is_newer(facts: Facts, seen: Observation) -> bool:\n"
        "    return facts.snapshot_latest is None or seen.earliest > facts.snapshot_latest\n",
        "    return False\n\n\ndef _is_newer(facts: Facts, seen: Observation) -> bool:\n    return True\n",
        seed=7,
        steps=(3, 7, 8, 9, 32, 34),
    ),
    Mutant(
        "ignores a late orphan",
        "models/base/decision.py",
        "return _orphan(facts, seen)",
        "return None",
        seed=33,
        steps=(39,),
    ),
    Mutant(
        "rolls back without a tombstone",
        "models/base/lifecycle.py",
        "            review_reason=None,\n            in_doubt=in_doubt,\n",
        "            review_reason=None,\n            in_doubt=in_doubt,\n            creation_key=None,\n",
        seed=33,
        steps=(39,),
    ),
    Mutant(
        "forgets the lease",
        "models/base/birth.py",
        '                **leased(),\n                "in_doubt": True,',
        '                **leased(),\n                "due_at": None,\n                "in_doubt": True,',
        seed=0,
        steps=(17, 18, 27, 28, 34),
    ),
    Mutant(
        "writes whatever the revision is",
        "models/base/lifecycle.py",
        '            {"_id": self.id, "revision": self.revision, **fence},\n',
        '            {"_id": self.id, **fence},\n',
        seed=8,
        steps=(18, 19, 23),
    ),
    Mutant(
        "sends when its lease is over",
        "sync/process/deadline.py",
        "return DEADLINE.get() is not None and time_left() >= sum(times)",
        "return True",
        seed=1,
        steps=(24, 26, 28, 29, 30, 32, 34),
    ),
    Mutant(
        "takes a deletion of unknown outcome for done",
        "sync/engine/push.py",
        '        case Refusal(not_found=True) if operation.verb == "delete":',
        '        case Refusal(not_found=True) | Unknown() if operation.verb == "delete":',
        seed=10,
        steps=(3, 11, 12, 13, 14, 17, 18, 21, 22, 23),
    ),
)


def hunt(mutant: Mutant, directory: Path, address: str) -> str | None:
    """Return the shortest command that catches a planted mutant, or None when it lives."""
    found = simulate(
        directory, address, "--histories", str(SEEDS), "--seconds", "600", "--workers", "1", "--first-failure"
    )
    lines = [line for line in found.stdout.splitlines() if "--steps" in line]
    return lines[0].strip() if lines else None


def main() -> int:
    """Hunt every mutant, or those whose name has a word of the command line in it."""
    alive = 0
    words = sys.argv[1:]
    with mongodb() as address:
        for mutant in MUTANTS:
            if words and not any(word in mutant.name for word in words):
                continue
            with tempfile.TemporaryDirectory() as directory:
                caught = hunt(mutant, mutant.plant(Path(directory)), address)
            alive += caught is None
            print(f"{mutant.name}: {caught or 'LIVES'}", flush=True)
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
