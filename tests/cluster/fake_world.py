"""Runs ``cli.up`` with the embedded servers and the migrations as they are, but a world without Ray.

``python -m tests.cluster.fake_world PORT DATA_DIR [BEHAVIOUR]``; the world runs when /readyz answers.  What happens to
it is written into DATA_DIR/events.

Behaviours: ``fail`` does not start, ``hang`` does not stop, ``stray`` leaves a process behind, ``elsewhere`` is in a
Ray cluster that was there before.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from config.settings import Settings, load_settings


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class FakeDeployment:
    notices = ("Not used: [a setting].",)

    def __init__(self, settings: Settings, behaviour: str) -> None:
        self._events = Path(settings.data_dir) / "events"
        self._behaviour = behaviour
        port = 0 if behaviour == "elsewhere" else settings.port
        self._server = HTTPServer((settings.host, port), Ready)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        if behaviour == "stray":
            self._leave_process(settings)
        self.note("started")

    def _leave_process(self, settings: Settings) -> None:
        """A worker that nobody stops and that ignores what it is asked."""
        script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        argv = [sys.executable, "-c", script, settings.data_dir]
        nowhere = subprocess.DEVNULL
        subprocess.Popen(argv, stdout=nowhere, stderr=nowhere, start_new_session=True)

    async def stop(self) -> None:
        self.note("stopping")
        if self._behaviour == "hang":
            await asyncio.sleep(600)
        self._server.shutdown()
        self.note("stopped")

    async def leave(self) -> None:
        self.note("left")

    def note(self, text: str) -> None:
        with self._events.open("a") as file:
            file.write(f"{text}\n")


def main(port: str, data_dir: str, behaviour: str = "") -> int:
    async def start(settings: Settings) -> FakeDeployment:
        assert settings.database_url.startswith("postgresql+asyncpg://")
        assert settings.redis_url.startswith("redis://")
        if behaviour == "fail":
            raise RuntimeError("no world today")
        return FakeDeployment(settings, behaviour)

    module = types.ModuleType("cluster.deploy")
    setattr(module, "start", start)  # noqa: B010
    sys.modules["cluster.deploy"] = module

    import cluster
    from cli import up
    from embedded.children import ServiceError

    setattr(cluster, "deploy", module)  # noqa: B010
    setattr(up, "STRAY_WAIT_S", 0.5)  # noqa: B010
    try:
        address = "head:6379" if behaviour == "elsewhere" else None
        return up.run(load_settings(port=int(port), data_dir=data_dir, demo=False, ray_address=address))
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
