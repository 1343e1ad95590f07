"""What every call of the operators' API goes through: who calls, whether they may, and the line in the audit log.

The gate belongs to the class of the routes, so no route of that room can be without it: whatever is not a GET needs the
role ``operator`` and stands in the log, before it is tried and after it, also when it was refused or has failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError
from api.handlers import AWAY
from api.operator.callers import OperatorCaller
from api.operator.cluster_state import read_status
from api.operator.port import CantDo
from api.services import Services
from config.logs import described
from config.secret_forms import hide_secrets_in
from store import audit
from store.audit import AuditEntry, Outcome
from streaming.shared_clock import now_ms

__all__ = ["OperatorRoute", "audit_id_of", "caller_of", "leave_open"]

log = structlog.get_logger(__name__)

DETAILS_BYTES_MOST: Final = 4_000
SUBJECT_CHARS_MOST: Final = 200

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class OperatorRoute(APIRoute):
    """A route of the operators' API, with its gate."""

    def get_route_handler(self) -> Handler:
        """Return the framework's handler behind the gate."""
        inner = super().get_route_handler()
        action, acts = self.name.replace("_", "-"), "GET" not in (self.methods or ())

        async def handle(request: Request) -> Response:
            services: Services = request.app.state.services
            caller = await services.operators.identify(request)
            request.state.operator = caller
            if not acts:
                return await inner(request)
            entry = await _entry(services, request, caller, action)
            if caller.role != "operator":
                await audit.begin(services.engine, entry, now_ms() * 1000, outcome="refused", reason="invalid_scope")
                raise ApiError("invalid_scope")
            return await _audited(services, request, entry, inner)

        return handle


def caller_of(request: Request) -> OperatorCaller:
    """Return who calls, for an endpoint behind the gate."""
    caller: OperatorCaller = request.state.operator
    return caller


def audit_id_of(request: Request) -> int:
    """Return the number of the action's line in the audit log."""
    number: int = request.state.audit_id
    return number


def leave_open(request: Request) -> None:
    """Let the action's line stay ``begun``: what it has begun writes the outcome itself."""
    request.state.audit_open = True


async def _audited(services: Services, request: Request, entry: AuditEntry, inner: Handler) -> Response:
    audit_id = await audit.begin(services.engine, entry, now_ms() * 1000)
    request.state.audit_id = audit_id
    outcome: Outcome = "failed"
    reason: str | None = "internal_error"
    try:
        try:
            response = await inner(request)
        except CantDo as error:
            raise ApiError(error.code, words=str(error)) from None
        outcome, reason = "done", None
        return response
    except ApiError as error:
        outcome, reason = "refused" if error.status_code < 500 else "failed", error.words or error.reason
        raise
    except RequestValidationError:
        outcome, reason = "refused", "invalid_request"
        raise
    except HTTPException as error:
        outcome, reason = "refused", str(error.status_code)
        raise
    except AWAY:
        reason = "unavailable"
        raise
    except asyncio.CancelledError:
        reason = "broken_off"
        raise
    finally:
        if not (outcome == "done" and getattr(request.state, "audit_open", False)):
            await asyncio.shield(_end(services, audit_id, outcome, reason))


async def _end(services: Services, audit_id: int, outcome: Outcome, reason: str | None) -> None:
    try:
        await audit.end(services.engine, audit_id, outcome, reason)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        # The line stands there as begun: that it was tried is known.
        log.warning("audit_line_not_ended", audit_id=audit_id, outcome=outcome, **described(error))


async def _entry(services: Services, request: Request, caller: OperatorCaller, action: str) -> AuditEntry:
    parts = {**request.path_params}
    if "node_id" in parts:
        parts["node_id"] = await _whole_id(services, parts["node_id"])
    subject = " ".join(str(value) for value in parts.values())
    printable = "".join(char if char.isprintable() else "?" for char in subject)
    return AuditEntry(
        operator_id=caller.operator_id,
        operator=caller.name,
        role=caller.role,
        address=services.limits.address_of(request),
        action=action,
        subject=hide_secrets_in(printable)[:SUBJECT_CHARS_MOST],
        details=_details(await request.body()),
    )


async def _whole_id(services: Services, word: str) -> str:
    """Return the id of the node that a word names, so that its lines have one subject; the word where there is none."""
    if services.operating is None:
        return word
    try:
        return services.operating.node_id(await read_status(services.batch), word) or word
    except ApiError:
        return word  # there is no status now


def _details(body: bytes) -> dict[str, Any]:
    """Return what an action was asked with, as far as it can be kept."""
    if len(body) > DETAILS_BYTES_MOST:
        return {"left_out": "too long"}
    try:
        found = orjson.loads(body) if body else {}
        # What PostgreSQL can't hold: a NUL; what nobody reads again: another thing than an object.
        if isinstance(found, dict) and b"\\u0000" not in (kept := orjson.dumps(found)):
            hidden: dict[str, Any] = orjson.loads(hide_secrets_in(kept.decode()))
            return hidden
    except ValueError:
        pass
    return {"left_out": "not readable"}
