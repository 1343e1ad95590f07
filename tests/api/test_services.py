from __future__ import annotations

from api.services import Services, challenge_rules
from config.settings import Settings
from tests.api.support import FakeWorld


def settings(**other: object) -> Settings:
    return Settings.model_validate(
        {"database_url": "postgresql://nowhere/none", "redis_url": "redis://nowhere"} | other
    )


def test_the_rules_are_the_settings() -> None:
    rules = challenge_rules(
        settings(
            challenge_ttl_s=7, challenge_record_ttl_s=9, chat_interval_s=3, difficulty_start=1, auth_failures_max=4
        )
    )
    assert (rules.ttl_s, rules.record_ttl_ms, rules.chat_interval_ms) == (7, 9_000, 3_000)
    assert (rules.difficulty.start, rules.cooldown.failures_max) == (1, 4)


def test_the_defaults_are_the_contracts() -> None:
    rules = challenge_rules(settings())
    assert (rules.ttl_s, rules.record_ttl_ms, rules.chat_interval_ms) == (5, 10_000, 2_000)
    assert (rules.cooldown.failures_max, rules.cooldown.window_ms, rules.cooldown.cooldown_ms) == (5, 60_000, 30_000)
    difficulty = rules.difficulty
    assert (difficulty.start, difficulty.least, difficulty.most, difficulty.step_every_ms) == (2, 0, 3, 10_000)


async def test_building_opens_nothing_and_closing_it_again_is_fine() -> None:
    services = Services.build(settings(), FakeWorld())
    assert services.draining is False
    await services.close()
