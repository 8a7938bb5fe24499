"""The files of a deployment: real validators accept them, and their settings, commands and ports are the code's."""

import os
import re
import runpy
import tomllib
from pathlib import Path

import pytest
import yaml

from stripe_mongo_sync import __version__
from stripe_mongo_sync.api.server.bulkhead import Arrival, Kind, kind_of
from stripe_mongo_sync.emulator import __main__ as emulator
from stripe_mongo_sync.sync.commands import ROOT as COMMANDS
from stripe_mongo_sync.sync.commands.cli import Given
from stripe_mongo_sync.sync.process.environment import FILE
from stripe_mongo_sync.sync.settings import Settings
from tests.support import ROOT
from tests.support.browser_tools import PICTURES
from tests.support.deploy_tools import NEEDED, found, judge, needs
from tests.support.deployment import (
    IMAGE,
    KUBERNETES,
    KUSTOMIZATIONS,
    MANIFESTS,
    OURS,
    PAGE,
    UNITS,
    WORKFLOW,
    commands,
    containers,
    generated,
    image_of,
    pods,
    rendered,
    required,
    settings,
    unguarded,
    units,
)
from tests.support.image import instructions, let_through
from tests.support.rooms import PACKAGE

OVERLAYS = [KUBERNETES / "base", *sorted((KUBERNETES / "overlays").iterdir())]
GUNICORN = {"PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"}
PYTHON = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
OF_COMPOSE = {"MONGODB_PASSWORD", "COMPOSE_PROFILES"}  # compose itself reads these from `.env`
VERSIONS = ("1.30.0", "1.37.0")  # of Kubernetes
CALL = 60.0  # s that one call of a hook has; its process is ended after twice that


def test_what_judges_the_files_is_here_where_it_must_be() -> None:
    assert all(map(found, NEEDED)) or "CI" not in os.environ, "`make deploy-tools` installs it; and Debian's packages"


@needs("hadolint")
def test_hadolint_accepts_the_dockerfile() -> None:
    judge("hadolint", ROOT / "Dockerfile")


