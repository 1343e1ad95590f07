"""What a gateway keeps of its agents: one challenge, one command under way, one winner, and nothing of who is gone.

What a gateway that dies leaves is asked in ``tests/cluster/test_handshake.py``.
"""

from __future__ import annotations

from typing import Any, cast

import pytest

from api.challenge.challenge import Challenge, hash_of
from api.challenge.handshake import USED_KEPT, Handshake, Handshakes
from api.challenge.store import ChallengeRules
from api.limits.leased_tokens import LeasedTokens
from config.limit import Limit
from tests.api.support import MOVE, canonical
from world.commands import parse_command
from world.inputs import Refusal

NOW_MS = 1_800_000_000_000
NODE = {"type": "harvest", "node_id": "n-1"}


def challenge(name: str = "cmd_1", cmd: dict[str, Any] = MOVE) -> Challenge:
    text = canonical(cmd)
    return Challenge(
        name, "c-1", "ada", "jti_1", "ws-1", text, hash_of(text), "n", NOW_MS, NOW_MS // 1000 + 5, 2, "t-1", "ISSUED"
    )


@pytest.fixture
def handshakes() -> Handshakes:
    return Handshakes(ChallengeRules(), lambda account_id: cast(LeasedTokens, f"tokens of {account_id}"))


def issued(handshakes: Handshakes, name: str = "cmd_1", cmd: dict[str, Any] = MOVE) -> tuple[Handshake, Challenge]:
    made, command = challenge(name, cmd), parse_command(cmd)
    assert not isinstance(command, Refusal)
    handshake = handshakes.enter("ada", "acc_1")
    handshakes.issue(handshake, made, command)
    return handshake, made


def test_a_challenge_waits_for_its_answer_until_it_is_consumed_or_too_late(handshakes: Handshakes) -> None:
    handshake, made = issued(handshakes)
    assert handshake.is_open(NOW_MS)
    assert not handshake.is_open(NOW_MS + 60_000)
    handshakes.consume(handshake, made)
    assert not handshake.is_open(NOW_MS)
    found = handshakes.find("cmd_1", NOW_MS)
    assert found is not None
    assert found.state == "CONSUMED"
    assert handshake.was_used("cmd_1")


def test_a_new_one_takes_the_place_of_the_last(handshakes: Handshakes) -> None:
    issued(handshakes, "cmd_1")
    issued(handshakes, "cmd_2")
    assert handshakes.find("cmd_1", NOW_MS) is None
    assert handshakes.find("cmd_2", NOW_MS) is not None
    assert handshakes.find("cmd_2", NOW_MS + ChallengeRules().record_ttl_ms + 1) is None


def test_one_that_could_not_be_used_may_be_answered_again(handshakes: Handshakes) -> None:
    handshake, made = issued(handshakes)
    handshakes.consume(handshake, made)
    handshakes.reopen(handshake, made)
    assert handshake.is_open(NOW_MS)
    assert (handshake.submitted, handshake.was_used("cmd_1")) == (None, False)


def test_used_ids_are_remembered_up_to_a_bound(handshakes: Handshakes) -> None:
    for n in range(USED_KEPT + 1):
        handshake, made = issued(handshakes, f"cmd_{n}")
        handshakes.consume(handshake, made)
    assert not handshake.was_used("cmd_0")
    assert all(handshake.was_used(f"cmd_{n}") for n in range(1, USED_KEPT + 1))


@pytest.mark.parametrize(("cmd", "busy"), [(MOVE, True), (NODE, False)])
def test_an_accepted_command_keeps_the_agent_busy_unless_it_may_be_interrupted(
    handshakes: Handshakes, cmd: dict[str, Any], busy: bool
) -> None:
    handshake, made = issued(handshakes, cmd=cmd)
    handshakes.consume(handshake, made)
    handshake.saw("command_ack", b'{"server_cmd_id":"cmd_1","accepted":true}')
    assert (handshake.submitted, handshake.may_be_busy) == (None, busy)
    handshake.saw("command_result", b'{"server_cmd_id":"cmd_other"}')
    assert handshake.may_be_busy == busy
    handshake.saw("command_result", b'{"server_cmd_id":"cmd_1"}')
    assert not handshake.may_be_busy


