"""The token bucket, on one Valkey with two gateways: exactly as many pass as may, and nothing is held for ever.

Pitfall B20 as a whole; its HTTP half is in ``test_http_limits.py``.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from api import keys as api_keys
from api.accounts.auth import Session
from api.challenge import store
from api.challenge.command_handler import CommandReply
from api.challenge.ingress import Ingress
from api.challenge.store import ChallengeRules, ChallengeStore
from api.errors import ApiError
from api.limits import limit_metrics
from api.limits.rate_limit import GIVE_BACK, LEASE, RETURN, TAKE, Bucket, RateLimiter
from config.limit import Limit
from streaming import keys
from streaming.batch import RedisBatch
from streaming.connect import connect
from streaming.lua import Call, Script
from tests.api.support import (
    MOVE,
    FakeClock,
    FakeWorld,
    Handler,
    agent_messages,
    answer,
    answer_to,
    challenge_to,
    enlist,
    new_session,
    request,
)

#: Tokens that do not come back while a test runs.
HOUR = 3_600_000_000
SAY = {"type": "say", "text": "hello"}


@pytest.fixture
async def other_batch(valkey_url: str, redis: Redis) -> AsyncIterator[RedisBatch]:
    """A second gateway's connections."""
    other = connect(valkey_url)
    batch = RedisBatch(other)
    yield batch
    await batch.close()
    await other.aclose()


@pytest.fixture
def gateways(batch: RedisBatch, other_batch: RedisBatch) -> list[RateLimiter]:
    return [RateLimiter(batch), RateLimiter(other_batch)]


def bucket(burst: int = 5, interval_us: int = HOUR, *, kind: str = "test", who: str = "x") -> Bucket:
    return Bucket(kind, who, Limit(burst, interval_us))


async def wait_s(limiter: RateLimiter, *buckets: Bucket) -> float | None:
    """Takes tokens; or gives the seconds to wait."""
    try:
        await limiter.take(buckets)
    except ApiError as error:
        refused = error
    else:
        return None
    assert refused.reason == "rate_limited"
    assert refused.retry_after_s is not None
    assert refused.retry_after_s > 0
    return refused.retry_after_s


async def passes(limiter: RateLimiter, *buckets: Bucket) -> bool:
    return await wait_s(limiter, *buckets) is None


async def how_many_pass(gateways: list[RateLimiter], tries: int, *buckets: Bucket) -> int:
    """Of ``tries`` at once, taken in turn by the gateways."""
    return sum(await asyncio.gather(*(passes(gateways[n % len(gateways)], *buckets) for n in range(tries))))


async def limiter_keys(redis: Redis) -> dict[bytes, int]:
    """Every key that a limit or moderation keeps, and how long it lives (-1: for ever)."""
    every: list[bytes] = cast(Any, await redis.keys())
    names = [
        name
        for name in every
        if name.partition(b":")[0] in (b"limit", b"chat", b"cool", b"cools", b"fails", b"mute", b"strikes")
    ]
    return {name: await redis.pttl(name) for name in names}


# -- the bucket --


async def test_of_two_hundred_at_once_over_two_gateways_exactly_the_limit_passes(gateways: list[RateLimiter]) -> None:
    assert await how_many_pass(gateways, 200, bucket(7)) == 7
    assert await how_many_pass(gateways, 50, bucket(7)) == 0
    assert await how_many_pass(gateways, 50, bucket(7, who="y")) == 7


async def test_of_several_buckets_all_give_or_none(gateways: list[RateLimiter]) -> None:
    narrow, wide = bucket(3, who="narrow"), bucket(10, who="wide")
    assert await how_many_pass(gateways, 40, wide, narrow) == 3
    assert await how_many_pass(gateways, 40, wide) == 7


async def test_the_empty_bucket_is_named_and_the_longest_wait_told(batch: RedisBatch) -> None:
    limiter = RateLimiter(batch)
    first, second = bucket(1, HOUR, kind="first"), bucket(1, 2 * HOUR, kind="second")
    await limiter.take([second])
    counted = limit_metrics.RATE_LIMITED.labels("second")._value.get()
    with capture_logs() as logs, pytest.raises(ApiError) as refused:
        await limiter.take([first, second])
    assert refused.value.retry_after_s == pytest.approx(7_200, abs=60)
    assert limit_metrics.RATE_LIMITED.labels("second")._value.get() == counted + 1
    assert logs[0]["limit"] == "second"
    assert await passes(limiter, first)


