"""Structured logs: JSON lines in prod, readable ones elsewhere; and nothing secret in either.

Secrets are kept out by not handing them to the logger.  What other people's code logs by itself is the danger, so
uvicorn's access log is off (it prints the whole request target) and exceptions appear without their text, which may
quote what a client sent.  Ids that clients choose are logged, and a client may put its token where an id belongs: what
looks like a secret of ours is blanked in every value.
"""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from config.log_files import RotatingLog
from config.log_levels import LEVELS, LevelTable, parse_levels
from config.log_sampling import Sampler
from config.log_writer import LogWriter
from config.secret_forms import HIDDEN, hide_secrets_in

FRAMES_SHOWN: Final = 12

#: Field names that must never carry a value, whoever wrote the call.
SECRET_FIELDS: Final = frozenset(
    {"password", "token", "session_token", "account_token", "api_key", "cmd_secret", "secret", "authorization", "sig"}
)

#: Below warning these print single frames, headers, statements and whole URLs, so no setting takes them below it.
TALKATIVE: Final = (
    *("uvicorn", "uvicorn.error", "uvicorn.access", "websockets", "asyncio", "httpx", "httpcore"),
    *("sqlalchemy", "redis", "sse_starlette"),
)


class LogSettings(Protocol):
    """The part of the settings that logging needs."""

    @property
    def is_prod(self) -> bool:
        """Whether lines are JSON."""

    @property
    def log_level(self) -> Any:
        """The least level of a line."""

    @property
    def log_levels(self) -> str:
        """Levels of single modules, as ``config.log_levels`` reads them."""

    @property
    def log_dir(self) -> str:
        """The directory of log files; empty: standard error."""


class NamedLogger(structlog.WriteLogger):
    """A logger of lines that knows the module that it logs for; lines below warning can wait, where ``out`` allows."""

    def __init__(self, out: TextIO | LogWriter, name: str) -> None:
        super().__init__(cast("TextIO", out))
        self.name = name
        self._later = out.later if isinstance(out, LogWriter) else out.write

    def info(self, message: str) -> None:
        """Write a line that can wait."""
        self._later(f"{message}\n")

    debug = info


def configure_logging(settings: LogSettings, stream: TextIO | None = None, *, actor: str = "") -> None:
    """Set up structlog and the standard library's logging for this process.

    Args:
        settings: ``is_prod`` picks JSON, ``log_level`` and ``log_levels`` the least level, ``log_dir`` the place.
        stream: where lines go; by default ``<log_dir>/<actor>.log`` where both are given, else standard error.
        actor: name of this process, a field of every line.
    """
    file = _destination(settings, actor) if stream is None else stream
    table = LevelTable(LEVELS[settings.log_level], parse_levels(settings.log_levels))
    renderer: Any = structlog.processors.JSONRenderer(serializer=_to_json) if settings.is_prod else _readable(file)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _FixedFields({"actor": actor} if actor else {}),
        shorten_exception,
        hide_secrets,
        *([] if settings.is_prod else [on_one_line]),
    ]
    global _filter
    _filter = _ModuleFilter(table, Sampler())
    out = _background(file, shared, renderer) if stream is None else stream
    structlog.configure(
        processors=[_filter, *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(table.least),
        logger_factory=lambda *names: NamedLogger(out, names[0] if names else ""),
        # Making a logger anew for each line costs as much as leaving the line out; a test may configure again.
        cache_logger_on_first_use=stream is None and bool(actor),
    )
    handler = logging.StreamHandler(cast("TextIO", out))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_add_record_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    _configure_library_logging(handler, table, is_prod=settings.is_prod)


#: The one that writes this process's lines, unless a stream was given.
_writer: LogWriter | None = None


def _background(file: TextIO, processors: list[Any], renderer: Any) -> LogWriter:
    """Make the writer of this process, and end the one before it."""
    global _writer

    def lost_line(count: int) -> str:
        event: EventDict = {"event": "log_lines_lost", "count": count, "logger": __name__}
        for processor in processors:
            event = processor(None, "warning", event)
        return f"{renderer(None, 'warning', event)}\n"

    if _writer is not None:
        _writer.close()
    _writer = LogWriter(file, lost_line)
    return _writer


def flush_logs() -> None:
    """Write the lines that wait."""
    if _writer is not None:
        _writer.flush()


def _configure_library_logging(handler: logging.Handler, table: LevelTable, *, is_prod: bool) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    general = table.of("")
    root.setLevel(max(general, LEVELS["warning"]) if is_prod else general)
    for name in table.modules:
        least = LEVELS["warning"] if name.partition(".")[0] in TALKATIVE else 0
        logging.getLogger(name).setLevel(max(table.of(name), least))
    for name in TALKATIVE:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], name != "uvicorn.access"
        logger.setLevel(max(table.of(name), LEVELS["warning"]))


def _destination(settings: LogSettings, actor: str) -> TextIO:
    if not settings.log_dir or not actor:
        return sys.stderr
    try:
        return cast("TextIO", RotatingLog(Path(settings.log_dir) / f"{actor}.log"))
    except OSError as error:
        print(f"no log file in {settings.log_dir}: {error.strerror}", file=sys.stderr)
        return sys.stderr


class _FixedFields:
    """A processor that adds the same fields to every line."""

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for name, value in self._fields.items():
            event.setdefault(name, value)
        return event


class _ModuleFilter:
    """A processor that drops what is below its module's level or one of too many, and names the module in the rest."""

    def __init__(self, table: LevelTable, sampler: Sampler) -> None:
        self._table = table
        self._sampler = sampler

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        name: str = getattr(logger, "name", "")
        level, least = LEVELS.get(method, LEVELS["error"]), self._table.of(name)
        if level < least:
            raise structlog.DropEvent
        event["logger"] = name
        return self._sampler(event) if level == LEVELS["info"] and least > LEVELS["debug"] else event

    def leaves_out(self, module: str, event: str, kind: str) -> bool:
        """See ``is_left_out``."""
        least = self._table.of(module)
        if least <= LEVELS["debug"]:
            return False
        return least > LEVELS["info"] or self._sampler.leaves_out(event, kind)


#: The one of this process, once it is configured.
_filter: _ModuleFilter | None = None


def is_left_out(module: str, event: str, kind: str) -> bool:
    """Return whether a line at level info of an event that is sampled would not be written, and count it as left out.

    To be asked before such a line is made, which takes ten times as long.
    """
    return _filter is not None and _filter.leaves_out(module, event, kind)


def _add_record_name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["logger"] = event["_record"].name
    return event


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank out fields with a secret's name, and in all others what looks like a secret."""
    for name, value in event.items():
        event[name] = HIDDEN if name in SECRET_FIELDS else _without_secrets(value)
    return event


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return hide_secrets_in(value)
    if isinstance(value, (list, tuple, set)):
        return [_without_secrets(one) for one in value]
    if isinstance(value, dict):
        return {name: _without_secrets(one) for name, one in value.items()}
    return value


def shorten_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace ``exc_info`` by the exception's type and places, without its text and without any values."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event.update(described(error))
    return event


def on_one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what would end the line or move a terminal's cursor; JSON does so by itself, and fields are quoted."""
    text = str(event.get("event", ""))
    if not text.isprintable():
        event["event"] = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return event


def described(error: BaseException) -> dict[str, Any]:
    """Return fields that say what went wrong and where, and quote nothing."""
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
