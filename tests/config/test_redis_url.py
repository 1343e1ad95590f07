"""Redis URLs of hosters and other tools: one server, and nothing of ours overruled."""

from __future__ import annotations

import pytest
from redis.asyncio.connection import SSLConnection, parse_url

from config.redis_url import BadRedisUrl, normal_form
from streaming.connect import connect

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("redis://:p@h:6379/0", "redis://:p@h:6379/0"),
        ("redis://h", "redis://h"),
        ("redis://h/2?world=blue", "redis://h/2?world=blue"),
        ("redis:///3", "redis:///3"),
        ("valkey://h/1", "redis://h/1"),
        ("valkeys://h", "rediss://h"),
        ("redis://u:p@ss@h", "redis://u:p%40ss@h"),
        ("redis://u:100%@h", "redis://u:100%25@h"),
        ("redis://[::1]:6379?db=2", "redis://[::1]:6379?db=2"),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        ("unix://u:p@/run/redis.sock", "unix://u:p@/run/redis.sock"),
        ("rediss://default:p@h:6380?ssl_cert_reqs=none", "rediss://default:p@h:6380?ssl_cert_reqs=none"),
    ],
)
def test_normal_form(given: str, kept: str) -> None:
    assert normal_form(given) == kept
    assert normal_form(kept) == kept


def test_the_library_reads_what_was_meant() -> None:
    found = parse_url(normal_form("rediss://me:p@ss%@h:7/5?client_name=game"))
    assert found == {
        "username": "me",
        "password": "p@ss%",
        "host": "h",
        "port": 7,
        "db": 5,
        "client_name": "game",
        "connection_class": SSLConnection,
    }


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"redis+sentinel://:{SECRET}@h:26379/mymaster", "Sentinel and Cluster are not supported"),
        (f"redis-cluster://:{SECRET}@h", "Sentinel and Cluster are not supported"),
        (f"redis://:{SECRET}@h1,h2", "Sentinel and Cluster are not supported"),
        (f"http://:{SECRET}@h", "must begin with redis://"),
        (f"redis://:{SECRET}/x@h", "write / . # as"),
        (f"redis://:{SECRET}?x@h", "write / . # as"),
        (f"redis://:{SECRET}#@h", "write / . # as"),
        (f"redis://:{SECRET}@h:99999", "1 to 65535"),
        (f"redis://:{SECRET}@h:port", "host:port"),
        (f"redis://:{SECRET}@h/name", "number of a database"),
        (f"redis://:{SECRET}@h?db=name", "number of a database"),
        (f"redis://:{SECRET}@h?{SECRET}=1", "a parameter that is not supported"),
        (f"redis://:{SECRET}@h?max_connections=1", "a parameter that is not supported"),
        (f"redis://:{SECRET}@h?ssl_cert_reqs=none", "for TLS it begins with rediss://"),
        (f"rediss://:{SECRET}@h?ssl_cert_reqs=no", "ssl_cert_reqs must be one of"),
        (f"unix://h:{SECRET}/run/redis.sock", "path of a socket"),
        (f"redis://:%ff{SECRET}@h", "UTF-8"),
    ],
)
def test_what_can_not_be_used_is_one_line_without_secrets(url: str, says: str) -> None:
    with pytest.raises(BadRedisUrl, match=says) as caught:
        normal_form(url)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_number_and_a_name_reach_the_server(valkey_url: str) -> None:
    client = connect(normal_form(f"{valkey_url.rpartition('/')[0]}?db=7&client_name=game"))
    try:
        told = await client.client_info()
        assert (str(told["db"]), told["name"]) == ("7", "game")
    finally:
        await client.aclose()
