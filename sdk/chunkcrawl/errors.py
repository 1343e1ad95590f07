"""Everything that the SDK raises, each with a stable reason code.

    ChunkcrawlError
    ├── ServerUnreachable            no connection could be made
    │   └── UnusableProxy            nor tried, for the environment names a proxy that can't be used
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
    │   ├── AuthFailed, ExpiredChallenge
    │   ├── InvalidCommand
    │   │   └── BannedWords          with strikes_left: how many more mute the agent
    │   ├── Busy, RateLimited        worth another try
    │   │   └── Muted                a RateLimited that lasts: the agent may not talk
    │   └── OutOfBounds, Unreachable, NodeNotFound, TooFar, Depleted
    ├── CommandFailed                command_result with status = failed
    │   ├── Blocked                  with blocked_at and blocker
    │   ├── Interrupted              the agent's own next command ended a harvest
    │   └── RanDry                   somebody else took the node's last unit
    ├── CommandDropped               not decided in time, and withdrawn: nothing has happened, nothing will
    ├── OutcomeUnknown               it may have been carried out: the server's word about it was lost, or is late
    │   └── StillRunning             accepted, and not over in the time that its caller gave it
    └── ChunkGone                    the watched chunk was removed, as empty ones are

``reason`` is the code of the wire contract where there is one; codes are never renamed.  Branch on the type or on
``reason``, never on the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

__all__ = [
    "AgentClosed",
    "AgentNotFound",
    "ApiError",
    "AuthFailed",
    "BannedWords",
    "Blocked",
    "Busy",
    "ChunkGone",
    "ChunkcrawlError",
    "CommandDropped",
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
    "Muted",
    "NodeNotFound",
    "NotFound",
    "NotReady",
    "OutOfBounds",
    "OutcomeUnknown",
    "ProtocolViolation",
    "RanDry",
    "RateLimited",
    "ServerUnreachable",
    "StillRunning",
    "TakenOver",
    "TooFar",
    "TooManyRequests",
    "Unreachable",
    "UnusableProxy",
    "api_error",
    "failure",
    "refusal",
]


class ChunkcrawlError(Exception):
    """The root.  ``reason`` is a stable code; the text is for people."""

    reason: str = "unknown"

    def __init__(self, text: str = "", *, reason: str | None = None) -> None:
        if reason is not None:
            self.reason = reason
        super().__init__(text or self.reason)


class ServerUnreachable(ChunkcrawlError):
    """No connection could be made, or it broke before there was an answer."""

    reason = "server_unreachable"


class UnusableProxy(ServerUnreachable):
    """The environment names a proxy that can't be used; the text says what to do."""


class ProtocolViolation(ChunkcrawlError):
    """The server's answer does not have the shape that the contract gives it."""

    reason = "protocol_violation"


# -- HTTP --


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


_API_HINTS: Final = {
    "agent_not_owned": "another account plays under this agent id; choose another id",
    "chunk_not_found": "empty chunks are removed after a minute and come back under a new id; GET /v1/chunks lists all",
    "email_already_exists": "there is an account for it; log in with `chunkcrawl login`",
    "invalid_api_key": "it is mistyped, revoked or of another server; `chunkcrawl key create` makes one",
}

