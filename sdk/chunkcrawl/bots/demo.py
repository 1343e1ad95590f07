"""A handful of demo agents that walk, harvest, chat and change chunks through the real protocol, until told to stop.

python -m chunkcrawl.bots.demo --base http://127.0.0.1:8000 --agents 6

Their account is kept in a file, since agents belong to the account that first played them.  SIGTERM, SIGHUP and
Ctrl-C end it within 2 s with exit code 0.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import secrets
from pathlib import Path
from typing import Final

from chunkcrawl.agent import Agent
from chunkcrawl.bots.driver import drive
from chunkcrawl.bots.rules import Bot, GoldSeeker, Wanderer
from chunkcrawl.commands.interrupts import heeded_signals
from chunkcrawl.errors import ApiError, ChunkcrawlError, Forbidden, InvalidSession
from chunkcrawl.transport.address import default_base
from chunkcrawl.transport.backoff import Backoff
from chunkcrawl.transport.connection import is_worth_retrying
from chunkcrawl.transport.credentials import Credentials, CredentialsFile
from chunkcrawl.transport.http import Api

__all__ = ["main", "run"]

log = logging.getLogger("chunkcrawl.demo")

NAME_PREFIX: Final = "demo-walker"
FILE_NAME: Final = "demo-credentials.json"
STOP_TIMEOUT_S: Final = 1.6
ARRIVAL_GAP_S: Final = 0.3


async def run(base: str, agents: int = 6, *, credentials: Path | None = None, seed: int | None = None) -> None:
    """Play with ``agents`` agents until cancelled.

    Args:
        base: The server.
        agents: How many; every third one seeks gold, the others wander.
        credentials: Where the demo's account is kept; None for the user's configuration directory.
        seed: Makes the agents' decisions repeatable; None for a new one each time.
    """
    rng = random.Random(seed)
    file = CredentialsFile(credentials) if credentials else CredentialsFile()
    if credentials is None:
        file.path = file.path.with_name(FILE_NAME)
    async with Api(base) as api:
        key, prefix = await _account(api, file, rng)
        log.info("%d agents %s-1..%d on %s", agents, prefix, agents, base)
        async with asyncio.TaskGroup() as group:
            for number in range(1, agents + 1):
                own = random.Random(rng.random())
                bot: Bot = GoldSeeker() if number % 3 == 0 else Wanderer(home="chunk-0")
                group.create_task(_walker(api, key, f"{prefix}-{number}", bot, own))
                await asyncio.sleep(ARRIVAL_GAP_S)


async def _walker(api: Api, key: str, agent_id: str, bot: Bot, rng: random.Random) -> None:
    """Play one agent for ever: when its connection ends for good (a takeover, say) it comes back after a while."""
    backoff = Backoff(rng, base_s=2.0, cap_s=60.0)
    while True:
        try:
            async with Agent.connect(api.base, agent_id=agent_id, api_key=key, api=api, rng=rng) as agent:
                backoff.reset()
                await drive(agent, bot, rng)
        except ChunkcrawlError as error:
            log.warning("agent %s: %s", agent_id, error)
        await asyncio.sleep(backoff.next_delay(at_least_s=1.0))


async def _account(api: Api, file: CredentialsFile, rng: random.Random) -> tuple[str, str]:
    """Return an API key that works and the prefix of names that are ours; waits for a server that is not up yet."""
    backoff = Backoff(rng, cap_s=3.0)
    while True:
        try:
            return await _tried_account(api, file)
        except ChunkcrawlError as error:
            if not is_worth_retrying(error):
                raise
            hint_s = error.retry_after_s if isinstance(error, ApiError) else None
            log.info("the server is not there yet: %s", error)
            await asyncio.sleep(backoff.next_delay(at_least_s=hint_s or 0.0))


async def _tried_account(api: Api, file: CredentialsFile) -> tuple[str, str]:
    kept = file.load(api.base)
    if not kept.api_key or not await _works(api, kept.api_key, None):
        kept = await _new_account(api)
        file.save(api.base, kept)
    if await _works(api, kept.api_key, f"{NAME_PREFIX}-1"):
        return kept.api_key, NAME_PREFIX
    # The plain names belong to an account whose file is gone; names with the account's own mark can't be taken.
    return kept.api_key, f"{NAME_PREFIX}-{kept.account_id[-6:]}"


async def _works(api: Api, key: str, agent_id: str | None) -> bool:
    try:
        session = await api.open_session(key, "agent" if agent_id else "spectator", agent_id)
    except (InvalidSession, Forbidden):
        return False
    with contextlib.suppress(ChunkcrawlError):
        await api.end_session(session)
    return True


async def _new_account(api: Api) -> Credentials:
    email = f"demo-walkers-{secrets.token_hex(6)}@example.com"
    account = await api.signup(email, secrets.token_urlsafe(24))
    key = await api.create_key(account.account_id, auth=account.account_token, label="demo agents")
    return Credentials(
        email=email,
        account_id=account.account_id,
        account_token=account.account_token,
        key_id=key.key_id,
        api_key=key.api_key,
    )


async def _run_until_told(args: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in heeded_signals():
        loop.add_signal_handler(number, stop.set)
    playing = loop.create_task(run(args.base, args.agents, credentials=args.credentials, seed=args.seed))
    told = loop.create_task(stop.wait())
    await asyncio.wait({playing, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if playing.done():
        playing.result()
    playing.cancel()
    await asyncio.wait({playing}, timeout=STOP_TIMEOUT_S)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line of ``python -m chunkcrawl.bots.demo``."""
    parser = argparse.ArgumentParser(prog="python -m chunkcrawl.bots.demo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--base", default=default_base(), help="the server's address")
    parser.add_argument("--agents", type=int, default=6)
    parser.add_argument("--credentials", type=Path, help="file that keeps the demo's account")
    parser.add_argument("--seed", type=int, help="repeatable decisions")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(arguments)
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("chunkcrawl").setLevel(logging.INFO if args.verbose else logging.WARNING)
    asyncio.run(_run_until_told(args))


if __name__ == "__main__":
    main()
