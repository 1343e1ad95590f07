"""deploy/Dockerfile and ``make image`` without an engine: lint, install steps in a clean place, tags and SBOM."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from io import BytesIO
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
BIN = Path(sys.executable).parent
PACKAGES = (
    *("api", "cli", "cluster", "config", "embedded", "loadtest", "migrations", "operations", "store", "streaming"),
    *("recordings", "web", "world"),
)


def test_every_room_that_is_packed_is_copied() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        packed = tomllib.load(file)["tool"]["setuptools"]["packages"]["find"]["include"]
    rooms = {pattern.removesuffix("*") for pattern in packed}
    assert rooms <= {line.split()[1] for line in DOCKERFILE.read_text().splitlines() if line.startswith("COPY ")}
    assert rooms <= {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}


def test_the_linter_has_nothing_to_say() -> None:
    done = subprocess.run([BIN / "hadolint", DOCKERFILE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_say_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text(DOCKERFILE.read_text().replace("USER 10001:10001", "USER root"))
    done = subprocess.run([BIN / "hadolint", bad], capture_output=True, text=True, timeout=60)
    assert "DL3002" in done.stdout


def instructions() -> list[str]:
    """The file's instructions, each on one line."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    return [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]


def test_it_is_built_in_stages_and_runs_as_nobody_special() -> None:
    found = instructions()
    assert len([line for line in found if line.startswith("FROM ")]) == 2
    assert "USER 10001:10001" in found
    assert any(line.startswith("HEALTHCHECK ") for line in found)
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    # Those whose data directories are made for our user.
    assert {services[name]["user"] for name in ("prometheus", "grafana")} == {"10001:10001"}


def test_what_is_copied_reaches_the_builder() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {line.split()[1:-1][0] for line in instructions() if line.startswith("COPY ") and "--from" not in line}
    assert {*PACKAGES, "sdk", "sdk-js"} <= copied
    assert copied | {"README.md"} == let_in


def committed(into: Path) -> None:
    """The committed files, as a build on another machine would have them."""
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(into, filter="data")


