"""All nodes of a Ray cluster on this machine replaced in turn while agents play; prints one JSON line.

Usage: python -m tests.chaos.rolling_scenario NODES AGENTS [OLD_TREE]

OLD_TREE: a checkout of an older release, which starts the world; ours then takes it over, and all that is made anew is
ours.  In the end the older release is started once more, and has to refuse.  Run it as a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import ray
from ray.cluster_utils import Cluster
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from cluster import deploy, stored_format
from cluster.drain.nodes import short
from cluster.peers import ShardUnavailable
from cluster.ray_clients import COORDINATOR
from cluster.ray_start import RAY_ENVIRONMENT
from cluster.release import RELEASE
from config.settings import ENV_PREFIX, Settings
from embedded.children import free_port
from embedded.services import EmbeddedServices
from migrations.run import upgrade
from streaming import keys
from streaming.connect import connect
from tests.chaos.scene import Scene, scratch, services_in
from tests.cluster.worlds import until

SHARDS = 4
CPUS = 2
STORE_BYTES = 80 * 1024 * 1024
READY_S = 120.0
PLAY_S = 5.0
ROOT = Path(__file__).parents[2]
#: The event in a line of a log.
EVENT = re.compile(r"\[\w+ *\] (\w+)")

#: ``chunkcrawl up`` of the tree that ``PYTHONPATH`` names; the command itself takes the packages that are installed.
UP = "from cli.up import run; from config.settings import load_settings; run(load_settings())"

#: Two gateways at least, and one more where there are three nodes.
GIVEN: dict[str, Any] = {
    "environment": "test",
    "shards": SHARDS,
    "gateways": 2,
    "gateways_max": 3,
    "shard_cpus": 0.25,
    "gateway_cpus": 0.25,
    "regen_ticks": 0,
    "collect_idle_s": 3_600,
    "demo": False,
    "drain_s": 5,
    "log_level": "info",
}


class OlderEnded(Exception):
    """The older release has ended by itself."""


class Rolling:
    """The cluster, the world in it, and what was found."""

    def __init__(self, cluster: Any, services: EmbeddedServices, settings: Settings) -> None:
        self.cluster = cluster
        self.services = services
        self.settings = settings
        self.drains: list[dict[str, Any]] = []

    def add_node(self) -> Any:
        """A fresh node.  In the main thread: Ray's processes end with the thread that started them."""
        return self.cluster.add_node(num_cpus=CPUS, object_store_memory=STORE_BYTES)

    async def places(self, deployment: deploy.Deployment) -> dict[str, str]:
        """The node of each actor that answers."""
        try:
            described = await deployment.describe()
        except ShardUnavailable:
            return {}
        actors = described["actors"] | {COORDINATOR: described}
        return {name: actor["node"] for name, actor in actors.items() if "node" in actor}

    async def releases(self, deployment: deploy.Deployment) -> dict[str, str]:
        """The release of each actor, as it says; empty for one that doesn't."""
        described = await deployment.describe()
        actors = described["actors"] | {COORDINATOR: described}
        return {name: actor.get("release", "") for name, actor in actors.items()}

    async def replace(self, node: Any, deployment: deploy.Deployment) -> None:
        """Add a node, empty this one by the operator's command, and take it away."""
        self.add_node()
        began = time.monotonic()
        before = [name for name, place in (await self.places(deployment)).items() if place == node.node_id]
        code, said = await self.command("drain", short(node.node_id), "--wait", "200")
        took_s = time.monotonic() - began
        after = [name for name, place in (await self.places(deployment)).items() if place == node.node_id]
        self.drains.append(
            {"code": code, "said": said, "before": sorted(before), "after": after, "took_s": round(took_s, 1)}
        )
        self.cluster.remove_node(node)

    async def command(self, *words: str) -> tuple[int, str]:
        """An operator's command to its end: exit code, and what it said."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chunkcrawl.commands.main", *words),
            cwd=ROOT,
            env=clean | {f"{ENV_PREFIX}REDIS_URL": self.settings.redis_url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()


@asynccontextmanager
async def older_world(settings: Settings, tree: Path, log: Path) -> AsyncIterator[psutil.Process]:
    """A world that an older release has started; its supervisor, which is killed in the end if it is still there."""
    given = settings.model_dump(include={*GIVEN, "ray_address", "redis_url", "database_url", "port", "log_dir"})
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    environment = clean | {f"{ENV_PREFIX}{name.upper()}": str(value) for name, value in given.items()}
    environment["PYTHONPATH"] = f"{tree}{os.pathsep}{tree / 'sdk'}"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", UP),
            cwd=log.parent,
            env=environment,
            stdout=out,
            stderr=out,
        )
    try:

        async def runs() -> bool:
            said = await asyncio.to_thread(log.read_text)
            if process.returncode is not None:
                raise OlderEnded(said)
            return "Chunkcrawl runs" in said

        await until(runs, "the older world runs", READY_S)
        yield psutil.Process(process.pid)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def refusals(settings: Settings, tree: Path, log: Path) -> list[str]:
    """What the older release says when it is started again: with the database as it is, and with a fresh one."""
    said = []
    for database_url in (settings.database_url, await _fresh_database(settings.database_url)):
        again = settings.model_copy(update={"database_url": database_url})
        with contextlib.suppress(OlderEnded):
            async with older_world(again, tree, log):
                pass
        said.append(await asyncio.to_thread(log.read_text))
    return said


async def _fresh_database(database_url: str) -> str:
    engine = create_async_engine(database_url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text("CREATE DATABASE fresh"))
    await engine.dispose()
    return make_url(database_url).set(database="fresh").render_as_string(hide_password=False)


async def scenario(rolling: Rolling, agents: int, old_tree: Path | None, directory: Path) -> dict[str, Any]:
    settings = rolling.settings
    old_nodes = sorted(rolling.cluster.worker_nodes, key=lambda node: node.node_id)
    if old_tree is None:
        deployment = await deploy.start(settings)
        return await _play(rolling, deployment, agents, old_nodes, mixed=None)
    async with older_world(settings, old_tree, directory / "older.log") as supervisor:
        deployment = deploy.Deployment(settings, None, [])
        found = await _play(rolling, deployment, agents, old_nodes, mixed=supervisor)
    found["refusals"] = await refusals(settings, old_tree, directory / "older-again.log")
    found["events"] = _events(Path(settings.log_dir))
    return found


def _events(directory: Path) -> dict[str, int]:
    """How often each event was logged."""
    lines = "\n".join(log.read_text() for log in directory.glob("*.log*")).splitlines()
    return dict(Counter(found[1] for line in lines if (found := EVENT.search(line))))


async def _play(
    rolling: Rolling, deployment: deploy.Deployment, agents: int, old_nodes: list[Any], mixed: psutil.Process | None
) -> dict[str, Any]:
    redis = connect(rolling.settings.redis_url)
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    stage = Scene(rolling.services, deployment, redis, random.Random(seed))
    found: dict[str, Any] = {"seed": seed}

    async def renewed() -> bool:
        return (await rolling.releases(deployment)).get("archiver-0") == RELEASE.release

    try:
        await until(stage.ready, "the world serves", READY_S)
        async with stage.playing(agents):
            await asyncio.sleep(PLAY_S)
            if mixed is not None:
                mixed.send_signal(signal.SIGUSR1)
                await asyncio.to_thread(mixed.wait, READY_S)
                await upgrade(rolling.settings.database_url)  # while older processes use it
                deployment = stage.deployment = await deploy.start(rolling.settings)
                await until(renewed, "the newer release has its archiver", READY_S)
                found["releases_between"] = await rolling.releases(deployment)
            for node in old_nodes:
                await rolling.replace(node, deployment)
                await asyncio.sleep(PLAY_S)
        ledger = stage.ledger
        found |= {
            "accepted": len(ledger.accepted),
            "unsettled": ledger.unsettled,
            "holes": ledger.holes,
            "findings": await stage.findings(),
            "gold": await stage.gold(),
            "drains": rolling.drains,
            "old_nodes": [node.node_id for node in old_nodes],
            "places": await rolling.places(deployment),
            "releases": await rolling.releases(deployment),
            "our_release": RELEASE.release,
            "format": int(await redis.hget(keys.WORLD, stored_format.FIELD) or 1),
            "log": stage.log,
        }
    finally:
        await redis.aclose()
    await deployment.stop()
    return found


@contextmanager
def rolling_cluster(nodes: int, logs: str, *, migrated: bool = True) -> Iterator[tuple[Rolling, Path]]:
    """A cluster of so many nodes besides its head, with servers and their directory; in the main thread."""
    os.environ.update(RAY_ENVIRONMENT)
    with scratch() as directory:
        services = services_in(directory)
        urls = services.start()
        if migrated:
            asyncio.run(upgrade(urls.database_url))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES})
        try:
            settings = Settings(
                **GIVEN,
                ray_address=cluster.address,
                redis_url=urls.redis_url,
                database_url=urls.database_url,
                port=free_port(),
                log_dir=logs or str(Path(directory) / "logs"),
                data_dir=directory,
            )
            rolling = Rolling(cluster, services, settings)
            for _ in range(nodes):
                rolling.add_node()
            cluster.wait_for_nodes()
            yield rolling, Path(directory)
        finally:
            ray.shutdown()
            cluster.shutdown()  # type: ignore[no-untyped-call]
            services.stop()


def main(nodes: str, agents: str, old_tree: str = "") -> None:
    with rolling_cluster(int(nodes), os.environ.get("ROLLING_LOGS", ""), migrated=not old_tree) as (rolling, directory):
        found = asyncio.run(scenario(rolling, int(agents), Path(old_tree) if old_tree else None, directory))
    print(orjson.dumps(found).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
