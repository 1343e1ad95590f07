"""Refusals with a stable reason, and the one table that says what each is over HTTP.

Every HTTP error of the service is ``{"detail": "<reason>"}`` (contract, "Endpoints").  Reasons are never renamed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException

from config.errors import ServerError

#: reason -> HTTP status.  A reason that is not in here can't be raised.
STATUS_OF_REASON: Final[Mapping[str, int]] = {
    "bad_request": 400,
    "agent_id_required": 400,
    "token_in_url": 400,
    "invalid_session": 401,
    "invalid_credentials": 401,
    "invalid_api_key": 401,
    "invalid_token": 401,
    "invalid_scope": 403,
    "agent_mismatch": 403,
    "agent_not_owned": 403,
    "banned": 403,
    "dev_routes_disabled": 403,
    "watching_not_public": 403,
    "banned_words": 403,
    "operators_closed": 403,
    "not_local": 403,
    "not_found": 404,
    "chunk_not_found": 404,
    "agent_not_found": 404,
    "key_not_found": 404,
    "note_not_found": 404,
    "session_not_found": 404,
    "account_not_found": 404,
    "operator_not_found": 404,
    "node_not_found": 404,
    "backup_not_found": 404,
    "not_banned": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "email_already_exists": 409,
    "key_limit_reached": 409,
    "agent_limit_reached": 409,
    "notes_full": 409,
    "ban_limit_reached": 409,
    "refused": 409,
    "body_too_large": 413,
    "target_too_long": 414,
    "invalid_request": 422,
    "rate_limited": 429,
    "muted": 429,
    "too_many_sessions": 429,
    "headers_too_large": 431,
    "internal_error": 500,
    "overloaded": 503,
    "unavailable": 503,
    "draining": 503,
    "world_full": 503,
}

#: Reasons that carry ``Retry-After``, and how long by default.
RETRY_AFTER_S: Final[Mapping[str, float]] = {
    "rate_limited": 1,
    "muted": 60,
    "too_many_sessions": 60,
    "overloaded": 1,
    "unavailable": 1,
    "draining": 1,
    "world_full": 10,
}

CHALLENGE_OF_401: Final = 'Bearer realm="chunkcrawl"'


class ApiError(ServerError, HTTPException):
    """A request refused for ``reason``; becomes the HTTP answer of ``STATUS_OF_REASON``.

    Args:
        reason: one of ``STATUS_OF_REASON``.
        retry_after_s: overrides the reason's usual ``Retry-After`` (429 and 503 only).
        words: one line that names the remedy, for people; stands beside the reason as ``text``.
    """

    # The framework lets its own exceptions pass where it turns any other, raised while a body is read, into a 400.

    def __init__(self, reason: str, *, retry_after_s: float | None = None, words: str | None = None) -> None:
        self.reason = reason
        self.words = words
        self.retry_after_s = RETRY_AFTER_S.get(reason) if retry_after_s is None else retry_after_s
        status = STATUS_OF_REASON[reason]
        super().__init__(status, reason, _headers(status, self.retry_after_s))


def _headers(status: int, retry_after_s: float | None) -> dict[str, str]:
    if status == 401:
        return {"www-authenticate": CHALLENGE_OF_401}
    if retry_after_s is not None:
        return {"retry-after": str(max(1, math.ceil(retry_after_s)))}
    return {}
