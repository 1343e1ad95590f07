"""Prometheus' and Grafana's files: their own tool takes them, and they agree with each other and with compose."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.promql import DEPLOY, dashboard, expressions, metrics_of, rules

ROOT = DEPLOY.parent


def promtool() -> str:
    path = os.pathsep.join((os.environ.get("PATH", ""), str(ROOT / "build" / "promtool")))
    found = shutil.which("promtool", path=path)
    if found is None:
        pytest.skip("promtool is not here: `.ci/promtool build/promtool` gets it on Debian")
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "deploy/prometheus/rules.yml"),
        ("check", "config", "--syntax-only", "deploy/prometheus/prometheus.yml"),
        ("test", "rules", "tests/deploy/alerts.yml"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_promtool_takes_it(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([promtool(), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_has_its_line_in_the_handbook() -> None:
    names = {rule["alert"] for rule in rules()}
    cases = yaml.safe_load((ROOT / "tests/deploy/alerts.yml").read_text())["tests"]
    fired = {one["alertname"] for case in cases for one in case["alert_rule_test"] if one["exp_alerts"]}
    assert fired == names
    handbook = (ROOT / "docs/operating.md").read_text()
    assert {name for name in names if f"`{name}`" not in handbook} == set()


def test_every_panel_asks_something_of_the_provisioned_source() -> None:
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])
    for panel in panels:
        assert panel["targets"], panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}, panel["title"]


def test_panels_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("a > 5 or (increase(b_total[1m]) == 0)", {"a", "b_total"}),
        ('max by (shard) (x{shard="y"}) == 1', {"x"}),
        ("histogram_quantile(0.99, sum by (le) (rate(c_bucket[$__rate_interval])))", {"c_bucket"}),
        ("absent(d) and on() e == 1", {"d", "e"}),
        ("26 * 3600 < f", {"f"}),
    ],
)
def test_names_are_found_in_expressions(expression: str, names: set[str]) -> None:
    assert metrics_of(expression) == names


def test_something_is_asked_for() -> None:
    assert len({name for _, expression in expressions() for name in metrics_of(expression)}) > 40


def test_prometheus_finds_what_compose_mounts() -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["prometheus"]
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    job = config["scrape_configs"][0]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{service['secrets'][0]}"
    assert all((DEPLOY / "prometheus" / name).is_file() for name in config["rule_files"])
    host, port = job["static_configs"][0]["targets"][0].split(":")
    assert host == "caddy"
    assert f":{port}" in (DEPLOY / "Caddyfile").read_text()
    assert Path(ROOT, "deploy/prometheus").is_dir()
