"""Everything that the SDK raises, each with a stable reason code.

    ChunkcrawlError
    ├── ServerUnreachable            no connection could be made
    ├── ProtocolViolation            the server said something that the contract does not know
    ├── ApiError                     an HTTP answer other than 2xx (status, reason)
    │   ├── InvalidRequest           400, 422
    │   ├── InvalidSession           401
    │   ├── Forbidden                403: invalid_scope, agent_mismatch, agent_not_owned
    │   ├── NotFound                 404
    │   ├── Conflict                 409
    │   ├── TooManyRequests          429
    │   └── NotReady                 503
    ├── AgentClosed                  the agent's connection has ended and does not come back
    │   └── TakenOver                a newer connection of the same agent (close code 4001)
    ├── CommandRefused               command_ack with accepted = false
    │   ├── AuthFailed, ExpiredChallenge, InvalidCommand
    │   ├── Busy, RateLimited        worth another try
    │   └── OutOfBounds, Unreachable, NodeNotFound, TooFar, Depleted
    ├── CommandFailed                command_result with status = failed
    │   ├── Blocked                  with blocked_at and blocker
    │   ├── Interrupted              the agent's own next command ended a harvest
    │   └── RanDry                   somebody else took the node's last unit
    └── OutcomeUnknown               the line was lost and no answer came after it was back

``reason`` is the code of the wire contract where there is one; codes are never renamed. Branch on the type or on
``reason``, never on the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "AgentClosed",
    "AgentNotFound",
    "ApiError",
    "AuthFailed",
    "Blocked",
    "Busy",
    "ChunkcrawlError",
    "CommandFailed",
    "CommandRefused",
    "Conflict",
    "Depleted",
    "ExpiredChallenge",
    "Fault",
    "Forbidden",
    "Insufficient",
    "Interrupted",
    "InvalidCommand",
    "InvalidRequest",
    "InvalidSession",
    "NodeNotFound",
    "NotFound",
    "NotReady",
    "OutOfBounds",
    "OutcomeUnknown",
    "ProtocolViolation",
    "RanDry",
    "RateLimited",
    "ServerUnreachable",
    "TakenOver",
    "TooFar",
    "TooManyRequests",
    "Unreachable",
    "api_error",
    "failure",
    "refusal",
]


class ChunkcrawlError(Exception):
    """The root. ``reason`` is a stable code; the text is for people."""

    reason: str = "unknown"

    def __init__(self, text: str = "", *, reason: str | None = None) -> None:
        if reason is not None:
            self.reason = reason
        super().__init__(text or self.reason)


class ServerUnreachable(ChunkcrawlError):
    """No connection could be made, or it broke before there was an answer."""

    reason = "server_unreachable"


class ProtocolViolation(ChunkcrawlError):
    """The server's answer does not have the shape that the contract gives it."""

    reason = "protocol_violation"


# -- HTTP -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    """One field of a request and the rule that it breaks, for instance ``password``, ``has 8 characters at least``."""

    field: str
    rule: str

    def __str__(self) -> str:
        return f"{self.field} {self.rule}"


class ApiError(ChunkcrawlError):
    """An HTTP answer other than 2xx.

    Attributes:
        status: The HTTP status.
        retry_after_s: Seconds of the ``Retry-After`` header, None without one.
        faults: What is wrong with the request (422), field by field.
    """

    reason = "api_error"

    def __init__(
        self,
        status: int,
        reason: str,
        retry_after_s: float | None = None,
        *,
        faults: tuple[Fault, ...] = (),
        note: str = "",
    ) -> None:
        """``note`` is added to the text as it is."""
        hint = "; ".join(map(str, faults)) or _API_HINTS.get(reason)
        super().__init__(f"{reason} (HTTP {status}){note}" + (f": {hint}" if hint else ""), reason=reason)
        self.status = status
        self.retry_after_s = retry_after_s
        self.faults = faults


class InvalidRequest(ApiError):
    """400 or 422: the request does not have the right shape."""


class InvalidSession(ApiError):
    """401: no credentials, or dead ones."""


class Forbidden(ApiError):
    """403: not with this role, or not this agent."""


class NotFound(ApiError):
    """404: no such chunk, agent or route."""


class Conflict(ApiError):
    """409: for instance ``email_already_exists``."""


class TooManyRequests(ApiError):
    """429: see ``retry_after_s``."""


class NotReady(ApiError):
    """503: the server is starting, draining or overloaded."""


_API_HINTS = {
    "agent_not_owned": "another account plays under this agent id; choose another id",
    "email_already_exists": "there is an account for it; log in with `chunkcrawl login`",
    "invalid_api_key": "it is mistyped, revoked or of another server; `chunkcrawl key create` makes one",
}

_API_ERRORS: dict[int, type[ApiError]] = {
    400: InvalidRequest,
    401: InvalidSession,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: InvalidRequest,
    429: TooManyRequests,
    503: NotReady,
}


def api_error(
    status: int, reason: str, retry_after_s: float | None = None, *, faults: tuple[Fault, ...] = (), note: str = ""
) -> ApiError:
    """The error type for an HTTP status, with the server's reason; see ``ApiError`` for the rest."""
    return _API_ERRORS.get(status, ApiError)(status, reason, retry_after_s, faults=faults, note=note)


