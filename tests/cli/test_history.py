"""``chunkcrawl history``: what it prints, how it is asked."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from cli.history import app, json_line, line
from store import event_log
from store.engine import make_engine
from store.event_log import LoggedEvent, LogRow

AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def event(kind: str = "chat", **other: object) -> LoggedEvent:
    values = {"at": AT, "entry_id": "1-0", "run_id": "run_1", "tick": 42, "chunk_id": "chunk-0", "agent_id": "scout-1"}
    return LoggedEvent(**(values | {"kind": kind, "payload": {}} | other))  # type: ignore[arg-type]


def fill(url: str) -> None:
    def row(minute: int, kind: str, chunk_id: str, payload: str) -> LogRow:
        ms = int((AT + timedelta(minutes=minute)).timestamp() * 1000)
        return LogRow(f"{ms}-0", "run_1", 40 + minute, chunk_id, "scout-1", kind, payload)

    async def insert() -> None:
        engine = make_engine(url)
        rows = [
            row(0, "join", "chunk-0", '{"x":25,"y":25}'),
            row(1, "crossing", "chunk-0", '{"to_chunk_id":"chunk-7","x":25,"y":0}'),
            row(2, "chat", "chunk-7", '{"text":"h\\u00e4llo\\n\\u001b[31m \\u202e"}'),
        ]
        await event_log.insert(engine, rows)
        await engine.dispose()

    asyncio.run(insert())


@pytest.fixture
def environment(fresh_postgres_url: str, valkey_url: str) -> dict[str, str]:
    fill(fresh_postgres_url)
    return {"CHUNKCRAWL_DATABASE_URL": fresh_postgres_url, "CHUNKCRAWL_REDIS_URL": valkey_url}


def invoke(environment: dict[str, str], *words: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, list(words), env=environment)
    return result.exit_code, result.output.splitlines()


def test_what_an_agent_did_oldest_first(environment: dict[str, str]) -> None:
    code, lines = invoke(environment, "--agent", "scout-1")
    assert code == 0
    assert lines == [
        "2026-03-01 12:00:00.250        40 chunk-0    scout-1          join        x=25 y=25",
        "2026-03-01 12:01:00.250        41 chunk-0    scout-1          crossing    to_chunk_id=chunk-7 x=25 y=0",
        '2026-03-01 12:02:00.250        42 chunk-7    scout-1          chat        text="hällo\\n\\u001b[31m \\u202e"',
    ]


def test_what_happened_in_a_chunk_with_who_came_in(environment: dict[str, str]) -> None:
    code, lines = invoke(environment, "--chunk", "chunk-7", "--json")
    assert code == 0
    found = [json.loads(text) for text in lines]
    assert [event["kind"] for event in found] == ["crossing", "chat"]
    assert found[1]["payload"]["text"] == "hällo\n\x1b[31m \u202e"
    assert found[0]["at"] == "2026-03-01T12:01:00.250+00:00"


def test_limit_and_since(environment: dict[str, str]) -> None:
    assert len(invoke(environment, "--agent", "scout-1", "--limit", "1")[1]) == 1
    assert len(invoke(environment, "--agent", "scout-1", "--since", "2026-03-01T12:01")[1]) == 2
    assert invoke(environment, "--agent", "scout-1", "--since", "2026-03-05T00:00") == (0, ["Nothing."])
    assert invoke(environment, "--agent", "nobody", "--json") == (0, [])


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--agent", "a", "--chunk", "c"),
        ("scout-1", "--agent", "a"),
        ("--agent", "a", "--kind", "chat"),
        ("scout-1", "--kind", "gossip"),
        ("--agent", "a", "--since", "soon"),
        ("--agent", "a", "--limit", "0"),
    ],
)
def test_wrong_usage(environment: dict[str, str], words: tuple[str, ...]) -> None:
    assert invoke(environment, *words)[0] == 2


def test_without_a_system_it_says_where_it_looked(tmp_path: object) -> None:
    environment = {"CHUNKCRAWL_DATABASE_URL": "", "CHUNKCRAWL_REDIS_URL": ""}
    code, lines = invoke(environment, "--agent", "a", "--data", f"{tmp_path}/none")
    assert code == 1
    assert lines[0].startswith("error: there is no world in")


def test_a_line_of_an_event_without_agent() -> None:
    assert line(event("regenerated", agent_id=None, payload={"amount": 3, "reason": None})).endswith(
        "chunk-0    -                regenerated amount=3"
    )
    assert json.loads(json_line(event()))["tick"] == 42