def test_another_commands_ack_decides_nothing(handshakes: Handshakes) -> None:
    handshake, made = issued(handshakes)
    handshakes.consume(handshake, made)
    handshake.saw("command_ack", b'{"server_cmd_id":"cmd_other","accepted":true}')
    handshake.decided("cmd_other", accepted=True)
    before = handshake.submitted
    handshake.decided("cmd_1", accepted=False)
    assert before is not None
    assert (handshake.submitted, handshake.may_be_busy) == (None, False)


def test_an_agent_is_forgotten_when_nothing_of_it_is_left(handshakes: Handshakes) -> None:
    handshake, made = issued(handshakes)
    handshakes.enter("bob", "acc_1")
    handshakes.consume(handshake, made)
    handshake.connections -= 1
    assert handshakes.forget(handshake) is None
    assert len(handshakes) == 2  # its command is under way
    handshake.decided("cmd_1", accepted=True)
    assert handshakes.forget(handshake) is None  # the account has another agent here
    assert (len(handshakes), handshakes.find("cmd_1", NOW_MS)) == (1, None)
    bob = handshakes.enter("bob", "acc_1")
    bob.connections = 0
    assert handshakes.forget(bob) == cast(LeasedTokens, "tokens of acc_1")
    assert (len(handshakes), handshakes.accounts) == (0, [])


def test_what_redis_says_of_another_command_frees_nothing(handshakes: Handshakes) -> None:
    handshake, made = issued(handshakes)
    consumed = handshakes.consume(handshake, made)
    handshake.may_be_busy = True
    handshake.is_free("")
    assert (handshake.submitted, handshake.may_be_busy) == (consumed, False)
    handshake.is_free("cmd_1")
    assert handshake.submitted is None


def test_what_was_dropped_meanwhile_is_not_opened_again(handshakes: Handshakes) -> None:
    handshake, made = issued(handshakes)
    handshakes.consume(handshake, made)
    handshakes.drop(handshake)
    handshakes.reopen(handshake, made)
    assert (handshake.is_open(NOW_MS), handshakes.find("cmd_1", NOW_MS)) == (False, None)


@pytest.mark.parametrize(("limit", "most"), [("10+10/s", 5), ("1+1/s", 1), ("7+1/s", 3)])
def test_half_of_a_burst_is_leased_and_at_least_one(limit: str, most: int) -> None:
    rules = ChallengeRules(agent_commands=Limit.parse(limit))
    assert Handshakes(rules, lambda _: cast(LeasedTokens, object())).enter("ada", "acc_1").tokens_most == most


def test_tokens_are_held_and_waited_for(handshakes: Handshakes) -> None:
    handshake = handshakes.enter("ada", "acc_1")
    handshake.tokens = 2
    assert [handshake.take_token() for _ in range(3)] == [True, True, False]
    assert handshake.token_wait_ms == 0
    handshake.no_token_for(60_000)
    assert 59_000 < handshake.token_wait_ms <= 60_000


def test_a_cooldown_ends_and_a_clock_put_back_does_not_prolong_it(handshakes: Handshakes) -> None:
    handshake = handshakes.enter("ada", "acc_1")
    assert handshake.cooldown_ms(NOW_MS) == 0
    handshake.cool_down(NOW_MS, 30_000)
    assert handshake.cooldown_ms(NOW_MS + 1_000) == 29_000
    assert handshake.cooldown_ms(NOW_MS - 10) == 30_000  # a reading of the clock that was a little late
    assert handshake.cooldown_ms(NOW_MS + 30_000) == 0
    assert handshake.cooldown_ms(NOW_MS - 3_600_000) == 0


def test_a_clock_put_back_keeps_no_challenge_open(handshakes: Handshakes) -> None:
    handshake, _ = issued(handshakes)
    assert handshake.is_open(NOW_MS - 10)
    assert not handshake.is_open(NOW_MS - 3_600_000)
    assert handshakes.find("cmd_1", NOW_MS - 3_600_000) is None


def test_an_id_tells_whose_challenge_it_is(handshakes: Handshakes) -> None:
    elsewhere = Handshakes(ChallengeRules(), lambda _: cast(LeasedTokens, object()))
    ids = {handshakes.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert not any(handshakes.is_foreign(one) for one in ids)
    assert all(elsewhere.is_foreign(one) for one in ids)
    assert not any(handshakes.is_foreign(other) for other in ("cmd_none", "never", "", "dev-1", "cmd_" + "g" * 24))
