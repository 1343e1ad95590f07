"""The server's metrics page: who may read it, and what is none."""

from __future__ import annotations

import httpx
import pytest

from loadtest import server_page
from loadtest.server_page import MetricsPages, NoPage, ServerPage

PAGE = 'agent_connections 4\ncommands_decided_total{accepted="true"} 12\ncommands_decided_total{accepted="false"} 3\n'


def test_samples_are_summed_by_labels() -> None:
    page = ServerPage(PAGE)
    assert page.total("commands_decided_total") == 15
    assert page.total("commands_decided_total", accepted="true") == 12
    assert page.total("commands_decided_total", accepted="maybe") == 0
    assert page.by("commands_decided_total", "accepted") == {"true": 12, "false": 3}
    assert (page.has("agent_connections"), page.has("other"), page.total("other")) == (True, False, 0)


@pytest.mark.parametrize("text", ["", "some_metric 1\n", "<html>", "agent_connections", 'a{b="c} 1\n', "\0"])
def test_what_is_none_of_our_pages(text: str) -> None:
    with pytest.raises(NoPage, match="/metrics"):
        ServerPage(text)


@pytest.mark.parametrize(
    ("status", "text", "token", "says"),
    [
        (200, PAGE, None, ""),
        (200, "<html>", None, "no metrics page|none of the figures"),
        (401, "", None, "wants a token: give it as CHUNKCRAWL_METRICS_TOKEN"),
        (403, "", None, "wants a token"),
        (401, "", "tok", "does not take this"),
        (404, PAGE, None, "answers 404"),
        (200, PAGE * 100, None, "more than"),
    ],
)
async def test_who_may_not_read_it_is_told_why(
    status: int, text: str, token: str | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((str(request.url), request.headers.get("authorization")))
        return httpx.Response(status, text=text)

    real = httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", lambda **_: real(transport=httpx.MockTransport(answer)))
    monkeypatch.setattr(server_page, "PAGE_MOST_BYTES", 1_000)
    async with MetricsPages("http://x", token) as pages:
        if not says:
            assert (await pages.read()).total("agent_connections") == 4
        else:
            with pytest.raises(NoPage, match=says):
                await pages.read()
    assert asked == [("http://x/metrics", f"Bearer {token}" if token else None)]


async def test_nobody_there_is_said_too() -> None:
    async with MetricsPages("http://127.0.0.1:1", None) as pages:
        with pytest.raises(NoPage, match="no answer"):
            await pages.read()
