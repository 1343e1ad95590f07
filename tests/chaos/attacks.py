"""What a stranger may try against a gateway of this machine, for so many seconds; each returns how it was answered.

    python -m tests.chaos.attacks half_requests 127.0.0.1:8000 10

runs one in a process of its own and prints the answers as JSON: statuses, ``closed`` for connections closed without
one, ``open`` for those that were still open in the end, ``refused`` for those that were not taken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from websockets.frames import Frame, Opcode

PIECE: Final = b"a" * 65_536
HEAD: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
HANDSHAKE: Final = (
    HEAD.replace(b"/healthz", b"/v1/spectate/ws?chunk_id=demo")
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
POST: Final = b"POST /v1/signup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
#: More than a process may usually open files.
HALF_OPEN: Final = 1_100
SIGNUPS_AT_ONCE: Final = 200
TRICKLE_S: Final = 0.5
#: A stranger's processor is not the server's; here it gets what nobody else wants.
LEAST_PRIORITY: Final = 19
ANSWER_S: Final = 3.0
AWAITED_S: Final = 60.0


@dataclass(slots=True)
class Target:
    """Where to, until when, and what has come back so far."""

    host: str
    port: int
    seconds: float
    #: Answers of which one has to have come before it ends, however busy the machine is; none are waited for.
    awaited: Collection[str] = ()
    answers: Counter[str] = field(default_factory=Counter)
    ends_at: float = 0.0

    def going_on(self) -> bool:
        """Whether there is time left, or something to wait for."""
        now = time.monotonic()
        return now < self.ends_at or (now < self.ends_at + AWAITED_S and self._waits())

    def _waits(self) -> bool:
        return bool(self.awaited) and self.answers.keys().isdisjoint(self.awaited)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    async def send(self, *pieces: bytes) -> None:
        """Send on one connection until the server has enough, and note its answer."""
        try:
            reader, writer = await self.open()
        except OSError:
            self.answers["refused"] += 1
            await asyncio.sleep(0.01)
            return
        answer = asyncio.create_task(_status(reader))
        for piece in pieces:
            if not self.going_on() or answer.done():
                break
            try:
                writer.write(piece)
                await asyncio.wait_for(writer.drain(), 1.0)
            except (OSError, TimeoutError):
                break
        await asyncio.wait([answer], timeout=ANSWER_S)
        self.note(answer)
        writer.transport.abort()

    def note(self, answer: asyncio.Task[str]) -> None:
        """Count what the server has answered, if it has."""
        self.answers[answer.result() if answer.done() else "open"] += 1
        answer.cancel()


async def _status(reader: asyncio.StreamReader) -> str:
    """The status that the server gives, or ``closed``."""
    try:
        found = re.match(rb"HTTP/1.1 (\d{3})", await reader.readline())
    except OSError:
        found = None
    return found[1].decode() if found else "closed"


Attack = Callable[[Target], Awaitable[None]]


async def _over_and_over(target: Target, once: Callable[[], Awaitable[None]], at_once: int) -> None:
    async def worker() -> None:
        while target.going_on():
            await once()

    await asyncio.gather(*(worker() for _ in range(at_once)))


async def endless_header(target: Target) -> None:
    """Four connections, each with one header that does not end: 100 MB of it where it is let."""
    start = HEAD + b"Cookie: "
    await _over_and_over(target, lambda: target.send(start, *[PIECE] * 1_600), at_once=4)


async def many_headers(target: Target) -> None:
    """Heads of a million headers."""
    lines = b"a: b\r\n" * 10_000
    await _over_and_over(target, lambda: target.send(HEAD, *[lines] * 100), at_once=4)


async def endless_target(target: Target) -> None:
    """A path that does not end."""
    await _over_and_over(target, lambda: target.send(b"GET /", *[PIECE] * 100), at_once=4)


async def endless_body(target: Target) -> None:
    """Bodies of chunks without end, of a length that is announced, and of sizes that are not sizes."""
    chunks = b"1\r\nx\r\n" * 10_000
    await asyncio.gather(
        _over_and_over(
            target, lambda: target.send(POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunks] * 100), at_once=2
        ),
        _over_and_over(
            target, lambda: target.send(POST + b"Content-Length: 10000000000\r\n\r\n", *[PIECE] * 100), at_once=2
        ),
    )


async def endless_handshake(target: Target) -> None:
    """WebSocket handshakes with a header that does not end."""
    await _over_and_over(target, lambda: target.send(HANDSHAKE + b"Cookie: ", *[PIECE] * 100), at_once=4)


async def half_requests(target: Target) -> None:
    """More connections than there are files, each with half a request, or half a handshake, that grows by a byte."""
    await asyncio.gather(
        *(_trickle(target, (HANDSHAKE if number % 2 else HEAD) + b"X-Slow: ") for number in range(HALF_OPEN))
    )


async def _trickle(target: Target, start: bytes, then: bytes = b"a") -> None:
    while target.going_on():
        try:
            reader, writer = await target.open()
        except OSError:
            target.answers["refused"] += 1
            await asyncio.sleep(TRICKLE_S)
            continue
        answer = asyncio.create_task(_status(reader))
        writer.write(start)
        while target.going_on() and not answer.done():
            await asyncio.wait([answer], timeout=TRICKLE_S)
            writer.write(then)
        target.note(answer)
        writer.transport.abort()
        await asyncio.sleep(TRICKLE_S)  # to hold places, and not to flood


async def silent_connections(target: Target) -> None:
    """As many connections that say nothing at all."""
    await asyncio.gather(*(_trickle(target, b"", b"") for _ in range(HALF_OPEN)))


async def connection_flood(target: Target) -> None:
    """Connections opened and dropped as fast as one process can."""

    async def once() -> None:
        try:
            _, writer = await target.open()
        except OSError:
            target.answers["refused"] += 1
            return
        target.answers["taken"] += 1
        writer.transport.abort()

    await _over_and_over(target, once, at_once=50)


async def signups(target: Target) -> None:
    """So many signups at once, over and over."""
    await _over_and_over(target, lambda: target.send(_signup()), at_once=SIGNUPS_AT_ONCE)


async def logins(target: Target) -> None:
    """As many guesses at passwords."""

    def guess() -> bytes:
        # "a@b.org:password-of-nobody"; an e-mail that nobody has costs a hash as well
        return (
            b"GET /v1/keys HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Authorization: Basic YUBiLm9yZzpwYXNzd29yZC1vZi1ub2JvZHk=\r\n\r\n"
        )

    await _over_and_over(target, lambda: target.send(guess()), at_once=SIGNUPS_AT_ONCE)


def _signup() -> bytes:
    body = json.dumps({"email": f"{secrets.token_hex(8)}@example.com", "password": "password-of-a-flood"}).encode()
    return POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def pipelined_requests(target: Target) -> None:
    """Thousands of requests on a connection, without waiting for an answer."""
    many = (HEAD + b"\r\n") * 5_000
    await _over_and_over(target, lambda: target.send(*[many] * 10), at_once=4)


def tiny_frames(session_token: str, agent_id: str) -> Attack:
    """One who has an account: a socket full of pings, and of messages in empty fragments."""
    handshake = (
        HANDSHAKE.replace(b"/v1/spectate/ws?chunk_id=demo", f"/v1/agent/ws?agent_id={agent_id}".encode())
        + f"Authorization: Bearer {session_token}\r\n\r\n".encode()
    )
    pings = Frame(Opcode.PING, b"").serialize(mask=True) * 10_000
    fragments = Frame(Opcode.TEXT, b"a", fin=False).serialize(mask=True)
    fragments += Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 10_000

    async def attack(target: Target) -> None:
        await _over_and_over(target, lambda: target.send(handshake, *[pings] * 3, fragments), at_once=1)

    return attack


STRANGERS: Final[dict[str, Attack]] = {
    attack.__name__: attack
    for attack in (
        endless_header,
        many_headers,
        endless_target,
        endless_body,
        endless_handshake,
        half_requests,
        silent_connections,
        connection_flood,
        pipelined_requests,
        signups,
        logins,
    )
}


async def run(attack: Attack, host: str, port: int, seconds: float, awaited: Collection[str] = ()) -> Counter[str]:
    """Attack for so long, and until one of the awaited answers has come; how it was answered."""
    target = Target(host, port, seconds, awaited, ends_at=time.monotonic() + seconds)
    await attack(target)
    return target.answers


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("attack", choices=[*STRANGERS, "tiny_frames"])
    parser.add_argument("address")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--session-token", default="")
    parser.add_argument("--agent-id", default="")
    given = parser.parse_args(None if arguments is None else list(arguments))
    host, _, port = given.address.rpartition(":")
    attack = STRANGERS.get(given.attack) or tiny_frames(given.session_token, given.agent_id)
    os.nice(LEAST_PRIORITY)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps(asyncio.run(run(attack, host, int(port), given.seconds))))


if __name__ == "__main__":
    main()
