from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from api.accounts.tokens import new_session_token
from config.logs import configure_logging, described, flush_logs

pytestmark = pytest.mark.usefixtures("logging_put_back")


@dataclass
class LogSettings:
    is_prod: bool = True
    log_level: str = "info"
    log_levels: str = ""
    log_dir: str = ""


def configured(**settings: Any) -> io.StringIO:
    out = io.StringIO()
    configure_logging(LogSettings(**settings), out)
    return out


def test_prod_writes_json_lines() -> None:
    out = configured()
    structlog.get_logger("x").info("challenge_answer", agent_id="a-1", n=1)
    line = json.loads(out.getvalue())
    assert (line["event"], line["agent_id"], line["n"], line["level"]) == ("challenge_answer", "a-1", 1, "info")
    assert line["timestamp"].endswith("Z")


def test_elsewhere_a_person_can_read_it() -> None:
    out = configured(is_prod=False)
    structlog.get_logger("x").info("started", port=8000)
    assert "started" in out.getvalue()
    assert "port=8000" in out.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(out.getvalue())


@pytest.mark.parametrize("is_prod", [True, False])
def test_a_line_stays_a_line_and_moves_no_cursor(is_prod: bool) -> None:
    out = configured(is_prod=is_prod)
    text = "a\n2026 [error] forged\x1b[2J\u202e"
    structlog.get_logger("x").info(f"said {text}", name=text, parts=[text])
    logging.getLogger("lib").warning("said %s", text)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.replace("\u202e", "").isprintable() for line in lines)


def test_the_level_is_the_settings() -> None:
    out = configured(log_level="warning")
    structlog.get_logger("x").info("quiet")
    structlog.get_logger("x").warning("loud")
    assert "quiet" not in out.getvalue()
    assert "loud" in out.getvalue()


@pytest.mark.parametrize("is_prod", [True, False])
def test_fields_with_a_secrets_name_are_blanked(is_prod: bool) -> None:
    out = configured(is_prod=is_prod, log_level="debug")
    structlog.get_logger("x").debug("oops", session_token="sess_1", cmd_secret="s3cret", password="hunter22")
    for secret in ("sess_1", "s3cret", "hunter22"):
        assert secret not in out.getvalue()


@pytest.mark.parametrize("is_prod", [True, False])
@pytest.mark.parametrize("logger", ["structlog", "logging"])
def test_a_secret_where_an_id_belongs_is_blanked(is_prod: bool, logger: str) -> None:
    out = configured(is_prod=is_prod)
    token = new_session_token()
    if logger == "structlog":
        values: Any = [f"a:{token}", {"id": token}]
        structlog.get_logger("x").info(f"seen {token}", agent_id=token, tried=values)
    else:
        logging.getLogger("somebody.elses").warning("seen %s", token)
    assert token[5:20] not in out.getvalue()
    assert "seen (hidden)" in out.getvalue()


@pytest.mark.parametrize("is_prod", [True, False])
@pytest.mark.parametrize("logger", [structlog.get_logger("x"), logging.getLogger("somebody.elses")])
def test_an_exception_shows_its_type_and_place_and_not_its_text(is_prod: bool, logger: Any) -> None:
    out = configured(is_prod=is_prod)
    try:
        raise ValueError("token sess_1 is bad")
    except ValueError:
        logger.error("failed", exc_info=True)
    assert "sess_1" not in out.getvalue()
    assert "ValueError" in out.getvalue()
    assert "test_logs.py" in out.getvalue()


def test_uvicorns_access_log_is_off_at_any_level() -> None:
    """It prints the whole request target."""
    out = configured(log_level="debug")
    logging.getLogger("uvicorn.access").error('"GET /x?token=sess_1 HTTP/1.1" 200')
    logging.getLogger("uvicorn.error").error("boom")
    assert "sess_1" not in out.getvalue()
    assert "boom" in out.getvalue()


def test_a_module_may_have_a_level_of_its_own() -> None:
    out = configured(log_level="warning", log_levels="streaming=info, streaming.hub=debug,api=error")
    for name in ("streaming.hub", "streaming.replay", "streaminghub", "api.accounts.auth", "cluster.router"):
        for method in ("debug", "info", "warning", "error"):
            getattr(structlog.get_logger(name), method)(method)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    seen: dict[str, list[str]] = {}
    for line in lines:
        seen.setdefault(line["logger"], []).append(line["event"])
    assert seen == {
        "streaming.hub": ["debug", "info", "warning", "error"],
        "streaming.replay": ["info", "warning", "error"],
        "streaminghub": ["warning", "error"],
        "api.accounts.auth": ["error"],
        "cluster.router": ["warning", "error"],
    }


def test_libraries_have_levels_too_but_those_that_print_what_they_see_stay_quiet() -> None:
    asked = ("websockets", "uvicorn", "httpx", "sqlalchemy.engine", "redis", "httpcore.http11", "sse_starlette.sse")
    out = configured(is_prod=False, log_level="debug", log_levels=",".join(f"{n}=debug" for n in (*asked, "somebody")))
    logging.getLogger("somebody.elses").debug("heard")
    for name in (*asked, "websockets.server", "uvicorn.error", "sqlalchemy.engine.Engine"):
        logging.getLogger(name).info("> Authorization: Bearer sess_1")
    assert "heard" in out.getvalue()
    assert "sess_1" not in out.getvalue()


def test_each_actor_has_a_file_and_its_name_in_every_line(tmp_path: Path) -> None:
    configure_logging(LogSettings(log_dir=str(tmp_path / "logs")), actor="shard-3")
    structlog.get_logger("cluster.shard").info("shard_started", tick=7)
    logging.getLogger("somebody.elses").warning("odd")
    path = tmp_path / "logs" / "shard-3.log"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["event"], line["actor"], line["logger"]) for line in lines] == [
        ("shard_started", "shard-3", "cluster.shard"),
        ("odd", "shard-3", "somebody.elses"),
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_where_no_file_can_be_written_lines_go_to_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    configure_logging(LogSettings(log_dir=str(tmp_path / "file")), actor="shard-3")
    structlog.get_logger("x").info("shard_started")
    flush_logs()
    said = capsys.readouterr().err
    assert "no log file" in said
    assert "shard_started" in said


def test_a_cause_is_named() -> None:
    try:
        try:
            raise KeyError("secret")
        except KeyError as error:
            raise ValueError("secret") from error
    except ValueError as error:
        fields = described(error)
    assert (fields["error_type"], fields["error_cause"]) == ("ValueError", "KeyError")
    assert "secret" not in str(fields)


@pytest.mark.parametrize(("levels", "seen"), [("", 5), ("api.challenge=debug", 200)])
def test_a_line_of_every_command_is_sampled_unless_its_module_is_at_debug(levels: str, seen: int) -> None:
    out = configured(log_levels=levels)
    log = structlog.get_logger("api.challenge.command_handler")
    for number in range(200):
        log.info("challenge_answer", verify_result="valid", server_cmd_id=number)
        log.info("something_else")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    answers = [line for line in lines if line["event"] == "challenge_answer"]
    assert len(lines) - len(answers) == 200
    # A second may end on the way.
    assert seen <= len(answers) <= max(seen, 2 * 5)
