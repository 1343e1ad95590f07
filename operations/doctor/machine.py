"""Checks of the machine that the doctor runs on: versions, disk, open files, secrets."""

from __future__ import annotations

import ipaddress
import os
import resource
import shutil
import stat
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from config.settings import DEV_SECRET, SECRETS_DIR_VARIABLE
from operations.doctor.finding import Finding, Installation, Skipped

PYTHON_LEAST: Final = (3, 11)
PYTHON_MOST: Final = (3, 13)
FREE_LEAST_BYTES: Final = 2 * 1024**3
FREE_LEAST_SHARE: Final = 0.1
#: The least limit of open files: a connection takes one, and there are those to Redis, PostgreSQL and Ray.
OPEN_FILES_LEAST: Final = 8_192


async def versions(_installation: Installation) -> Iterator[Finding]:
    """Check Python and every package against what the distribution asks for."""
    return iter([*_python(sys.version_info[:2]), *_packages()])


def _python(version: tuple[int, int]) -> Iterator[Finding]:
    if not PYTHON_LEAST <= version <= PYTHON_MOST:
        yield Finding(
            f"Python {version[0]}.{version[1]} is none that this was tried with (3.11 to 3.13)",
            "install with one of them; the same on all nodes, or Ray refuses them",
        )


def _packages() -> Iterator[Finding]:
    try:
        wanted = metadata.requires("chunkcrawl") or []
    except metadata.PackageNotFoundError:
        yield Finding("chunkcrawl is not installed as a package", "install the wheel, or use the container image")
        return
    for text in wanted:
        yield from package_fits(text)


def package_fits(text: str) -> Iterator[Finding]:
    """Compare one requirement of the distribution with what is installed."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return
    remedy = "install from requirements.lock: `pip install --require-hashes -r requirements.lock`"
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        yield Finding(f"{requirement.name} is missing", remedy)
        return
    if not requirement.specifier.contains(found, prereleases=True):
        yield Finding(f"{requirement.name} {found} is installed, wanted is {requirement.specifier}", remedy)


async def disk(installation: Installation) -> Iterator[Finding]:
    """Check the room where the data lies and where logs are written."""
    settings = installation.settings
    places = {Path(settings.data_dir), *([Path(settings.log_dir)] if settings.log_dir else [])}
    existing = sorted(place for place in places if place.exists())
    if not existing:
        raise Skipped(f"{settings.data_dir} is not on this machine")
    return iter([finding for place in existing for finding in _room(place, *shutil.disk_usage(place)[::2])])


def _room(place: Path, total: int, free: int) -> Iterator[Finding]:
    if free < min(FREE_LEAST_BYTES, total * FREE_LEAST_SHARE) or free < 256 * 1024**2:
        yield Finding(
            f"{place} has {free / 1024**3:.1f} of {total / 1024**3:.0f} GiB left; full, it stops Redis and PostgreSQL",
            "make room, or lower CHUNKCRAWL_EVENT_LOG_KEEP_DAYS and CHUNKCRAWL_SNAPSHOT_KEEP_DAYS",
        )


async def open_files(installation: Installation) -> Iterator[Finding]:
    """Check the limit of open files of this machine's gateways; where none is found, our own."""
    limits = {}
    for name, actor in ((installation.status or {}).get("actors") or {}).items():
        if name.startswith("gateway-") and (limit := _limit_of(actor.get("pid"))) is not None:
            limits[name] = limit
    if not limits:
        limits["this shell"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return iter([finding for name, limit in limits.items() for finding in enough_files(name, limit)])


def enough_files(name: str, limit: int) -> Iterator[Finding]:
    """Judge the limit of open files of a process."""
    if 0 <= limit < OPEN_FILES_LEAST:
        yield Finding(
            f"{name} may have {limit} files open; each connection is one, beyond that new ones fail",
            "raise it before the start: `ulimit -n 65536`, LimitNOFILE= in systemd, `ulimits:` in compose",
            "warning",
        )


def _limit_of(pid: object) -> int | None:
    """Return the soft limit of a process of this machine that runs our actors; None if it is not here."""
    try:
        if b"ray::" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return None  # a number of another machine
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
            if line.startswith("Max open files"):
                word = line.split()[3]
                return -1 if word == "unlimited" else int(word)
    except (OSError, ValueError, IndexError):
        pass
    return None


async def secrets(installation: Installation) -> Iterator[Finding]:
    """Check that no development secret is used where strangers can come, and that nobody else can read ours."""
    return iter(
        [*_open_doors(installation), *_readable_files(), *_shared_directory(Path(installation.settings.data_dir))]
    )


def _open_doors(installation: Installation) -> Iterator[Finding]:
    settings = installation.settings
    if not settings.is_prod and not is_local(settings.host):
        yield Finding(
            f"environment {settings.environment} listens on {settings.host}: the dev routes, the fixed spectator token "
            "and moves without a challenge are open to whoever reaches it",
            "set CHUNKCRAWL_ENVIRONMENT=prod, or CHUNKCRAWL_HOST=127.0.0.1",
        )
    if DEV_SECRET in settings.secret_pepper and (settings.is_prod or not is_local(settings.host)):
        yield Finding(
            "the pepper is the one of the source code, so stolen password hashes are only as good as the passwords",
            "set CHUNKCRAWL_SECRET_PEPPER before there are accounts: `head -c 32 /dev/urandom | base64`",
        )
    if settings.is_prod and not settings.metrics_token:
        yield Finding(
            "no CHUNKCRAWL_METRICS_TOKEN: in prod nobody can read /metrics, so no alert can fire",
            "set it to a random text of at least 32 characters, and give it to Prometheus",
            "warning",
        )
    for name, url in (("CHUNKCRAWL_DATABASE_URL", settings.database_url), ("CHUNKCRAWL_REDIS_URL", settings.redis_url)):
        parts = urlsplit(url)
        if url and parts.hostname and not parts.password and not is_local(parts.hostname):
            yield Finding(f"{name} goes to {parts.hostname} without a password", "set one there and in the URL")


def _readable_files() -> Iterator[Finding]:
    directory = os.environ.get(SECRETS_DIR_VARIABLE)
    if not directory:
        return
    for path in sorted(Path(directory).glob("chunkcrawl_*")):
        mode = path.stat().st_mode
        # Compose mounts secrets read-only into the container, where there are no other users.
        if mode & stat.S_IROTH and not directory.startswith("/run/secrets"):
            yield Finding(f"{path} can be read by every user of the machine", f"chmod 600 {path}")


def _shared_directory(directory: Path) -> Iterator[Finding]:
    if directory.is_dir() and directory.stat().st_mode & stat.S_IWOTH:
        yield Finding(
            f"every user of the machine can write to the data directory {directory}, and put files in place of ours",
            f"chmod o-w {directory}, or name one of your own with CHUNKCRAWL_DATA_DIR",
            "warning",
        )


def is_local(host: str) -> bool:
    """Return whether a host is this machine."""
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