async def test_what_is_given_back_can_be_taken_again_and_no_more(gateways: list[RateLimiter], redis: Redis) -> None:
    one = bucket(3)
    assert await how_many_pass(gateways, 10, one) == 3
    await asyncio.gather(*(gateways[n % 2].give_back([one]) for n in range(50)))
    assert await limiter_keys(redis) == {}
    assert await how_many_pass(gateways, 10, one) == 3


async def test_any_order_of_taking_and_giving_back_agrees_with_counting(gateways: list[RateLimiter]) -> None:
    dice = random.Random(20)
    one, left = bucket(6), 6
    for _ in range(300):
        limiter = dice.choice(gateways)
        if dice.random() < 0.6:
            assert await passes(limiter, one) == (left > 0)
            left = max(0, left - 1)
        else:
            await limiter.give_back([one])
            left = min(6, left + 1)


async def test_tokens_come_back_with_time(batch: RedisBatch, redis: Redis) -> None:
    """After the wait that was told, by Redis' own clock; asked earlier it is told again."""
    limiter, one = RateLimiter(batch), bucket(2, 20_000)
    for _ in range(5):
        while (wait := await wait_s(limiter, one)) is None:
            pass
        assert wait <= 0.02
        await asyncio.sleep(wait + 0.005)
        assert await passes(limiter, one)


