"""The dashboard, the alert rules and the scrape configuration name what the service exposes."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.stack.programs import need
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "observability"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
SCRAPES: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

DURATION = re.compile(r"\d+[smh]")


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


async def test_every_metric_is_exposed(client: httpx.AsyncClient) -> None:
    text = ""

    async def tells_all() -> bool:
        nonlocal text
        text = (await client.get("/metrics")).text
        # PostgreSQL has a second to answer.
        return "irontrack_import_archives" in text

    await eventually(tells_all, 30)
    exposed = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        exposed |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    used = {name for _, expression in expressions() for name in re.findall(r"\birontrack_\w+", expression)}
    assert used <= exposed
    ours = {name for name in exposed if name.startswith("irontrack_") and not name.endswith("_created")}
    unused = {name for name in ours - used if not name.endswith(("_bucket", "_sum", "_count"))}
    assert unused == set(), "measured, and looked at by nobody"


def test_expressions_are_well_formed() -> None:
    for title, expression in expressions():
        assert all(expression.count(a) == expression.count(b) for a, b in ("()", "[]", "{}")), title
        assert expression.count('"') % 2 == 0, title
        for name in re.findall(r"\birontrack_\w+_(?:total|bucket|sum)\b(?:{[^}]*})?(.)", expression):
            assert name == "[", f"{title}: a counter says something only as a rate"


def test_rules_are_complete() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")
        assert DURATION.fullmatch(rule.get("for", "1m"))


def test_panels_are_complete() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS:
        assert panel["title"]
        assert panel["targets"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_targets_are_those_of_the_stack() -> None:
    assert SCRAPES["rule_files"] == ["alerts.yml"]
    services = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
    proxy = (ROOT / "infra" / "containers" / "angie.conf").read_text()
    for job in SCRAPES["scrape_configs"]:
        for target in job["static_configs"]:
            (address,) = target["targets"]
            host, _, port = address.partition(":")
            path = target.get("labels", {}).get("__metrics_path__") or job["metrics_path"]
            assert host in services
            assert f"listen {port};" in proxy
            assert f"location = {path} {{" in proxy


def test_prometheus_takes_them() -> None:
    need("promtool")
    command = ["promtool", "check", "config", str(FOLDER / "prometheus.yml")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