def clean_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ} | {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_install_steps_make_an_installation_that_works(tmp_path: Path) -> None:
    """The build stage's steps in order, with a directory of ours in place of the image's root."""
    source, root = tmp_path / "checkout", tmp_path / "root"
    committed(source)
    work, venv = root / "src", root / "opt" / "chunkcrawl"
    work.mkdir(parents=True)
    environment = clean_environment()
    environment["PATH"] = f"{venv / 'bin'}:{environment['PATH']}"
    stage = instructions()
    stage = stage[stage.index(next(line for line in stage if line.endswith(" AS build"))) + 1 :]
    for line in stage:
        if line.startswith("FROM "):
            break
        if line.startswith("COPY "):
            *files, target = line.split()[1:]
            for file in files:
                place = work / target if target not in (".", "./") else work / file
                copy = shutil.copytree if (source / file).is_dir() else shutil.copy
                copy(source / file, place)
        if line.startswith("RUN "):
            command = (
                line[4:].replace("/opt/chunkcrawl", str(venv)).replace("python -m venv", f"{sys.executable} -m venv")
            )
            subprocess.run(["sh", "-ec", command], cwd=work, env=environment, check=True, timeout=800)
    assert said(tmp_path, venv / "bin" / "chunkcrawl", "--version").startswith("chunkcrawl ")
    where = "import api.app, cluster.coordinator, chunkcrawl, migrations.run; print(api.app.__file__)"
    assert said(tmp_path, venv / "bin" / "python", "-c", where).startswith(str(venv))
    assert not (venv / "bin" / "pip").exists()
    assert missing_files(source, next((venv / "lib").glob("python3.*/site-packages"))) == set()


def said(directory: Path, *argv: Path | str) -> str:
    done = subprocess.run(argv, cwd=directory, env=clean_environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def missing_files(source: Path, installed: Path) -> set[str]:
    """Files of the packages, code or not, that the installation has not got."""
    files = {
        path.relative_to(source).as_posix()
        for package in PACKAGES
        for path in (source / package).rglob("*")
        if path.is_file()
    }
    return {name for name in files if not (installed / name).is_file()}


def build(tmp_path: Path, *, engine: str = "docker", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a fresh repository, with an engine that notes what it is told."""
    repository = tmp_path / "repository"
    if not repository.exists():
        committed(repository)
        quiet = {"cwd": repository, "check": True, "capture_output": True}
        identity = ["-c", "user.name=t", "-c", "user.email=t@x.org"]
        subprocess.run(["git", "init", "-q"], **quiet)  # type: ignore[call-overload]
        subprocess.run(["git", "add", "."], **quiet)  # type: ignore[call-overload]
        subprocess.run(["git", *identity, "commit", "-q", "-m", "all"], **quiet)  # type: ignore[call-overload]
    tools = tmp_path / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "docker").write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n[ "$1 $2" != "image inspect" ] || echo sha256:abc\n'
    )
    (tools / "docker").chmod(0o755)
    environment = clean_environment() | {"BIN": str(BIN), "ENGINE": engine, "PYTHONWARNINGS": "ignore"} | variables
    environment["PATH"] = f"{tools}:{environment['PATH']}"
    argv = [repository / "deploy" / "build-image"]
    return subprocess.run(argv, cwd=repository, env=environment, capture_output=True, text=True, timeout=110)


def test_an_image_is_tagged_by_version_and_revision_and_comes_with_its_sbom(tmp_path: Path) -> None:
    done = build(tmp_path, REGISTRY="registry.example/games/", PUSH="1", PYTHON_IMAGE="python@sha256:1")
    assert done.returncode == 0, done.stderr
    repository = tmp_path / "repository"
    head = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=repository, capture_output=True, text=True)
    name, revision = "registry.example/games/chunkcrawl", head.stdout.strip()
    told = (tmp_path / "told").read_text().splitlines()
    assert told[0] == (
        f"build -f deploy/Dockerfile --build-arg PYTHON_IMAGE=python@sha256:1 --build-arg VERSION=0.1.0"
        f" --build-arg REVISION={revision} -t {name}:0.1.0-{revision} -t {name}:0.1.0 -t {name}:local ."
    )
    assert told[-2:] == [f"push {name}:0.1.0-{revision}", f"push {name}:0.1.0"]
    assert (repository / "build" / "image.txt").read_text().startswith(f"sha256:abc\n{name}:0.1.0-{revision}\n")
    sbom = json.loads((repository / "build" / "chunkcrawl-0.1.0.cdx.json").read_text())
    versions = {part["name"]: part["version"] for part in sbom["components"]}
    locked = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert sbom["bomFormat"] == "CycloneDX"
    assert versions == locked


def test_an_image_is_of_a_revision(tmp_path: Path) -> None:
    assert build(tmp_path, engine="no-such-engine").returncode == 1
    (tmp_path / "repository" / "README.md").write_text("changed")
    done = build(tmp_path)
    assert done.returncode == 1
    assert "not committed" in done.stderr
    assert build(tmp_path, ALLOW_DIRTY="1").returncode == 0
    assert "-dirty" in (tmp_path / "told").read_text()


def test_without_an_engine_it_says_what_to_do(tmp_path: Path) -> None:
    done = build(tmp_path, engine="no-such-engine")
    assert done.returncode == 1
    assert "ENGINE=podman" in done.stderr
    done = build(tmp_path, PUSH="1")
    assert (done.returncode, done.stderr) == (1, "PUSH needs REGISTRY.\n")


@pytest.mark.parametrize(("user", "why"), [("1000", "chroots are for root"), ("0", "no buildah here")])
def test_its_check_says_why_it_can_not_be_done_here(tmp_path: Path, user: str, why: str) -> None:
    """And is no failure: a developer's machine and CI go on."""
    assert skipped(tmp_path, "deploy/image-check", id=f"echo {user}").startswith(f"image-check: skipped: {why}")


@pytest.mark.parametrize(
    ("tools", "why"),
    [
        ({"id": "echo 1000"}, "its tools are installed, and run, by root"),
        ({"id": "echo 0"}, "no apt-get here"),
        ({"id": "echo 0", "apt-get": "exit 100"}, "apt-get could not install buildah"),
    ],
)
def test_ci_installs_what_its_check_needs_or_says_why_not(tmp_path: Path, tools: dict[str, str], why: str) -> None:
    said = skipped(tmp_path, ".ci/image-check", **tools)
    assert said.startswith(f"image-check: skipped: {why}")
    assert said.count("\n") == 1


def skipped(path: Path, script: str, **tools: str) -> str:
    """What a script says that finds nothing but these tools (and their one line of shell), and ends with 0."""
    for tool in ("bash", "dirname"):
        (path / tool).symlink_to(str(shutil.which(tool)))
    for tool, line in tools.items():
        (path / tool).write_text(f"#!/bin/sh\n{line}\n")
        (path / tool).chmod(0o755)
    done = subprocess.run([ROOT / script], env={"PATH": str(path)}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