# -- the connection ---------------------------------------------------------------------------------------------------


class AgentClosed(ChunkcrawlError):
    """The agent's connection has ended for good; open a new ``Agent``."""

    reason = "agent_closed"


class TakenOver(AgentClosed):
    """A newer connection plays this agent now. The SDK does not fight over it."""

    reason = "taken_over"


class OutcomeUnknown(ChunkcrawlError):
    """The line broke after the answer was sent, and the server never said what became of the command.

    It may or may not have been carried out, so the SDK does not repeat it.
    """

    reason = "outcome_unknown"


# -- commands ---------------------------------------------------------------------------------------------------------


class CommandRefused(ChunkcrawlError):
    """The server did not accept the command; the agent has not moved.

    Attributes:
        retry_after_ms: When another try makes sense, None when the server did not say.
    """

    hint: ClassVar[str] = ""

    def __init__(self, reason: str, retry_after_ms: int | None = None) -> None:
        wait = f", try again in {retry_after_ms} ms" if retry_after_ms is not None else ""
        super().__init__(f"refused: {reason}{wait}" + (f" ({self.hint})" if self.hint else ""), reason=reason)
        self.retry_after_ms = retry_after_ms


class AuthFailed(CommandRefused):
    """Signature or proof of work did not match the challenge."""

    hint = "signature or proof did not match"


class ExpiredChallenge(CommandRefused):
    """The answer came after ``expires_at``."""

    hint = "the answer came too late"


class InvalidCommand(CommandRefused):
    """The command itself is malformed."""

    hint = "the command is malformed"


class Busy(CommandRefused):
    """Another command of this agent is in flight, on any of its connections."""

    hint = "another command of this agent is in flight"


class RateLimited(CommandRefused):
    """Too many commands, too many wrong answers, or muted."""

    hint = "too fast, or muted"


class OutOfBounds(CommandRefused):
    """The cell is outside 0..49."""

    hint = "x and y are 0..49"


class Unreachable(CommandRefused):
    """A wall, or no path leads there."""

    hint = "a wall, somebody on it, or no path leads there"


class NodeNotFound(CommandRefused):
    """No such resource node in this chunk."""

    hint = "no such node in this chunk"


class TooFar(CommandRefused):
    """The node or agent is further than one step away."""

    hint = "stand beside it first"


class AgentNotFound(CommandRefused):
    """No agent of that id stands in this chunk."""

    hint = "no such agent in this chunk"


class Insufficient(CommandRefused):
    """This agent has less gold than it wants to give."""

    hint = "there is not that much gold in the inventory"


class Depleted(CommandRefused):
    """The node has nothing left now."""

    hint = "the node is empty, it grows back"


_REFUSALS: dict[str, type[CommandRefused]] = {
    "auth_failed": AuthFailed,
    "expired_challenge": ExpiredChallenge,
    "invalid_cmd": InvalidCommand,
    "busy": Busy,
    "rate_limited": RateLimited,
    "out_of_bounds": OutOfBounds,
    "unreachable": Unreachable,
    "node_not_found": NodeNotFound,
    "too_far": TooFar,
    "depleted": Depleted,
    "agent_not_found": AgentNotFound,
    "insufficient": Insufficient,
}


def refusal(reason: str, retry_after_ms: int | None = None) -> CommandRefused:
    """The error type for a ``command_ack`` that was not accepted; unknown reasons give a plain ``CommandRefused``."""
    return _REFUSALS.get(reason, CommandRefused)(reason, retry_after_ms)


class CommandFailed(ChunkcrawlError):
    """An accepted command ended without reaching its aim.

    Attributes:
        ended_tick: The tick at which it ended, None when the server did not say.
    """

    def __init__(self, reason: str, ended_tick: int | None = None) -> None:
        super().__init__(f"failed: {reason}", reason=reason)
        self.ended_tick = ended_tick


class Blocked(CommandFailed):
    """Something stood in the way.

    Attributes:
        blocked_at: The occupied cell ``(x, y)``, local to the chunk, None when the server did not say.
        blocker: What stands there, as the server sent it: ``{"id", "x", "y"}`` or empty.
    """

    def __init__(
        self,
        ended_tick: int | None = None,
        blocked_at: tuple[int, int] | None = None,
        blocker: dict[str, Any] | None = None,
    ) -> None:
        super().__init__("blocked", ended_tick)
        self.blocked_at = blocked_at
        self.blocker = blocker or {}


class Interrupted(CommandFailed):
    """The agent's own next command ended this harvest."""


class RanDry(CommandFailed):
    """Somebody else took the last unit of the node that was being harvested."""


def failure(
    reason: str,
    ended_tick: int | None = None,
    blocked_at: tuple[int, int] | None = None,
    blocker: dict[str, Any] | None = None,
) -> CommandFailed:
    """The error type for a ``command_result`` with status ``failed``."""
    if reason == "blocked":
        return Blocked(ended_tick, blocked_at, blocker)
    if reason == "interrupted_by_new_command":
        return Interrupted(reason, ended_tick)
    if reason == "depleted":
        return RanDry(reason, ended_tick)
    return CommandFailed(reason, ended_tick)
