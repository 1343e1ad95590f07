"""Structured logs: JSON lines in prod, readable ones elsewhere; and nothing secret in either.

Secrets are kept out by not handing them to the logger.  What other people's code logs by itself is the danger, so
uvicorn's access log is off (it prints the whole request target) and exceptions appear without their text, which may
quote what a client sent.
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import Any, Final, Protocol, TextIO

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FRAMES_SHOWN: Final = 12

#: Below warning these print single frames, headers and whole URLs.
TALKATIVE: Final = (
    *("uvicorn", "uvicorn.error", "uvicorn.access", "websockets", "asyncio", "httpx", "httpcore"),
    *("sqlalchemy", "redis", "sse_starlette"),
)

#: Field names that must never carry a value, whoever wrote the call.
SECRET_FIELDS: Final = frozenset(
    {"password", "token", "session_token", "account_token", "api_key", "cmd_secret", "secret", "authorization", "sig"}
)


class LogSettings(Protocol):
    """The part of the settings that logging needs."""

    @property
    def is_prod(self) -> bool: ...

    @property
    def log_level(self) -> Any: ...


def configure_logging(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging for this process.

    Args:
        settings: ``is_prod`` picks JSON, ``log_level`` the least level.
        stream: where lines go; standard error by default.
    """
    out = sys.stderr if stream is None else stream
    level = LEVELS[settings.log_level]
    renderer: Any = structlog.processors.JSONRenderer(serializer=_to_json) if settings.is_prod else _readable(out)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
        shorten_exception,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, LEVELS["warning"]) if settings.is_prod else level)
    for name in TALKATIVE:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], name != "uvicorn.access"
        logger.setLevel(max(level, LEVELS["warning"]))


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank out fields with a secret's name."""
    for name in SECRET_FIELDS & event.keys():
        event[name] = "(hidden)"
    return event


def shorten_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace ``exc_info`` by the exception's type and places, without its text and without any values."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event.update(described(error))
    return event


def described(error: BaseException) -> dict[str, Any]:
    """Fields that say what went wrong and where, and quote nothing."""
    cause = error.__cause__ or error.__context__
    fields: dict[str, Any] = {"error_type": type(error).__qualname__, "error_at": _places(error.__traceback__)}
    if cause is not None:
        fields["error_cause"] = type(cause).__qualname__
    return fields


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-FRAMES_SHOWN:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _to_json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=repr).decode()


def _readable(out: TextIO) -> Any:
    return structlog.dev.ConsoleRenderer(colors=out.isatty())
