"""Three of the embedded Valkey servers as one cluster, each with a third of the slots; no replicas."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from embedded import children
from embedded.valkey import EmbeddedValkey, Fsync

__all__ = ["NODES", "SLOTS", "ClusterError", "ThreeNodes"]

NODES: Final = 3
SLOTS: Final = 16_384
FORMED_S: Final = 30.0
POLL_S: Final = 0.05
PASSWORD: Final = "for-the-prototype"


class ClusterError(RuntimeError):
    """The servers form no cluster."""


class ClusterNode(EmbeddedValkey):
    """One server of it."""

    def __init__(self, directory: Path, *, durable: bool, fsync: Fsync) -> None:
        super().__init__(directory, PASSWORD, durable=durable, fsync=fsync)
        #: Where nodes talk to each other.  The default is the clients' port and 10,000, which may be no port.
        self.bus_port = children.free_port()

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _write_config(self, port: int) -> Path:
        path = super()._write_config(port)
        with path.open("a") as config:
            config.write(f"cluster-enabled yes\ncluster-port {self.bus_port}\ncluster-config-file nodes.conf\n")
        return path


class ThreeNodes:
    """A cluster, started and formed by ``with``.

    Args:
        durable: with an append-only file.
    """

    def __init__(self, directory: Path, *, durable: bool = False, fsync: Fsync = "always") -> None:
        self.nodes = [ClusterNode(directory / f"node-{n}", durable=durable, fsync=fsync) for n in range(NODES)]
        self.urls: list[str] = []

    def __enter__(self) -> ThreeNodes:
        try:
            self.urls = [node.start() for node in self.nodes]
            clients: list[Any] = [Redis.from_url(url) for url in self.urls]
            for n, client in enumerate(clients):
                first, last = SLOTS * n // NODES, SLOTS * (n + 1) // NODES - 1
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            for node, url in zip(self.nodes[1:], self.urls[1:], strict=True):
                port = url.rpartition(":")[2].partition("/")[0]
                clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, node.bus_port)
            self.wait_formed()
            for client in clients:
                client.close()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all servers."""
        for node in self.nodes:
            node.stop()

    def wait_formed(self) -> None:
        """Wait until every node knows all others and all slots are served.

        Raises:
            ClusterError: not in time.
        """
        clients: list[Any] = [Redis.from_url(url) for url in self.urls]
        deadline = time.monotonic() + FORMED_S
        while not all(_is_formed(client) for client in clients):
            if time.monotonic() > deadline:
                raise ClusterError(f"no cluster within {FORMED_S:.0f} s: see the logs of the three servers")
            time.sleep(POLL_S)
        for client in clients:
            client.close()


def node_of(slot: int) -> int:
    """The number of the node that has a slot."""
    return next(n for n in range(NODES) if slot < SLOTS * (n + 1) // NODES)


def _is_formed(client: Any) -> bool:
    try:
        info = client.execute_command("CLUSTER", "INFO")
    except RedisError:
        return False
    text = info if isinstance(info, dict) else dict(line.split(":") for line in info.decode().split())
    return text["cluster_state"] == "ok" and int(text["cluster_known_nodes"]) == NODES
