from __future__ import annotations

import httpx

from api.services import Services
from store import notes
from store.notes import NOTES_MAX, Note
from streaming.shared_clock import utc_now
from tests.api.people import bearer, keyed, playing, refused, session, signed_up

PATH = "/v1/agents/a-1/notes"


async def test_notes_are_written_read_and_forgotten(http: httpx.AsyncClient) -> None:
    key = await keyed(http, await signed_up(http))
    head = bearer((await session(http, key["api_key"]))["session_token"])
    written = await http.put(f"{PATH}/home", json={"text": "chunk-0\nat 25,25"}, headers=head)
    assert written.status_code == 200, written.text
    read = (await http.get(PATH, headers=bearer(key["api_key"]))).json()
    assert read == {"agent_id": "a-1", "notes": [written.json()], "most": NOTES_MAX}
    assert (await http.delete(f"{PATH}/home", headers=head)).json() == {"forgotten": "home"}
    refused(await http.delete(f"{PATH}/home", headers=head), 404, "note_not_found")


async def test_number_and_size_have_a_bound(http: httpx.AsyncClient, services: Services) -> None:
    head = bearer((await playing(http))["session_token"])
    for number in range(NOTES_MAX):
        await notes.put(services.engine, "a-1", Note(f"note-{number}", "x", utc_now()))
    refused(await http.put(f"{PATH}/one-more", json={"text": "x"}, headers=head), 409, "notes_full")
    for name, text in (("home", "x" * 501), ("home", ""), ("home", "a\x00b"), ("a%20b", "x"), ("n" * 65, "x")):
        refused(await http.put(f"{PATH}/{name}", json={"text": text}, headers=head), 422, "invalid_request")


async def test_they_are_the_owners(http: httpx.AsyncClient) -> None:
    await playing(http)
    other = bearer((await playing(http, "b-1"))["session_token"])
    for answer in (
        await http.get(PATH, headers=other),
        await http.put(f"{PATH}/x", json={"text": "x"}, headers=other),
        await http.delete(f"{PATH}/x", headers=other),
    ):
        refused(answer, 403, "agent_mismatch")
