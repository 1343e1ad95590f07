"""Fixtures for all rooms: real PostgreSQL and Valkey, started once a session, and a guard against stray Ray clusters.

Whatever test uses one of the servers is marked ``services`` by itself, so that ``make test-unit`` can leave it out.
"""

from __future__ import annotations

import importlib.util
import io
import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from redis.asyncio import Redis

from embedded.postgres import EmbeddedPostgres
from embedded.valkey import EmbeddedValkey
from streaming.connect import connect

# How long an example takes says how busy the machine is, no more.  Where changes are judged, the examples are the same
# each time, so that a change is refused for what it does; everywhere else they are new ones.
hypothesis_settings.register_profile("any machine", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis_settings.load_profile("any machine")

#: ``world``: one running world for all tests that want to use one from outside, started by the first.
pytest_plugins = ["chunkcrawl.testing"]

SERVER_FIXTURES = frozenset({"postgres_server", "valkey_url"})
PASSWORD = "for-tests"


def pytest_configure() -> None:
    """Let no process that a test starts inherit that a signal is ignored, as it is under ``nohup`` and behind ``&``."""
    for number, handler in {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: lambda *_: None}.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SERVER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("services")


# -- servers --


@pytest.fixture(scope="session")
def service_dir() -> Iterator[Path]:
    """A short directory of our own that is gone in the end."""
    path = Path(tempfile.mkdtemp(prefix="chunkcrawl-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey_url(service_dir: Path) -> Iterator[str]:
    """URL of a Valkey for this test session; use ``redis`` for a client that finds it empty."""
    server = EmbeddedValkey(service_dir / "valkey", PASSWORD, durable=False)
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def postgres_server(service_dir: Path) -> Iterator[str]:
    """URL of a PostgreSQL for this test session; use ``postgres_url`` for a database that is one's own."""
    server = EmbeddedPostgres(service_dir / "postgres", PASSWORD, durable=False)
    yield server.start()
    server.stop()


_database_numbers = itertools.count(1)


def run_sql(server_url: str, *statements: str) -> None:
    """Run statements one by one in the database ``postgres`` of the server, from a test that has no event loop yet."""
    import asyncio

    import asyncpg

    async def run() -> None:
        url = server_url.replace("+asyncpg", "").rpartition("/")[0] + "/postgres"
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def _new_database(server_url: str, template: str) -> str:
    name = f"test_{next(_database_numbers)}"
    run_sql(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    return f"{server_url.rpartition('/')[0]}/{name}"


def _drop_database(server_url: str, url: str) -> None:
    run_sql(server_url, f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> str:
    """Name of a database that has been migrated to head once; new ones are copied from it."""
    import asyncio

    from migrations.run import upgrade

    run_sql(postgres_server, "CREATE DATABASE migrated")
    asyncio.run(upgrade(f"{postgres_server.rpartition('/')[0]}/migrated"))
    return "migrated"


@pytest.fixture(scope="module")
def postgres_url(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """URL (``postgresql+asyncpg://``) of this test module's migrated database; its content stays between tests."""
    url = _new_database(postgres_server, migrated_template)
    yield url
    _drop_database(postgres_server, url)


@pytest.fixture
def fresh_postgres_url(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """URL of a migrated database of this one test (a copy takes some 30 ms)."""
    url = _new_database(postgres_server, migrated_template)
    yield url
    _drop_database(postgres_server, url)


@pytest.fixture
def blank_postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of a database with nothing in it, for tests of the migrations."""
    url = _new_database(postgres_server, "template1")
    yield url
    _drop_database(postgres_server, url)


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    """A client (bytes, not str) of a Valkey that holds nothing at the start of the test."""
    client = connect(valkey_url)
    await client.flushall()
    await client.script_flush()
    yield client
    await client.aclose()


# -- logging --


@pytest.fixture
def logging_put_back() -> Iterator[None]:
    """Whatever a test configures, afterwards logging is as it was."""
    import logging

    import structlog

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def debug_log(logging_put_back: None) -> io.StringIO:
    """All that is logged, at level debug."""
    from config.logs import configure_logging
    from config.settings import Settings

    out = io.StringIO()
    configure_logging(Settings(environment="test", log_level="debug"), out)
    return out


# Ray


def _guard(ray: Any) -> None:
    """Replace ``ray.init`` by one that raises unless the running test is marked."""
    original: Callable[..., Any] = ray.init

    def guarded_init(*args: Any, **kwargs: Any) -> Any:
        if not _ray_allowed:
            raise RuntimeError("ray.init in a test without @pytest.mark.ray")
        return original(*args, **kwargs)

    ray.init = guarded_init


class _RayGuard:
    """Import hook that guards ray as soon as somebody imports it; importing it here would cost every run a second."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        if name != "ray":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("ray")
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_guard(module: Any) -> None:
                execute(module)
                _guard(module)

            spec.loader.exec_module = execute_and_guard  # type: ignore[method-assign]
        return spec


_ray_allowed = False

if "ray" in sys.modules:
    _guard(sys.modules["ray"])
else:
    sys.meta_path.insert(0, _RayGuard())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture, those of modules and the session among them."""
    global _ray_allowed
    _ray_allowed = item.get_closest_marker("ray") is not None


def pytest_runtest_teardown() -> None:
    global _ray_allowed
    _ray_allowed = False