_API_ERRORS: Final[dict[int, type[ApiError]]] = {
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
    """Return the error type for an HTTP status, with the server's reason; see ``ApiError`` for the rest."""
    return _API_ERRORS.get(status, ApiError)(status, reason, retry_after_s, faults=faults, note=note)


# -- the connection --


class AgentClosed(ChunkcrawlError):
    """The agent's connection has ended for good; open a new ``Agent``."""

    reason = "agent_closed"


class TakenOver(AgentClosed):
    """A newer connection plays this agent now.  The SDK does not fight over it."""

    reason = "taken_over"


class CommandDropped(ChunkcrawlError):
    """A command was not decided in the time that its caller gave it, and was withdrawn: nothing has happened."""

    reason = "command_dropped"


class OutcomeUnknown(ChunkcrawlError):
    """The answer was sent, and the server never said what became of the command: the connection or history was lost.

    It may or may not have been carried out, so the SDK does not repeat it: look at the view first.
    """

    reason = "outcome_unknown"


class StillRunning(OutcomeUnknown):
    """The command was accepted and goes on in the world, longer than its caller wanted to wait.

    Attributes:
        client_cmd_id: Its ``CommandResult`` among the agent's events will bear this.
    """

    reason = "still_running"

    def __init__(self, text: str, client_cmd_id: str) -> None:
        super().__init__(text)
        self.client_cmd_id = client_cmd_id


class ChunkGone(ChunkcrawlError):
    """The watched chunk was removed: an empty one is, after a minute.  Where it was, the next visitor finds a new one.

    Attributes:
        chunk_id: The chunk; nothing will bear this id again.
    """

    reason = "chunk_gone"

    def __init__(self, chunk_id: str) -> None:
        super().__init__(f"{chunk_id} is gone: empty chunks are removed, and come back under a new id; watch another")
        self.chunk_id = chunk_id


# -- commands --


class CommandRefused(ChunkcrawlError):
    """The server did not accept the command; the agent has not moved.

    Attributes:
        retry_after_ms: When another try makes sense, None when the server did not say.
        code: The check that failed, more precise than ``reason``; None when the server did not say.
    """

    hint: ClassVar[str] = ""

    def __init__(self, reason: str, retry_after_ms: int | None = None, code: str | None = None) -> None:
        what = f"{reason}: {code}" if code else reason
        wait = f", try again in {retry_after_ms} ms" if retry_after_ms is not None else ""
        super().__init__(f"refused: {what}{wait}" + (f" ({self.hint})" if self.hint else ""), reason=reason)
        self.retry_after_ms = retry_after_ms
        self.code = code


class AuthFailed(CommandRefused):
    """Signature or proof of work did not match the challenge."""

    hint = "signature or proof did not match"


class ExpiredChallenge(CommandRefused):
    """The answer came after ``expires_at``."""

    hint = "the answer came too late"


class InvalidCommand(CommandRefused):
    """The command itself is malformed."""

    hint = "the command is malformed"


class BannedWords(InvalidCommand):
    """A message holds a word that nobody may say here.  It was not said, and counts against the agent.

    Attributes:
        strikes_left: How many more mute the agent; 0: this one has.  None when the server did not say.
        muted_ms: How long it is muted then.
    """

    hint = "it holds a word that nobody may say here"

    def __init__(
        self,
        reason: str = "invalid_cmd",
        retry_after_ms: int | None = None,
        code: str | None = "banned_words",
        strikes_left: int | None = None,
        muted_ms: int | None = None,
    ) -> None:
        super().__init__(reason, retry_after_ms, code)
        self.strikes_left, self.muted_ms = strikes_left, muted_ms
        if self.warning:
            self.args = (f"{self.args[0]}; {self.warning}",)

    @property
    def warning(self) -> str:
        """What it has cost, or will: one clause, empty when the server did not say."""
        if self.strikes_left is None:
            return ""
        if self.strikes_left == 0:
            return "this agent is muted now" + (f", for {self.muted_ms / 1000:g} s" if self.muted_ms else "")
        return f"{self.strikes_left} more such message{'s mute' if self.strikes_left > 1 else ' mutes'} this agent"


class Busy(CommandRefused):
    """Another command of this agent is in flight, on any of its connections."""

    hint = "another command of this agent is in flight"


class RateLimited(CommandRefused):
    """Too many commands, or too many wrong answers."""

    hint = "too fast"


class Muted(RateLimited):
    """The agent may not talk for ``retry_after_ms``, for banned words or by an operator; all else goes on."""

    hint = "this agent may not talk for now; it may do all else"


class OutOfBounds(CommandRefused):
    """The cell is outside 0..49."""

    hint = "x and y are 0..49"


class Unreachable(CommandRefused):
    """A wall, somebody stands there, or no path leads there.

    Attributes:
        detail: ``wall``, ``occupied`` (the target) or ``no_way``; None when the server did not say.
        blocked_at: The cell ``(x, y)`` that is in the way; of ``no_way`` the first taken one that can't be got round.
        blocker: What stands there, as the server sent it: ``{"id", "x", "y"}`` or empty.
    """

    hint = "a wall, somebody on it, or no path leads there"

    def __init__(
        self,
        reason: str = "unreachable",
        retry_after_ms: int | None = None,
        code: str | None = None,
        detail: str | None = None,
        blocked_at: tuple[int, int] | None = None,
        blocker: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(reason, retry_after_ms, code)
        self.detail, self.blocked_at, self.blocker = detail, blocked_at, blocker or {}
        if self.obstacle:
            self.args = (f"refused: {reason} ({self.obstacle})",)

    @property
    def obstacle(self) -> str:
        """What is in the way, as one clause; empty when the server did not say."""
        who = self.blocker.get("id") or "somebody"
        where = f"{self.blocked_at[0]},{self.blocked_at[1]}" if self.blocked_at else "there"
        if self.detail == "wall":
            return f"{where} is a wall"
        if self.detail == "occupied":
            return f"{who} stands on {where}"
        if self.detail == "no_way":
            return f"no free way leads there: {who} stands in it at {where}" if self.blocker else "no way leads there"
        return ""


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
    """The agent has less gold than it wants to give."""

    hint = "there is not that much gold in the inventory"


class Depleted(CommandRefused):
    """The node has nothing left now."""

    hint = "the node is empty, it grows back"


#: The contract's reasons in ``command_ack``, each with its type.
REFUSALS: Final[dict[str, type[CommandRefused]]] = {
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


def refusal(
    reason: str,
    retry_after_ms: int | None = None,
    code: str | None = None,
    *,
    strikes_left: int | None = None,
    muted_ms: int | None = None,
) -> CommandRefused:
    """Return the error type for a refused ``command_ack``; unknown reasons give a plain ``CommandRefused``."""
    if code == "banned_words":
        return BannedWords(reason, retry_after_ms, code, strikes_left, muted_ms)
    if code == "muted":
        return Muted(reason, retry_after_ms, code)
    return REFUSALS.get(reason, CommandRefused)(reason, retry_after_ms, code)


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
    """Return the error type for a ``command_result`` with status ``failed``."""
    if reason == "blocked":
        return Blocked(ended_tick, blocked_at, blocker)
    if reason == "interrupted_by_new_command":
        return Interrupted(reason, ended_tick)
    if reason == "depleted":
        return RanDry(reason, ended_tick)
    return CommandFailed(reason, ended_tick)
