from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from api import metrics
from api.challenge.ingress import Ingress
from tests.api.support import FakeClock, Handler, answer, answer_to, enlist, exposition, new_session, request

#: Labels that strangers could fill with as many values as they like.
UNBOUNDED = {"agent_id", "chunk_id", "session", "session_jti", "path", "account_id", "trace_id", "server_cmd_id"}


def sample(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def series() -> int:
    return sum(len(family.samples) for family in text_string_to_metric_families(exposition().decode()))


async def play(redis: Redis, ingress: Ingress, agent_id: str, *, right: bool = True) -> None:
    session = await enlist(redis, new_session(agent_id))
    handler = Handler(ingress, session, "ws-1")
    await request(handler)
    await answer(handler, answer_to(session, handler.challenge) | ({} if right else {"sig": "A" * 43}))


async def test_a_handshake_is_counted_and_timed(redis: Redis, ingress: Ingress) -> None:
    names = (
        "challenge_issued_total",
        "challenge_answer_valid_total",
        "challenge_verify_ms_count",
        "challenge_pow_verify_ms_count",
        "challenge_difficulty_level_count",
    )
    before = [sample(name) for name in names]
    decided = sample("commands_decided_total", accepted="true")
    await play(redis, ingress, "a-1")
    await ingress.drain(1.0)
    assert [sample(name) for name in names] == [value + 1 for value in before]
    assert sample("commands_decided_total", accepted="true") == decided + 1
    assert sample("commands_waiting") == 0


async def test_a_refused_answer_is_counted_by_its_check(redis: Redis, ingress: Ingress) -> None:
    before = sample("challenge_answer_invalid_total", check="bad_signature")
    await play(redis, ingress, "a-1", right=False)
    assert sample("challenge_answer_invalid_total", check="bad_signature") == before + 1


async def test_a_challenge_that_nobody_answers_is_counted_as_expired_once(
    redis: Redis, ingress: Ingress, clock: FakeClock
) -> None:
    before = sample("challenge_expired_total")
    handler = Handler(ingress, await enlist(redis, new_session()), "ws-1")
    await request(handler)
    clock.advance(20_000)
    await request(handler)
    assert sample("challenge_expired_total") == before + 1
    handler.close()
    handler.close()
    assert sample("challenge_expired_total") == before + 2


async def test_two_hundred_agents_make_no_more_series_than_twenty(redis: Redis, ingress: Ingress) -> None:
    """Pitfall B25: within 5 %, and below 2,000 in all."""
    for number in range(20):
        await play(redis, ingress, f"a-{number}", right=number % 2 == 0)
    before = series()
    for number in range(200):
        await play(redis, ingress, f"b-{number}", right=number % 3 == 0)
    await ingress.drain(2.0)
    assert series() <= before * 1.05
    assert series() < 2_000


def test_no_label_takes_values_that_strangers_choose() -> None:
    for family in text_string_to_metric_families(exposition().decode()):
        for found in family.samples:
            assert not UNBOUNDED & found.labels.keys(), found.name