async def test_a_burst_at_the_end_of_a_window_leaves_less_for_the_next(
    gateways: list[RateLimiter], redis: Redis
) -> None:
    """Within any window of ``burst / rate`` no more than twice the burst pass: it comes back one by one."""
    one = bucket(5)
    name = api_keys.limit_bucket("test", "x")
    assert await how_many_pass(gateways, 20, one) == 5
    for hours, expected in ((1, 1), (2, 2), (5, 5), (50, 5)):
        await redis.delete(name)
        assert await how_many_pass(gateways, 20, one) == 5
        # As if so many hours had passed since.
        full_at = int(cast(bytes, await redis.get(name))) - hours * HOUR
        now_us = int((await redis.time())[0]) * 1_000_000
        if full_at > now_us:
            await redis.set(name, full_at, px=(full_at - now_us) // 1000)
        else:
            await redis.delete(name)
        assert await how_many_pass(gateways, 20, one) == expected


async def test_a_clock_put_back_an_hour_holds_nobody_longer_than_an_empty_bucket(
    batch: RedisBatch, redis: Redis
) -> None:
    """What was written before then lies in the future: it counts as empty from the next look on, and expires so."""
    limiter, name = RateLimiter(batch), api_keys.limit_bucket("test", "x")
    for slow, fast in ((10_000_000, False), (20_000, True)):
        now_us = int((await redis.time())[0]) * 1_000_000
        await redis.set(name, now_us + HOUR, px=3_600_000)
        assert not await passes(limiter, bucket(2, slow))
        assert await redis.pttl(name) <= 2 * slow // 1000
        while fast and not await passes(limiter, bucket(2, slow)):
            await asyncio.sleep(0.005)


async def test_a_limit_made_narrower_counts_at_once(batch: RedisBatch, redis: Redis) -> None:
    limiter = RateLimiter(batch)
    for _ in range(100):
        await limiter.take([bucket(100)])
    assert not await passes(limiter, bucket(2))
    assert 3_600_000 < await redis.pttl(api_keys.limit_bucket("test", "x")) <= 7_200_000


# -- no key for ever, and Redis away --


async def test_no_key_is_without_an_end_whatever_was_done(
    redis: Redis, batch: RedisBatch, gateways: list[RateLimiter], world: FakeWorld, clock: FakeClock
) -> None:
    ingress = Ingress(batch, world, LONG_RULES, clock, find_banned=lambda text: 1 if "bad" in text else None)
    session = await enlist(redis, new_session())
    handler = Handler(ingress, session, "ws-1")
    await how_many_pass(gateways, 30, bucket(5), bucket(7, who="y"))
    await gateways[0].give_back([bucket(5)])
    for said in ("bad", "bad", "hello", "hello", "bad", "hello"):
        cmd = {"type": "say", "text": said}
        challenge = await challenge_of(handler, cmd)
        await answer(handler, answer_to(session, challenge, cmd))
        await ingress.drain(2.0)
    await request(handler)
    for _ in range(8):
        await answer(handler, {"server_cmd_id": "cmd_none", "sig": "A" * 43, "proof": "1"})
        await answer(handler, {"server_cmd_id": handler.challenge["server_cmd_id"], "sig": "A" * 43, "proof": "1"})
    await asyncio.gather(*(request(handler) for _ in range(40)))
    found = await limiter_keys(redis)
    kinds = {name.split(b":")[0] for name in found}
    assert {b"limit", b"chat", b"cool", b"cools", b"mute"} <= kinds
    assert {name for name, ttl in found.items() if ttl == -1} == set()  # -2: it has just ended


async def test_a_link_that_drops_right_after_the_script_leaves_a_key_that_ends(redis: Redis, valkey_url: str) -> None:
    """There is no moment between counting and setting the expiry: they are one command."""
    await redis.script_load(TAKE.source)
    pool: Any = redis.connection_pool
    for number in range(20):
        connection = pool.connection_class(**pool.connection_kwargs)
        await connection.connect()
        await connection.send_command(*TAKE(buckets=[bucket(3, who=f"w{number}").args]).words)
        await connection.disconnect(nowait=True)
    while len(found := await limiter_keys(redis)) < 20:
        await asyncio.sleep(0.005)
    assert min(found.values()) > 0


async def test_a_server_that_dies_before_it_answers_lets_nothing_pass_and_holds_nothing(
    batch: RedisBatch, redis: Redis
) -> None:
    class Dying:
        """Runs the script and loses the answer."""

        async def run(self, call: Call) -> Any:
            await batch.run(call)
            raise RedisConnectionError("gone")

        async def eval(self, script: Script, _: Any, args: Any) -> Any:
            return await self.run(Call(script, (), args))

        async def command(self, *words: Any) -> Any:
            raise RedisConnectionError("gone")

    for _ in range(10):
        with pytest.raises(RedisConnectionError):
            await RateLimiter(Dying()).take([bucket(3, 5_000)])
    while await limiter_keys(redis):
        await asyncio.sleep(0.005)
    assert await passes(RateLimiter(batch), bucket(3, 5_000))


async def test_without_redis_it_fails_closed_is_logged_and_counted(dead_redis: RedisBatch) -> None:
    counted = limit_metrics.RATE_LIMIT_UNAVAILABLE.labels("test")._value.get()
    limiter = RateLimiter(dead_redis)
    with capture_logs() as logs, pytest.raises(RedisConnectionError):
        await limiter.take([bucket()])
    assert limit_metrics.RATE_LIMIT_UNAVAILABLE.labels("test")._value.get() == counted + 1
    assert [(entry["event"], entry["limit"]) for entry in logs] == [("rate_limit_unavailable", "test")]
    await limiter.give_back([bucket()])  # the tokens come back with time


@pytest.fixture
async def dead_redis() -> AsyncIterator[RedisBatch]:
    """Batched calls to a port on which nobody listens."""
    redis = Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=1)
    batch = RedisBatch(redis)
    yield batch
    await batch.close()
    await redis.aclose()


def test_each_bucket_costs_one_round_trip_and_only_known_scripts() -> None:
    for script in (TAKE, GIVE_BACK, LEASE, RETURN, store.LEASE, store.LEAVE):
        assert "redis.call('TIME')" in script.source
        assert "'INCR'" not in script.source


# -- commands --

LONG_RULES = replace(ChallengeRules(), chat_interval_ms=600_000)


@pytest.fixture
def make_ingress(batch: RedisBatch, other_batch: RedisBatch, world: FakeWorld, clock: FakeClock) -> Any:
    """Two gateways with the same rules."""

    def make(**rules: Any) -> list[Ingress]:
        chosen = replace(LONG_RULES, **rules)
        return [Ingress(each, world, chosen, clock) for each in (batch, other_batch)]

    return make


Make = Callable[..., list[Ingress]]


async def challenge_of(handler: Handler, cmd: object) -> dict[str, Any]:
    before = len(handler.told)
    assert await request(handler, cmd) is None
    assert len(handler.told) == before + 1
    return handler.challenge


