"""How operator commands find both stores, of a world that runs or of one that is stopped.

By the settings (environment, secret files); else the servers of the ``chunkcrawl up`` that uses the data directory;
else, when nobody uses it, its servers are started for as long as the command needs them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from config.settings import Settings, load_settings
from embedded.children import ServiceError
from embedded.services import EmbeddedServices, ServiceUrls


@contextlib.contextmanager
def open_services(data_dir: str | None, *, create: bool = False) -> Iterator[Settings]:
    """Yield settings whose two URLs lead to running servers.  Main thread only, outside an event loop.

    Args:
        data_dir: Data directory of ``chunkcrawl up``; None: as the settings say.
        create: Make the directory and its servers' data when there is none.

    Raises:
        SettingsError: the settings can't be used.
        ServiceError: there is no such system, or its servers don't start.
    """
    settings = load_settings(data_dir=data_dir)
    if settings.database_url and settings.redis_url:
        yield settings
        return
    directory = Path(settings.data_dir)
    if not create and not (directory / "secrets.json").exists():
        raise ServiceError(
            f"there is no world in {directory}: name another directory with --data, or the servers with "
            "CHUNKCRAWL_DATABASE_URL and CHUNKCRAWL_REDIS_URL"
        )
    services = EmbeddedServices(
        directory, database_url=settings.database_url, redis_url=settings.redis_url, fsync=settings.redis_fsync
    )
    running = running_urls(directory)
    if running is not None:
        yield _with(settings, running)
        return
    with services as urls:
        for notice in services.take_notices():
            print(notice, file=sys.stderr)
        yield _with(settings, urls)


def running_urls(directory: Path) -> ServiceUrls | None:
    """Return the servers that some ``chunkcrawl up`` has running in ``directory``."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((directory / "services.json").read_text())
        if _is_locked(directory):
            return ServiceUrls(found["database_url"], found["redis_url"])
    return None


def _is_locked(directory: Path) -> bool:
    with open(directory / "lock", "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def _with(settings: Settings, urls: ServiceUrls) -> Settings:
    update = {"database_url": urls.database_url, "redis_url": urls.redis_url}
    return settings.model_copy(update={name: url for name, url in update.items() if not getattr(settings, name)})
