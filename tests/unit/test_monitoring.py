"""The alert rules and the dashboard: they can be read, name metrics and labels that exist, and agree with `status`."""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from stripe_mongo_sync.sync.operator.mongodb import LITTLE
from stripe_mongo_sync.sync.operator.status import BACKLOG_MAX_AGE, MANY, MOST_MISSING, RECONCILE_MAX_AGE
from tests.support import ROOT
from tests.support.deploy_tools import judge, needs
from tests.support.scraped import CLOSED

FOLDER = ROOT / "deploy/monitoring"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
WELL, *FAULTS = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
NAME = re.compile(r"\bstripe_sync_\w+")
FAMILY = re.compile(r"_(?:bucket|count|sum|total)$")
MATCHER = re.compile(r'(stripe_sync_\w+)\{(\w+)!?="(\w+)"\}')
BY = re.compile(r"by \(([\w, ]+)\)")
LISTED = re.compile(r"`(stripe_sync_\w+)(?:\{([\w,]+)\})?`(?=.*\|.*\|)")
TIMES = {"$__rate_interval": "5m"}  # what Grafana fills in


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each expression, with who asks it."""
    yield from ((rule["alert"], rule["expr"]) for rule in RULES)
    yield from ((panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"])


def family(name: str) -> str:
    return name if name in CLOSED else FAMILY.sub("", name)


@pytest.mark.parametrize(("who", "asked"), [*expressions()], ids=[who for who, _ in expressions()])
def test_each_expression_can_be_read_and_names_metrics_and_labels_that_exist(who: str, asked: str) -> None:
    for name, instead in TIMES.items():
        asked = asked.replace(name, instead)
    promql_parser.parse(asked)

    names = NAME.findall(asked)
    assert names
    assert {family(name) for name in names} <= {*CLOSED}
    for name, label, value in MATCHER.findall(asked):
        assert value in CLOSED[family(name)][label], name
    labels = {label.strip() for told in BY.findall(asked) for label in told.split(",")}
    assert labels <= {label for name in names for label in CLOSED[family(name)]}


def test_the_parser_refuses_what_prometheus_would() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        promql_parser.parse("sum(rate(stripe_sync_webhooks_total[5m])")


def test_every_metric_is_shown() -> None:
    shown = {family(name) for panel in PANELS for target in panel["targets"] for name in NAME.findall(target["expr"])}

    assert shown == {*CLOSED}


def test_the_page_for_operators_lists_every_metric_with_its_labels() -> None:
    table = (ROOT / "docs/operations.md").read_text().partition("## Metrics")[2].partition("\n## ")[0]
    told = {name: labels.split(",") if labels else [] for name, labels in LISTED.findall(table)}

    assert {family(name): labels for name, labels in told.items()} == {
        name: [label for label in labels if label != "le"] for name, labels in CLOSED.items()
    }


def test_each_rule_says_what_it_means_and_what_to_do() -> None:
    for rule in RULES:
        assert {*rule} <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert {*rule["annotations"]} == {"summary", "description"}
        assert rule["annotations"]["description"].endswith(".")
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_an_alert_is_raised_where_status_finds_something() -> None:
    rules = {rule["alert"]: rule["expr"] for rule in RULES}

    assert rules["StripeSyncReconcileSilent"].endswith(f"> {RECONCILE_MAX_AGE.total_seconds():.0f}")
    assert rules["StripeSyncBacklog"].endswith(f"> {BACKLOG_MAX_AGE.total_seconds():.0f}")
    assert rules["StripeSyncUnconfirmed"].endswith(f">= {MANY}")


def test_the_panels_lie_beside_each_other() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
    assert len({*cells}) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}


def test_the_rules_have_the_limits_of_status() -> None:
    limits = {rule["alert"]: float(found[1]) for rule in RULES if (found := re.search(r"([\d.]+)$", rule["expr"]))}

    assert limits["StripeSyncDiskNearlyFull"] == LITTLE
    assert limits["StripeSyncWebhooksMissing"] == MOST_MISSING
    assert limits["StripeSyncUnconfirmed"] == MANY
    assert limits["StripeSyncReconcileSilent"] == RECONCILE_MAX_AGE.total_seconds()
    assert limits["StripeSyncBacklog"] == BACKLOG_MAX_AGE.total_seconds()


@needs("promtool")
def test_promtool_accepts_the_rules() -> None:
    judge("promtool", "check", "rules", FOLDER / "alerts.yml")


@needs("promtool")
def test_each_alert_fires_at_its_fault_and_none_while_all_is_well() -> None:
    judge("promtool", "test", "rules", FOLDER / "alerts_test.yml")


def test_a_fault_is_made_up_for_each_alert_and_what_is_well_for_each_metric() -> None:
    asked = [rule["expr"] for rule in RULES]
    series = [each["series"] for each in WELL["input_series"]]
    firing = [sample["labels"] for each in FAULTS for one in each["promql_expr_test"] for sample in one["exp_samples"]]

    assert {re.findall(r'alertname="(\w+)"', labels)[0] for labels in firing} == {rule["alert"] for rule in RULES}
    assert [one.get("exp_samples") for one in WELL["promql_expr_test"]] == [None]
    assert {name for expr in asked for name in NAME.findall(expr)} <= {NAME.findall(each)[0] for each in series}
    for name, label, value in (found for expr in asked for found in MATCHER.findall(expr)):
        assert any(each.startswith(name + "{") and f'{label}="{value}"' in each for each in series), (name, value)