async def outcomes(redis: Redis, agent_id: str, *handlers: Handler) -> Counter[str]:
    """What the agent's stream and its sockets say: ``challenge``, or the reason of a refusal."""
    acks = [payload["reason"] for kind, payload in await agent_messages(redis, agent_id) if kind == "command_ack"]
    return Counter(acks) + Counter(challenge=sum(len(handler.told) for handler in handlers))


async def test_an_agents_limit_holds_over_its_sockets_and_gateways(redis: Redis, make_ingress: Make) -> None:
    session = await enlist(redis, new_session())
    gateways = make_ingress(agent_commands=Limit(10, HOUR))
    handlers = [Handler(gateways[n % 2], session, f"ws-{n}") for n in range(10)]
    await asyncio.gather(*(request(handlers[n % 10], client_cmd_id=f"c-{n}") for n in range(200)))
    told = await outcomes(redis, "a-1", *handlers)
    # Each gateway that has a token makes a challenge, while it does not hear of the other; the other tokens go into
    # refusals because of it.  Ten are told that they are too many, the rest not.
    assert 1 <= told.pop("challenge") <= 2
    assert told["busy"] in (8, 9)
    assert told["rate_limited"] == 10


async def test_an_accounts_limit_holds_over_its_agents_and_keys(redis: Redis, make_ingress: Make) -> None:
    gateways = make_ingress(account_commands=Limit(20, HOUR))
    # Thirty agents, each with a session of a key of its own.
    mine = [await enlist(redis, replace(new_session(f"a-{n}"), key_id=f"key_{n}")) for n in range(30)]
    other = await enlist(redis, replace(new_session("b-1"), account_id="acc_2"))
    handlers = [Handler(gateways[n % 2], session, f"ws-{n}") for n, session in enumerate(mine)]
    limited = limit_metrics.RATE_LIMITED.labels("command_account")._value.get()
    await asyncio.gather(*(request(handler) for handler in handlers))
    told = [await outcomes(redis, f"a-{n}", handler) for n, handler in enumerate(handlers)]
    assert sum(told, Counter()) == {"challenge": 20, "rate_limited": 10}
    assert limit_metrics.RATE_LIMITED.labels("command_account")._value.get() == limited + 10
    await challenge_of(Handler(gateways[0], other, "ws-b"), MOVE)


async def test_an_agent_that_floods_takes_nothing_from_its_siblings(redis: Redis, make_ingress: Make) -> None:
    (gateway, _) = make_ingress(agent_commands=Limit(3, HOUR), account_commands=Limit(5, HOUR))
    loud, quiet = [await enlist(redis, new_session(agent)) for agent in ("a-1", "a-2")]
    handler = Handler(gateway, loud, "ws-1")
    for _ in range(50):
        await request(handler)
    await challenge_of(Handler(gateway, quiet, "ws-2"), MOVE)


async def test_a_refusal_says_when_to_try_again(redis: Redis, make_ingress: Make) -> None:
    session = await enlist(redis, new_session())
    (gateway, _) = make_ingress(agent_commands=Limit(1, HOUR))
    handler = Handler(gateway, session, "ws-1")
    await request(handler)
    await request(handler, client_cmd_id="c-2")
    ack = (await agent_messages(redis, "a-1"))[-1][1]
    assert (ack["client_cmd_id"], ack["accepted"], ack["reason"]) == ("c-2", False, "rate_limited")
    assert 3_500_000 < ack["retry_after_ms"] <= 3_600_000
    reply = await request(handler, client_cmd_id="c-3")
    assert reply is not None
    assert reply.reason == "rate_limited"
    assert reply.retry_after_ms is not None
    assert 3_500_000 < reply.retry_after_ms <= 3_600_000


async def test_malformed_requests_and_bad_answers_count_too(redis: Redis, make_ingress: Make) -> None:
    session = await enlist(redis, new_session())
    (gateway, _) = make_ingress(agent_commands=Limit(4, HOUR))
    handler = Handler(gateway, session, "ws-1")
    for _ in range(2):
        await request(handler, {"type": "fly"})
        await answer(handler, {"server_cmd_id": "cmd_none", "sig": "A" * 43, "proof": "1"})
    await request(handler)
    assert await outcomes(redis, "a-1") == {"invalid_cmd": 2, "expired_challenge": 2, "rate_limited": 1}


