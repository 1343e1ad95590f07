"""What a gateway keeps of the agents that are connected to it: open challenge, command under way, tokens, difficulty.

A challenge can be answered only on the connection it was made for, and an agent has one live connection; so between
``command_req`` and the shard nobody else need be asked.  Plain memory, no I/O: whatever is looked at and changed
without an ``await`` in between is one step, ``ISSUED -> CONSUMED`` above all.
See docs/decisions/0013-handshake-in-memory.md.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import msgspec

from api.challenge.challenge import Challenge, is_expired
from api.challenge.command_trace import CommandTrace
from api.challenge.difficulty import AgentDifficulty
from api.challenge.store import ChallengeRules
from api.limits.leased_tokens import LeasedTokens
from world.command import Command
from world.commands import RULES

#: How many ids of used-up challenges are known for longer than their challenge: an answer to one gets no second ack.
USED_KEPT: Final = 8

#: The part of an agent's burst that is leased at once; the rest is there for a connection that takes over.
LEASED_PART: Final = 0.5

_CHALLENGE_ID: Final = re.compile(r"cmd_[0-9a-f]{24}")


class Handshake:
    """What is kept of one agent, shared by all its connections to this gateway."""

    def __init__(self, agent_id: str, account_id: str, account: LeasedTokens, rules: ChallengeRules) -> None:
        self.agent_id = agent_id
        self.account_id = account_id
        self.account = account
        self.difficulty = AgentDifficulty(rules.difficulty)
        self.connections = 0
        #: The connection that has the agent; empty: none that has said so.
        self.channel_id = ""
        #: The newest challenge; ``unsaid`` while the agent's stream has not got it.
        self.challenge: Challenge | None = None
        self.command: Command | None = None
        self.unsaid = False
        #: The consumed command that is not known to be decided.
        self.submitted: Challenge | None = None
        #: The agent may be doing something else that can't be interrupted; Redis knows.
        self.may_be_busy = False
        self._cooldown = (0, 0)
        #: Held during a lease: one at a time.
        self.leasing = asyncio.Lock()
        self.tokens = 0
        self._rules = rules
        self.tokens_most = max(1, int(rules.agent_commands.burst * LEASED_PART))
        #: Names of counts in Redis that are too old to count.
        self.forgotten: list[str] = []
        self._no_token_until = 0.0
        self._running: str | None = None
        self._interruptible = False
        self._used: deque[str] = deque(maxlen=USED_KEPT)
        #: Of the newest command, if it is sampled.
        self.trace: CommandTrace | None = None

    # -- tokens --

    def take_token(self) -> bool:
        """Take a token that is held; return False when there is none."""
        if self.tokens:
            self.tokens -= 1
            return True
        return False

    def no_token_for(self, wait_ms: int) -> None:
        """Note that Redis has no token for so long."""
        self._no_token_until = time.monotonic() + wait_ms / 1000

    @property
    def token_wait_ms(self) -> int:
        """Until Redis may have a token again, as far as is known."""
        return max(0, int((self._no_token_until - time.monotonic()) * 1000))

    # -- cooldown --

    def cool_down(self, now_ms: int, for_ms: int) -> None:
        """Note a cooldown, as Redis says so."""
        self._cooldown = (now_ms, for_ms)

    def cooldown_ms(self, now_ms: int) -> int:
        """Return how much of the cooldown is left, 0 if there is none."""
        began_ms, for_ms = self._cooldown
        if began_ms - now_ms > for_ms:
            return 0  # the clock was put back, and nobody is to wait for it to come round again
        return min(for_ms, max(0, began_ms + for_ms - now_ms))

    # -- the challenge --

    def is_open(self, now_ms: int) -> bool:
        """Return whether a challenge waits for its answer."""
        challenge = self.challenge
        if challenge is None or challenge.state != "ISSUED" or is_expired(challenge, now_ms):
            return False
        return is_known(challenge, now_ms, self._rules)

    def was_used(self, server_cmd_id: str) -> bool:
        """Return whether this was a challenge of the agent that is used up."""
        return server_cmd_id in self._used

    def issue(self, challenge: Challenge, command: Command) -> None:
        """Note a new challenge."""
        self.challenge, self.command, self.unsaid = challenge, command, True

    def consume(self, challenge: Challenge) -> Challenge:
        """Take the one step ``ISSUED -> CONSUMED``; the command is the agent's one in flight from here on."""
        consumed = msgspec.structs.replace(challenge, state="CONSUMED")
        self.challenge = self.submitted = consumed
        self._interruptible = self.command is not None and RULES[self.command.KIND].INTERRUPTIBLE
        self._used.append(challenge.server_cmd_id)
        return consumed

    def has(self, server_cmd_id: str) -> bool:
        """Return whether this is the newest challenge."""
        return self.challenge is not None and self.challenge.server_cmd_id == server_cmd_id

    def reopen(self, challenge: Challenge) -> None:
        """Undo ``consume`` of a challenge that could not be used after all; one that is still here can be answered."""
        self.decided(challenge.server_cmd_id, accepted=False)
        if challenge.server_cmd_id in self._used:
            self._used.remove(challenge.server_cmd_id)
        if self.has(challenge.server_cmd_id):
            self.challenge = challenge

    # -- the command under way --

    def decided(self, server_cmd_id: str, *, accepted: bool) -> None:
        """Note that a shard has decided the command, or that it was refused.  Told twice, the first counts."""
        if self.submitted is None or self.submitted.server_cmd_id != server_cmd_id:
            return
        self.submitted = None
        if accepted and not self._interruptible:
            self._running, self.may_be_busy = server_cmd_id, True

    def follow(self, trace: CommandTrace | None) -> None:
        """Put the trace of a new command in the place of the last one's."""
        if self.trace is not None:
            self.trace.end()
        self.trace = trace

    def saw(self, kind: str, payload: bytes, ts_ms: int = 0) -> None:
        """Note that the agent is being shown an event of its own; it may ask for more the moment it has it."""
        if self.trace is not None:
            self.trace.saw(kind, payload, ts_ms)
        if kind == "command_ack":
            if self.submitted is not None and f'"{self.submitted.server_cmd_id}"'.encode() in payload:
                self.decided(self.submitted.server_cmd_id, accepted=b'"accepted":true' in payload)
        elif kind == "command_result" and (self._running is None or f'"{self._running}"'.encode() in payload):
            self._running, self.may_be_busy = None, False

    def is_free(self, submitted: str) -> None:
        """Note, as Redis says so, that ``submitted`` (empty: none) is decided and a new command may be accepted."""
        self.decided(submitted, accepted=False)
        self._running, self.may_be_busy = None, False


