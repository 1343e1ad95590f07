"""Everything a gateway's endpoints use, made in one place and handed to ``create_app``."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from api import metrics
from api.accounts.auth import Authenticator
from api.accounts.bans import BanList
from api.accounts.key_ring import KeyRing
from api.accounts.local_only import LocalOnly
from api.accounts.ownership import AGENTS_PER_ACCOUNT_MAX
from api.accounts.passwords import Passwords
from api.accounts.sessions import SessionStore
from api.background_tasks import GatewayTasks
from api.challenge.cooldown import CooldownRules
from api.challenge.difficulty import DifficultyRules
from api.challenge.ingress import Ingress
from api.challenge.store import ChallengeRules
from api.limits.http_limits import HttpLimits
from api.limits.strikes import StrikeBook, StrikeRules
from api.limits.thought_rules import ThoughtRules
from api.limits.word_file import WordFile
from api.operator.callers import Callers
from api.operator.port import Operating
from api.past.reader import PastReader
from api.ports import World
from api.readiness import Readiness
from config.limit import Limit
from config.settings import Settings
from config.traces import Tracing
from store.agent_claims import AgentClaims
from store.engine import make_engine
from store.session_log import SessionLog
from streaming.batch import RedisBatch
from streaming.cancellable import end
from streaming.connect import connect
from streaming.shared_clock import SHARED, now_ms


@dataclass(slots=True)
class Services:
    """One gateway's parts.  ``build`` makes them; the app's lifespan calls ``start`` and ``close``."""

    settings: Settings
    world: World
    engine: AsyncEngine
    redis: Redis
    batch: RedisBatch
    auth: Authenticator
    sessions: SessionStore
    session_log: SessionLog
    key_ring: KeyRing
    agent_claims: AgentClaims
    passwords: Passwords
    limits: HttpLimits
    local_only: LocalOnly
    words: WordFile
    thought_rules: ThoughtRules
    ingress: Ingress
    readiness: Readiness
    background: GatewayTasks
    bans: BanList
    strikes: StrikeBook
    operators: Callers
    past: PastReader
    #: None: nothing here can be operated (``api.operator.port``).
    operating: Operating | None = None
    draining: bool = False
    _clock: asyncio.Task[None] | None = None

    @classmethod
    def build(
        cls,
        settings: Settings,
        world: World,
        *,
        engine: AsyncEngine | None = None,
        redis: Redis | None = None,
        batch: RedisBatch | None = None,
        tracing: Tracing | None = None,
        operating: Operating | None = None,
    ) -> Services:
        """Make the parts; nothing is opened yet.

        ``engine`` and ``redis`` default to the settings' URLs, ``batch`` to one of its own over ``redis``.
        """
        engine = make_engine(settings.database_url) if engine is None else engine
        redis = connect(settings.redis_url) if redis is None else redis
        batch = RedisBatch(redis) if batch is None else batch
        sessions = SessionStore(batch, ttl_s=settings.session_ttl_s)
        words = WordFile(settings.banned_words_file)
        rules = challenge_rules(settings)
        auth = Authenticator(batch, dev=not settings.is_prod)
        limits, local_only = HttpLimits(batch, settings), LocalOnly(settings)
        callers = auth.others = Callers(engine, limits, local_only, dev=not settings.is_prod)
        return cls(
            settings=settings,
            world=world,
            engine=engine,
            redis=redis,
            batch=batch,
            auth=auth,
            sessions=sessions,
            session_log=SessionLog(engine, metrics.SESSION_ROWS_DROPPED.inc),
            key_ring=KeyRing(engine),
            agent_claims=AgentClaims(engine, AGENTS_PER_ACCOUNT_MAX),
            passwords=Passwords(
                settings.secret_pepper, processes=settings.password_processes, queue_max=settings.password_queue_max
            ),
            limits=limits,
            local_only=local_only,
            words=words,
            thought_rules=ThoughtRules(batch, rules.strikes, words.find),
            ingress=Ingress(batch, world, rules, find_banned=words.find, tracing=tracing),
            readiness=Readiness(engine, redis, world),
            background=GatewayTasks(engine, sessions, thoughts_keep_days=settings.event_log_keep_days),
            bans=BanList(engine),
            strikes=StrikeBook(batch),
            operators=callers,
            past=PastReader(redis, settings),
            operating=operating,
        )

    def start(self) -> None:
        """Begin the background work; needs a running event loop."""
        self._clock = asyncio.create_task(SHARED.keep(self.redis), name="clock")
        self.session_log.start()
        self.background.start()
        self.words.start()
        self.bans.start()

    async def close(self) -> None:
        """End the background work and every connection of ours."""
        await self.ingress.drain(self.settings.drain_s)
        await self.background.close()
        await self.words.close()
        await self.bans.close()
        await self.agent_claims.close()
        await self.session_log.close()
        self.passwords.close()
        self.past.close()
        await self.batch.close()
        if self._clock is not None:
            await end(self._clock)
        await self.redis.aclose()
        await self.engine.dispose()

    def now_s(self) -> int:
        """Return whole seconds of Unix time, by the clock that gateways and shards share."""
        return now_ms() // 1000


def challenge_rules(settings: Settings) -> ChallengeRules:
    """Return times and limits of commands, as the settings have them."""
    return ChallengeRules(
        ttl_s=settings.challenge_ttl_s,
        record_ttl_ms=settings.challenge_record_ttl_s * 1000,
        chat_interval_ms=settings.chat_interval_s * 1000,
        agent_commands=Limit.parse(settings.limit_agent_commands),
        account_commands=Limit.parse(settings.limit_account_commands),
        difficulty=DifficultyRules(start=settings.difficulty_start),
        cooldown=CooldownRules(failures_max=settings.auth_failures_max, cooldown_ms=settings.auth_cooldown_s * 1000),
        strikes=StrikeRules(settings.strikes_max, settings.strike_memory_s * 1000, settings.mute_s * 1000),
    )
