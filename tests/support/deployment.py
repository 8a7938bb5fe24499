"""What compose, Kubernetes and systemd start, by which commands and with which settings, read from their files."""

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stripe_mongo_sync.sync.process.environment import FILE, SECRETS
from stripe_mongo_sync.sync.settings import BadSettings, Settings
from tests.support import ROOT
from tests.support.image import instructions

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: each for name, each in COMPOSE["services"].items() if name != "mongodb"}
KUBERNETES = ROOT / "deploy/kubernetes"
KUSTOMIZATIONS = sorted(KUBERNETES.rglob("kustomization.yaml"))
MANIFESTS = sorted({*KUBERNETES.rglob("*.yaml")} - {*KUSTOMIZATIONS})
UNITS = ROOT / "deploy/systemd"
WORKFLOW = ROOT / ".github/workflows/ci.yml"
PAGE = (ROOT / "docs/deploy.md").read_text()
IMAGE = dict(instructions())  # of an instruction that comes twice, the last stage's


def documents() -> Iterator[dict[str, Any]]:
    """Yield every object of the manifests."""
    for path in MANIFESTS:
        yield from yaml.safe_load_all(path.read_text())


def template(made: dict[str, Any]) -> dict[str, Any] | None:
    """Return the template of the pods that an object makes, if it makes any."""
    spec = made.get("spec", {})
    found: dict[str, Any] | None = spec.get("jobTemplate", {}).get("spec", spec).get("template")
    return found


def pods() -> dict[str, dict[str, Any]]:
    """Return the pods of the manifests, each under the name of what makes it."""
    return {each["metadata"]["name"]: made["spec"] for each in documents() if (made := template(each))}


def rendered(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a kustomization, their pods with the labels that it gives them; this takes no kubectl."""
    file = yaml.safe_load((folder / "kustomization.yaml").read_text())
    pairs = [each["pairs"] for each in file.get("labels", []) if each["includeSelectors"]]
    for path in (folder / each for each in (*file["resources"], *file.get("components", []))):
        for each in rendered(path) if path.is_dir() else yaml.safe_load_all(path.read_text()):
            if made := template(each):
                for more in pairs:
                    made["metadata"]["labels"] |= more
            yield each


def unguarded(objects: list[dict[str, Any]]) -> list[str]:
    """Return the names of what makes pods, where no policy for both directions selects them."""
    policies = [each["spec"] for each in objects if each["kind"] == "NetworkPolicy"]
    both = [spec["podSelector"] for spec in policies if spec["policyTypes"] == ["Ingress", "Egress"]]
    selected = [(selector or {"matchLabels": {}})["matchLabels"].items() for selector in both]
    return [
        each["metadata"]["name"]
        for each in objects
        if (made := template(each)) and not any(made["metadata"]["labels"].items() >= labels for labels in selected)
    ]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all containers of a pod."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def generated(kind: str) -> dict[str, str]:
    """Return the literals of every ConfigMap or Secret that a kustomization generates."""
    files = [yaml.safe_load(path.read_text()) for path in KUSTOMIZATIONS]
    made = [line for file in files for each in file.get(f"{kind}Generator", []) for line in each["literals"]]
    return dict(line.split("=", 1) for line in made)


def units(pattern: str = "*") -> dict[str, list[tuple[str, str]]]:
    """Return the lines `Name=value` of the systemd units."""
    files = [path for path in sorted(UNITS.rglob(pattern)) if path.is_file()]
    return {path.name: re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE) for path in files}


def commands() -> dict[str, list[str]]:
    """Return every command line that a file or the page has, under the place where it is."""
    found = {f"compose.yaml: {name}": each["command"] for name, each in OURS.items() if "entrypoint" not in each}
    for name, pod in pods().items():
        found |= {f"{name}: {c['name']}": c["args"] for c in containers(pod) if image_of(c) and "command" not in c}
    for name, lines in units("*.service").items():
        found |= {f"{name}: {key}": shlex.split(value)[1:] for key, value in lines if key.startswith("Exec")}
    code = "\n".join(re.findall(r"^(?:    |\| ).*|`stripe-mongo-sync [^`]+`", PAGE, re.MULTILINE))
    for line in re.findall(
        r"stripe-mongo-sync ((?:serve|indexes|migrate|reconcile|hooks|status|doctor)\b[\w -]*)", code
    ):
        found[f"docs/deploy.md: {line}"] = shlex.split(line)
    return found


def image_of(container: dict[str, Any]) -> bool:
    """Whether a container is of our image."""
    return bool(container["image"] == "stripe-mongo-sync")


def settings() -> set[str]:
    """Return the name of every setting, and of those that may stand in a file."""
    read = set(re.findall(r'"([A-Z_]{4,})"', inspect.getsource(Settings.from_environment)))
    return read | {name + FILE for name in SECRETS}


def required() -> set[str]:
    """Return the settings without which nobody serves."""
    with pytest.raises(BadSettings) as refused:
        Settings.from_environment(serve=True, environment={})
    return {problem.split()[0] for problem in refused.value.problems}
