from __future__ import annotations

import asyncio
import threading
import unicodedata
from collections.abc import Iterator

import pytest

from api.errors import ApiError
from api.passwords import Passwords


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    passwords = Passwords("pepper", threads=2, queue_max=3)
    yield passwords
    passwords.close()


@pytest.mark.parametrize(
    "password", ["correct horse", "p\u00e4ss \U0001f600", "x" * 128, "nul\0inside", "\ud800 alone"]
)
async def test_the_right_password_matches_and_no_other(passwords: Passwords, password: str) -> None:
    hashed = await passwords.hash(password)
    assert hashed.startswith("$argon2id$")
    assert await passwords.matches(hashed, password)
    assert not await passwords.matches(hashed, password + "x")


async def test_the_same_password_is_hashed_differently_each_time(passwords: Passwords) -> None:
    assert await passwords.hash("password") != await passwords.hash("password")


async def test_composed_and_decomposed_are_one_password(passwords: Passwords) -> None:
    hashed = await passwords.hash("p\u00e4ssw\u00f6rd")
    assert await passwords.matches(hashed, unicodedata.normalize("NFD", "p\u00e4ssw\u00f6rd"))


async def test_without_the_pepper_a_hash_is_no_use(passwords: Passwords) -> None:
    hashed = await passwords.hash("password")
    other = Passwords("another pepper", threads=1)
    assert not await other.matches(hashed, "password")
    other.close()


@pytest.mark.parametrize("stored", [None, "!", "", "$argon2id$broken"])
async def test_nobody_and_a_broken_hash_match_nothing(passwords: Passwords, stored: str | None) -> None:
    assert not await passwords.matches(stored, "nobody's password")


async def test_beyond_the_bound_a_request_is_refused_at_once_and_later_ones_pass(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two run, three wait, the sixth is refused; nothing hashes on the event loop's thread."""
    release = threading.Event()
    ran_on: set[str] = set()

    def slow(password: bytes) -> str:
        ran_on.add(threading.current_thread().name)
        release.wait(30)
        return "hash"

    monkeypatch.setattr(passwords, "_hasher", type("Slow", (), {"hash": staticmethod(slow)})())
    waiting = [asyncio.create_task(passwords.hash("password")) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(ApiError, match="overloaded") as caught:
        await passwords.hash("password")
    assert caught.value.status_code == 503
    release.set()
    assert await asyncio.gather(*waiting) == ["hash"] * 5
    assert await passwords.hash("password") == "hash"
    assert threading.current_thread().name not in ran_on
