"""Database URLs of hosters and other tools: translated for all who use them, or refused in one line."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from config.database_url import BadDatabaseUrl, normal_form, parse
from migrations.run import current, upgrade
from store.engine import make_engine

SECRET = "hunter2"


def driver(url: str) -> dict[str, Any]:
    """What the driver would connect with, by its own reckoning."""
    arguments = parse(normal_form(url)).connect_arguments(timeout_s=5.0, session={"timezone": "UTC"})
    names = ("host", "port", "user", "password", "database", "ssl", "dsn", "server_settings")
    given: dict[str, Any] = dict.fromkeys((*names, "passfile", "service", "servicefile", "direct_tls"))
    given |= dict.fromkeys(("target_session_attrs", "krbsrvname", "gsslib"))
    given |= {name: value for name, value in arguments.items() if name in names}
    addresses, parameters = asyncpg.connect_utils._parse_connect_dsn_and_args(**given)[:2]
    return {
        "addresses": addresses,
        "user": parameters.user,
        "password": parameters.password,
        "database": parameters.database,
        "session": parameters.server_settings,
        "attributes": str(parameters.target_session_attrs.value),
        "ssl": parameters.ssl,
        "mode": parameters.sslmode.name if parameters.sslmode is not None else None,
        "timeout": arguments["timeout"],
    }


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_scheme_is_the_drivers(scheme: str) -> None:
    assert normal_form(f"{scheme}://u:p@h:5433/d") == "postgresql+asyncpg://u:p@h:5433/d"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("p@ss", "p@ss"),
        ("p%40ss", "p@ss"),
        ("100%", "100%"),
        ("100%25", "100%"),
        ("%zz", "%zz"),
        ("a:b", "a:b"),
        ("p%2Fq%3F%23", "p/q?#"),
        ("+ +", "+ +"),
        ("gr\u00fcn", "gr\u00fcn"),
    ],
)
def test_a_password_reaches_driver_and_tools_as_it_was_meant(written: str, meant: str) -> None:
    url = f"postgres://me:{written}@db.example/game?sslmode=disable"
    found = driver(url)
    assert (found["user"], found["password"], found["database"]) == ("me", meant, "game")
    assert found["addresses"] == [("db.example", 5432)]
    words, variables = parse(normal_form(url)).libpq_words()
    assert variables["PGPASSWORD"] == meant
    assert not [word for word in words if meant in word]
    assert normal_form(normal_form(url)) == normal_form(url)


def test_what_hosters_add_is_translated() -> None:
    url = (
        "postgres://u:p@db.example/d?sslmode=require&connect_timeout=7&application_name=my%20game&channel_binding=prefer"
        "&options=-c%20statement_timeout%3D9000&target_session_attrs=read-write&keepalives_idle=30"
    )
    found = driver(url)
    assert found["mode"] == "require"
    assert found["timeout"] == 7.0
    assert found["attributes"] == "read-write"
    assert found["session"] == {
        "application_name": "my game",
        "options": "-c statement_timeout=9000",
        "timezone": "UTC",
    }
    assert parse(normal_form(url)).libpq_words()[1] == {
        "PGSSLMODE": "require",
        "PGCONNECT_TIMEOUT": "7",
        "PGAPPNAME": "my game",
        "PGOPTIONS": "-c statement_timeout=9000",
        "PGTARGETSESSIONATTRS": "read-write",
        "PGPASSWORD": "p",
    }


@pytest.mark.parametrize(
    ("url", "addresses", "words"),
    [
        ("postgres://u@h1:1,h2/d", [("h1", 1), ("h2", 5432)], ["--host=h1,h2", "--port=1,"]),
        ("postgres:///d?host=h1,h2&port=7", [("h1", 7), ("h2", 7)], ["--host=h1,h2", "--port=7,7"]),
        ("postgres://u@[::1]:6543/d", [("::1", 6543)], ["--host=::1", "--port=6543"]),
        ("postgres:///d?host=/run/pg", ["/run/pg/.s.PGSQL.5432"], ["--host=/run/pg"]),
        ("postgres://%2Frun%2Fpg:6/d", ["/run/pg/.s.PGSQL.6"], ["--host=/run/pg", "--port=6"]),
        ("postgres://h:5432/d?application_name=a@b", [("h", 5432)], ["--host=h", "--port=5432"]),
    ],
)
def test_places(url: str, addresses: list[Any], words: list[str]) -> None:
    assert driver(url)["addresses"] == addresses
    found = parse(normal_form(url)).libpq_words()[0]
    assert [word for word in found if word.startswith(("--host", "--port"))] == words


def test_a_password_as_a_parameter_is_kept_off_command_lines() -> None:
    words, variables = parse(normal_form(f"postgres://u@h/d?password={SECRET}")).libpq_words()
    assert SECRET not in str(words)
    assert variables == {"PGPASSWORD": SECRET}
    assert SECRET not in repr(parse(f"postgres://u:{SECRET}@h/d"))


def test_the_systems_certificates() -> None:
    found = driver("postgres://u@h/d?sslmode=verify-full&sslrootcert=system")["ssl"]
    assert isinstance(found, ssl.SSLContext)
    assert found.check_hostname
    assert found.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        (f"u:{SECRET}@h/d?sslmode=yes", "sslmode must be one of"),
        (f"u:{SECRET}@h/d?target_session_attrs=standby", "target_session_attrs must be one of any, primary"),
        (f"u:{SECRET}@h/d?connect_timeout=-1", "connect_timeout must be"),
        (f"u:{SECRET}@h/d?options=-c%20search_path%3Dgame", "search_path"),
        (f"u:{SECRET}@h/d?pgbouncer=true", "pgbouncer is not supported"),
        (f"u:{SECRET}@h/d?channel_binding=require", "channel_binding=require is not supported"),
        (f"u:{SECRET}@h/d?schema=game", "schema is not supported"),
        (f"u:x@h/d?{SECRET}=1", "a parameter that is not supported"),
        (f"u:{SECRET}/w@h/d", "write / . # as"),
        (f"u:{SECRET}?x=1@h/d", "write / . # as"),
        (f"u:{SECRET}#@h/d", "write / . # as"),
        (f"u:1?{SECRET}=x@h/d", "a parameter that is not supported"),
        (f"u:%ff{SECRET}@h/d", "UTF-8"),
        (f"u:{SECRET}%00@h/d", "NUL"),
        (f"u:{SECRET}@h:{SECRET}/d", "host:port"),
        (f"u:{SECRET}@h:99999/d", "1 to 65535"),
        (f"u:{SECRET}@h/d?host=g", "host twice"),
        (f"u:{SECRET}@h/d?password={SECRET}", "password twice"),
        (f"u:{SECRET}@h/d?sslmode=require&sslrootcert=system", "verify-full"),
    ],
)
def test_what_can_not_be_used_is_one_line_without_secrets(rest: str, says: str) -> None:
    with pytest.raises(BadDatabaseUrl, match=says) as caught:
        normal_form(f"postgresql://{rest}")
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_engine_and_migrations_take_such_a_url(blank_postgres_url: str) -> None:
    written = blank_postgres_url.replace("postgresql+asyncpg", "postgres")
    url = f"{written}?sslmode=prefer&connect_timeout=10&application_name=mine&options=-c%20work_mem%3D9MB"
    await upgrade(url)
    assert await current(url) is not None
    engine = make_engine(url)
    try:
        async with engine.connect() as connection:
            for name, value in (("application_name", "mine"), ("work_mem", "9MB"), ("timezone", "UTC")):
                assert await connection.scalar(text(f"SHOW {name}")) == value
    finally:
        await engine.dispose()


def test_the_migrations_own_command_refuses_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from migrations.run import _main

    for url in (f"mysql://u:{SECRET}@h/d", f"postgresql://u:{SECRET}@127.0.0.1:1/d"):
        monkeypatch.setenv("CHUNKCRAWL_DATABASE_URL", url)
        assert _main(["upgrade"]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert len(said.splitlines()) == 1
        assert SECRET not in said
    asyncio.set_event_loop(None)