def is_known(challenge: Challenge, now_ms: int, rules: ChallengeRules) -> bool:
    """Return whether a challenge is not forgotten yet; one of a future that far (a clock was put back) is."""
    return abs(now_ms - challenge.issued_ms) <= rules.record_ttl_ms


class Handshakes:
    """The handshakes of a gateway: one for each agent that is connected or has a command under way.

    Args:
        tokens_of: makes the leased tokens of an account.
    """

    def __init__(self, rules: ChallengeRules, tokens_of: Callable[[str], LeasedTokens]) -> None:
        self._rules = rules
        self._tokens_of = tokens_of
        self._by_agent: dict[str, Handshake] = {}
        self._challenges: dict[str, Challenge] = {}
        self._accounts: dict[str, LeasedTokens] = {}
        self._agents_of: Counter[str] = Counter()
        #: What the ids of this gateway's challenges begin with.
        self._own = f"cmd_{secrets.token_hex(4)}"

    def __len__(self) -> int:
        return len(self._by_agent)

    @property
    def accounts(self) -> list[LeasedTokens]:
        """The leased tokens of all accounts."""
        return list(self._accounts.values())

    def enter(self, agent_id: str, account_id: str) -> Handshake:
        """Count one more connection of the agent, and return the agent's handshake."""
        handshake = self._by_agent.get(agent_id)
        if handshake is None:
            account = self._accounts.get(account_id)
            if account is None:
                account = self._accounts[account_id] = self._tokens_of(account_id)
            handshake = self._by_agent[agent_id] = Handshake(agent_id, account_id, account, self._rules)
            self._agents_of[account_id] += 1
        handshake.connections += 1
        return handshake

    def new_id(self) -> str:
        """Make the id of a challenge."""
        return self._own + secrets.token_hex(8)

    def is_foreign(self, server_cmd_id: str) -> bool:
        """Return whether this is the id of another gateway's challenge: what became of it is not known here."""
        return _CHALLENGE_ID.fullmatch(server_cmd_id) is not None and not server_cmd_id.startswith(self._own)

    def find(self, server_cmd_id: str, now_ms: int) -> Challenge | None:
        """Return a challenge of any agent of this gateway, for as long as it is known."""
        challenge = self._challenges.get(server_cmd_id)
        return challenge if challenge is not None and is_known(challenge, now_ms, self._rules) else None

    def issue(self, handshake: Handshake, challenge: Challenge, command: Command) -> None:
        """Put a new challenge in the place of the agent's last one."""
        self.drop(handshake)
        handshake.issue(challenge, command)
        self._challenges[challenge.server_cmd_id] = challenge

    def consume(self, handshake: Handshake, challenge: Challenge) -> Challenge:
        """See ``Handshake.consume``."""
        consumed = self._challenges[challenge.server_cmd_id] = handshake.consume(challenge)
        return consumed

    def reopen(self, handshake: Handshake, challenge: Challenge) -> None:
        """See ``Handshake.reopen``."""
        handshake.reopen(challenge)
        if handshake.has(challenge.server_cmd_id):  # else its connection has ended, or was taken over, meanwhile
            self._challenges[challenge.server_cmd_id] = challenge

    def drop(self, handshake: Handshake) -> None:
        """Forget the agent's last challenge."""
        if handshake.challenge is not None:
            self._challenges.pop(handshake.challenge.server_cmd_id, None)
            handshake.challenge = None

    def forget(self, handshake: Handshake) -> LeasedTokens | None:
        """Forget an agent that is gone, once nothing of it is under way.

        Returns the tokens of its account if no agent of it is left.
        """
        gone = not handshake.connections and handshake.submitted is None
        if not gone or self._by_agent.get(handshake.agent_id) is not handshake:
            return None
        self.drop(handshake)
        del self._by_agent[handshake.agent_id]
        self._agents_of[handshake.account_id] -= 1
        if self._agents_of[handshake.account_id]:
            return None
        del self._agents_of[handshake.account_id]
        return self._accounts.pop(handshake.account_id)