async def test_a_gateways_clock_put_back_an_hour_gives_nothing(
    redis: Redis, make_ingress: Make, clock: FakeClock
) -> None:
    session = await enlist(redis, new_session())
    (gateway, _) = make_ingress(agent_commands=Limit(2, HOUR))
    handler = Handler(gateway, session, "ws-1")
    await request(handler)
    for change in (-3_600_000, 7_200_000):
        clock.advance(change)
        for _ in range(3):
            await request(handler)
    told = await outcomes(redis, "a-1", handler)
    assert told["challenge"] + told["busy"] == 2


async def test_a_thousand_agents_of_one_account_play_within_the_defaults(redis: Redis, batch: RedisBatch) -> None:
    """What a load tester does: all of them ask at once, and then each at most every 0.3 s."""
    rules = ChallengeRules()
    ingress = Ingress(batch, FakeWorld(redis=redis), rules)
    sessions = [new_session(f"load-{n}") for n in range(1000)]
    async with redis.pipeline(transaction=False) as pipe:
        for session in sessions:
            pipe.set(keys.session_by_jti(session.jti), "sess:x", px=600_000)
        await pipe.execute()
    handlers = [Handler(ingress, session, "ws-1") for session in sessions]
    assert await asyncio.gather(*(request(handler) for handler in handlers)) == [None] * 1000
    assert [len(handler.told) for handler in handlers] == [1] * 1000
    assert 1_000_000 / rules.account_commands.interval_us >= 1000 / 0.3
    assert 1_000_000 / rules.agent_commands.interval_us >= 1 / 0.3


async def test_without_redis_no_command_passes_and_the_agent_is_told(
    dead_redis: RedisBatch, world: FakeWorld, clock: FakeClock
) -> None:
    handler = Handler(Ingress(dead_redis, world, ChallengeRules(), clock), new_session(), "ws-1")
    for cmd in (MOVE, SAY):
        assert await request(handler, cmd) == CommandReply("unavailable", 1_000)
    assert await answer(handler, {"server_cmd_id": "cmd_1", "sig": "A" * 43, "proof": "1"}) == CommandReply(
        "unavailable", 1_000
    )
    assert world.submitted == []


# -- chat --


async def test_a_hundred_chats_at_once_over_two_gateways_let_exactly_one_through(
    redis: Redis, make_ingress: Make, clock: FakeClock
) -> None:
    stores = [gateway.store for gateway in make_ingress()]

    async def chat(store: ChallengeStore, number: int) -> str:
        challenge = challenge_to(SAY, f"cmd_{number}")
        return await store.speak(challenge, trace_id="t-1", chat="clean", unsaid=False, now_ms=clock.now_ms)

    said = Counter(await asyncio.gather(*(chat(stores[number % 2], number) for number in range(100))))
    assert said == {"said": 1, "chat": 99}


async def test_a_hundred_requests_to_speak_at_once_submit_one(
    redis: Redis, make_ingress: Make, world: FakeWorld, clock: FakeClock
) -> None:
    """The same from the door: whoever is challenged answers."""
    session = await enlist(redis, new_session())
    gateways = make_ingress(agent_commands=Limit(1_000_000, 1))
    handlers = [Handler(gateways[n % 2], session, f"ws-{n}") for n in range(10)]
    for _ in range(3):
        await asyncio.gather(*(request(handlers[n % 10], SAY, f"c-{n}") for n in range(100)))
        challenges = [event.fields() for handler in handlers for event in handler.told]
        await asyncio.gather(
            *(answer(handlers[n], answer_to(session, challenge, SAY)) for challenge in challenges for n in range(10))
        )
        for gateway in gateways:
            await gateway.drain(2.0)
        await redis.delete(api_keys.cooldown("a-1"))
        clock.advance(60_000)
    assert sum(len(handler.told) for handler in handlers) > 2
    assert [command.cmd for command in world.submitted] == [SAY]


async def test_agents_do_not_share_their_turns_to_speak(redis: Redis, make_ingress: Make, world: FakeWorld) -> None:
    (gateway, _) = make_ingress()
    for agent_id in ("a-1", "a-2"):
        session: Session = await enlist(redis, new_session(agent_id))
        handler = Handler(gateway, session, f"ws-{agent_id}")
        await answer(handler, answer_to(session, await challenge_of(handler, SAY), SAY))
        await gateway.drain(2.0)
    assert [command.agent_id for command in world.submitted] == ["a-1", "a-2"]