@needs("check-jsonschema")
def test_compose_and_the_workflow_are_as_their_schemas_have_them() -> None:
    judge("check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml")
    judge("check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW)
    judge("check-jsonschema", "--builtin-schema", "custom.github-workflows-require-timeout", WORKFLOW)


@needs("kubernetes-validate")
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_accepts_every_manifest(version: str) -> None:
    judge("kubernetes-validate", "--strict", "--quiet", "--kubernetes-version", version, *MANIFESTS)


@needs("kubectl")
@needs("kubernetes-validate")
@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_kustomize_makes_of_each_overlay_what_kubernetes_accepts(overlay: Path, tmp_path: Path) -> None:
    made = judge("kubectl", "kustomize", overlay)
    (tmp_path / "made.yaml").write_text(made)

    for version in VERSIONS:
        judge("kubernetes-validate", "--strict", "--quiet", "--kubernetes-version", version, tmp_path / "made.yaml")
    assert f"image: stripe-mongo-sync:{__version__}\n" in made.replace("registry.example/", "")
    assert "image: stripe-mongo-sync\n" not in made
    names = {each["metadata"]["name"] for each in yaml.safe_load_all(made) if each["kind"] in ("ConfigMap", "Secret")}
    asked = set(re.findall(r"(?:secretName|name): (stripe-mongo-sync-\w{10})\n", made))
    assert asked == {name for name in names if "-try" not in name}
    assert unguarded([*yaml.safe_load_all(made)]) == []


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_a_network_policy_selects_every_pod(overlay: Path) -> None:
    assert unguarded([*rendered(overlay)]) == []


@needs("systemd-analyze")
def test_systemd_accepts_every_unit_and_finds_little_to_attack(tmp_path: Path) -> None:
    for path in UNITS.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(UNITS)
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(re.sub(r"/opt/stripe-mongo-sync/bin/\S+", "/bin/true", path.read_text()))
    there = sorted(str(path) for path in tmp_path.glob("stripe-mongo-sync-*.*") if path.is_file())

    judge("systemd-analyze", "verify", "--man=no", *there)
    for unit in there:
        if unit.endswith(".service"):
            judge("systemd-analyze", "security", "--offline=yes", "--threshold=15", unit)


def test_every_name_that_a_file_sets_is_a_setting() -> None:
    named = {name for each in OURS.values() for name in each["environment"]}
    named |= {*generated("configMap"), *generated("secret"), "PORT"}
    named |= {each["name"] for pod in pods().values() for one in containers(pod) for each in one.get("env", [])}
    named |= set(re.findall(r"(\w+)=", IMAGE["ENV"]))
    unit = [value for lines in units().values() for key, value in lines if key == "Environment"]
    named |= {name for line in unit for name in re.findall(r"(\w+)=", line)}
    page = set(re.findall(r"^    (?:#)?([A-Z][A-Z_]{3,})=", PAGE, re.MULTILINE))

    assert named <= settings() | GUNICORN | PYTHON
    assert page <= settings() | GUNICORN | OF_COMPOSE
    assert page >= required() | OF_COMPOSE


def test_what_every_process_needs_is_given_to_every_process() -> None:
    needed = required() | {"MONGODB_URI"}

    assert {
        name for name, each in OURS.items() if each["env_file"] != ".env" or "MONGODB_URI" not in each["environment"]
    } == set()
    assert {name.removesuffix(FILE) for name in generated("configMap") if name.endswith(FILE)} == needed
    assert generated("secret").keys() == needed
    for name, path in generated("configMap").items():
        if name.endswith(FILE):
            assert path == f"/run/secrets/stripe-mongo-sync/{name.removesuffix(FILE)}"
    for name, pod in pods().items():
        for one in filter(image_of, containers(pod)):
            if "command" not in one:
                assert one["envFrom"] == [{"configMapRef": {"name": "stripe-mongo-sync"}}], name
                assert one["volumeMounts"][0]["mountPath"] == "/run/secrets/stripe-mongo-sync", name
                assert pod["volumes"][0]["secret"] == {"secretName": "stripe-mongo-sync", "defaultMode": 0o440}, name
    assert Settings.from_environment(serve=True, environment=generated("secret")).warnings == ()


def parsed(line: list[str]) -> Given:
    """Return what a line gives its command. Raises UsageError if there is no such command."""
    with COMMANDS.make_context("stripe-mongo-sync", [*line]) as context:
        given: Given = COMMANDS.invoke(context)
        return given


@pytest.mark.parametrize("where", commands())
def test_every_command_exists(where: str) -> None:
    parsed(commands()[where])


def test_the_processes_are_the_same_everywhere() -> None:
    lines = {tuple(command) for command in commands().values()}
    processes = [("serve",), ("reconcile", "--every", "300"), ("hooks", "run", "--every", "5"), ("indexes",)]

    for place in ("compose.yaml", "stripe-mongo-sync", "docs/deploy.md"):
        there = {tuple(command) for where, command in commands().items() if where.startswith(place)}
        assert there >= set(processes), place
    assert len(lines) > len(processes)


def test_the_emulator_is_started_as_it_takes() -> None:
    (pod,) = (one for pod in pods().values() for one in containers(pod) if image_of(one) and "command" in one)

    assert OURS["emulator"]["entrypoint"] == pod["command"] == ["python", "-m", f"{PACKAGE}.emulator"]
    for command in (OURS["emulator"]["command"], pod["args"]):
        assert emulator._arguments(command).webhook_url.endswith("/webhooks/stripe")
        assert emulator._arguments(command).port == 12111


def test_what_is_probed_has_threads_of_its_own() -> None:
    probes = [
        one[name]["httpGet"]
        for pod in pods().values()
        for one in containers(pod)
        for name in one
        if "Probe" in name and "httpGet" in one[name]
    ]
    paths = [probe["path"] for probe in probes] + re.findall(r"'GET', '(\S+)'", IMAGE["HEALTHCHECK"])

    assert sorted(paths) == ["/healthz", "/healthz", "/healthz", "/readyz"]
    for path in paths:
        assert kind_of(f"GET {path} HTTP/1.1\r\n\r\n".encode(), Arrival.WHOLE) is Kind.PROBE
    assert all(probe["port"] == "http" for probe in probes)


def test_every_file_names_the_same_port() -> None:
    (service,) = (one for one in containers(pods()["stripe-mongo-sync"]) if one["name"] == "service")

    assert "PORT=8000" in IMAGE["ENV"].split()
    assert IMAGE["EXPOSE"] == "8000"
    assert OURS["service"]["environment"]["PORT"] == "8000"
    assert OURS["service"]["ports"] == ["127.0.0.1:8000:8000"]
    assert service["env"] == [{"name": "PORT", "value": "8000"}]
    assert service["ports"] == [{"name": "http", "containerPort": 8000}]
    assert ("ListenStream", "127.0.0.1:8000") in units()["stripe-mongo-sync-serve.socket"]


def test_nothing_is_killed_before_it_could_end() -> None:
    graceful = runpy.run_path(str(ROOT / "gunicorn.conf.py"))["graceful_timeout"]
    asked = {
        **{f"compose.yaml: {name}": int(each["stop_grace_period"][:-1]) for name, each in OURS.items()},
        **{name: pod.get("terminationGracePeriodSeconds", 30) for name, pod in pods().items()},
        **{name: int(dict(lines)["TimeoutStopSec"]) for name, lines in units("*.service").items()},
    }
    (service,) = (one for one in containers(pods()["stripe-mongo-sync"]) if one["name"] == "service")

    assert service["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]
    for place, seconds in asked.items():
        if place not in ("emulator", "mongodb"):
            assert seconds > (2 * CALL if "hooks" in place else graceful + 5), place
    hooks = parsed(["hooks", "run"])
    assert hooks.timeout == CALL
    assert ("KillMode", "mixed") in units()["stripe-mongo-sync-serve.service"]


def test_nothing_runs_as_root_or_may_become_it() -> None:
    user = int(IMAGE["USER"].split(":")[0])

    assert user > 1_000
    for name, pod in pods().items():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["securityContext"]["runAsUser"] == (999 if name == "mongodb" else user), name
        assert pod["automountServiceAccountToken"] is False, name
        for one in containers(pod):
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert one["resources"]["limits"]["memory"], name
    for name, each in OURS.items():
        assert each["read_only"], name
        assert (each["cap_drop"], each["tmpfs"]) == (["ALL"], ["/tmp"]), name
    assert ("DynamicUser", "yes") in units()["common.conf"]


def test_every_file_names_this_version_and_this_python() -> None:
    tags = {each["image"].rpartition(":")[2] for each in OURS.values()}
    tags |= {each["newTag"] for path in KUSTOMIZATIONS for each in yaml.safe_load(path.read_text()).get("images", [])}
    tags |= {
        *re.findall(r'image\.version="(.*?)"', IMAGE["LABEL"]),
        *re.findall(r"stripe-mongo-sync[:-](\d[\w.]*\d)", PAGE),
    }
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")

    assert tags == {__version__}
    assert dict(instructions())["ARG"].startswith(f"PYTHON=python:{python}-slim")
    assert f"container: python:{python}-" in WORKFLOW.read_text()


def test_what_is_fetched_into_the_image_is_checked_by_its_hash() -> None:
    lines = [rest for word, rest in instructions() if word == "RUN"]
    fetching = [part for line in lines for part in line.split("&&") if "pip" in part and "install" in part]

    assert len(fetching) == 3
    for part in (*fetching, *(part for line in lines for part in line.split("&&") if "pip wheel" in part)):
        assert "--require-hashes" in part or {"--no-index", "--no-deps"} <= set(part.split()), part


def test_the_image_is_built_of_the_package_alone() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    code = {name.split(".")[1] for name in packages if "." in name}
    seen = {path.name for path in ROOT.iterdir() if let_through(path.name)}

    assert {name for name in seen if (ROOT / name).is_dir()} == code
    assert seen - code >= {"README.md", "LICENSE", "pyproject.toml", "py.typed", "wsgi.py", "gunicorn.conf.py"}
    assert not [name for name in (".env", ".env.local", ".git", ".venv", ".dev", "tests", "demo") if let_through(name)]


def test_every_manifest_is_in_a_kustomization_and_the_other_way_round() -> None:
    listed = set()
    for path in KUSTOMIZATIONS:
        file = yaml.safe_load(path.read_text())
        for each in (*file.get("resources", []), *file.get("components", [])):
            there = (path.parent / each).resolve()
            assert there.exists(), f"{path}: {each}"
            listed.add(there)

    assert {path for path in MANIFESTS if path not in listed} == set()


def test_ci_runs_what_is_run_by_hand_and_only_pinned_actions() -> None:
    steps = [step for job in yaml.safe_load(WORKFLOW.read_text())["jobs"].values() for step in job["steps"]]
    scripts = [step["run"] for step in steps if step.get("run", "").startswith(".ci/")]

    assert scripts == [".ci/run", ".ci/image"]
    assert re.search(r"-m long .*tests/e2e/test_drill\.py", (ROOT / ".ci/run").read_text())
    assert all((ROOT / script).stat().st_mode & 0o100 for script in scripts)
    assert [step["uses"] for step in steps if "uses" in step and not re.search(r"@[0-9a-f]{40}$", step["uses"])] == []
    (kept,) = (step for step in steps if step.get("uses", "").startswith("actions/upload-artifact@"))
    assert (ROOT / kept["with"]["path"], kept["if"]) == (PICTURES, "always()")
