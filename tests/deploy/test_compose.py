"""compose.yaml by the published schema, and what the schema does not say: that its parts fit together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = FILE["services"]


def test_it_is_of_composes_schema() -> None:
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_finds_what_is_wrong(tmp_path: Path) -> None:
    """So that the test above is one."""
    broken = tmp_path / "compose.yaml"
    broken.write_text(TEXT.replace("healthcheck:", "healthchek:", 1))
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(broken)]
    assert subprocess.run(argv, capture_output=True, timeout=60).returncode == 1


def test_everything_the_brief_asks_for_is_there() -> None:
    wanted = {"app", "ray-head", "ray-worker", "postgres", "valkey", "caddy", "prometheus", "grafana"}
    assert wanted == set(SERVICES)
    assert SERVICES["app"]["image"].startswith("${APP_IMAGE")


@pytest.mark.parametrize("name", SERVICES)
def test_each_has_a_health_check_and_comes_back_by_itself(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_nothing_waits_for_what_is_merely_started(name: str) -> None:
    image = SERVICES[name]["image"]
    assert re.search(r":[\w.]*\d[\w.]*$", image) or "APP_IMAGE" in image, image
    assert not image.endswith(":latest")
    for condition in SERVICES[name].get("depends_on", {}).values():
        assert condition == {"condition": "service_healthy"}


def test_the_order_of_start_has_no_circle() -> None:
    done: set[str] = set()
    while len(done) < len(SERVICES):
        ready = {name for name, one in SERVICES.items() if set(one.get("depends_on", {})) <= done} - done
        assert ready, f"wait for each other: {set(SERVICES) - done}"
        done |= ready
    assert list(SERVICES["caddy"]["depends_on"]) == ["app"]


def test_secrets_are_files_and_nowhere_else() -> None:
    used = {secret for one in SERVICES.values() for secret in one.get("secrets", ())}
    assert used == set(FILE["secrets"])
    for name, secret in FILE["secrets"].items():
        assert secret == {"file": f"${{CHUNKCRAWL_DATA:-./data}}/secrets/{name}"}
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            secretive = re.search(r"PASSWORD|SECRET|TOKEN|PEPPER", variable)
            assert not secretive or str(value).startswith(("/run/secrets", "token")), variable


def test_the_apps_secrets_and_variables_are_settings() -> None:
    known = {f"CHUNKCRAWL_{name.upper()}" for name in Settings.model_fields} | {"CHUNKCRAWL_SECRETS_DIR"}
    app = SERVICES["app"]
    variables = {name for name in app["environment"] if name.startswith("CHUNKCRAWL_")}
    assert variables <= known
    secrets = {name.upper() for name in app["secrets"] if name.startswith("chunkcrawl_")}
    assert secrets <= known


def test_all_data_is_in_one_directory() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            assert volume.startswith(("${CHUNKCRAWL_DATA:-./data}/", "./deploy/")), f"{name}: {volume}"
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists(), volume


def test_only_the_front_door_is_open_to_the_world() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            assert name == "caddy" or port.startswith("127.0.0.1:"), f"{name}: {port}"


def test_valkey_keeps_what_it_was_told() -> None:
    script = SERVICES["valkey"]["command"][-1]
    for argument in ("--appendonly yes", "--appendfsync everysec", "--maxmemory-policy noeviction"):
        assert argument in script


def test_caddy_drops_an_idle_connection_before_the_gateway_does() -> None:
    """Else a request goes out on a connection that has just been closed, and its client gets 502."""
    found = re.search(r"^\s*keepalive (\d+)s$", (ROOT / "deploy" / "Caddyfile").read_text(), re.MULTILINE)
    assert found is not None
    assert int(found[1]) < Settings().keep_alive_s
    assert Settings().keep_alive_s >= 75, "longer than the usual balancers"
