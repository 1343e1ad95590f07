"""How messages are wrapped for their way."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from streaming.framing import http_chunk, text_frame_head


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_frame_is_what_the_websockets_library_would_write(length: int) -> None:
    payload = b"x" * length
    assert text_frame_head(length) + payload == Frame(Opcode.TEXT, payload).serialize(mask=False)


@pytest.mark.parametrize(("length", "size"), [(1, b"1"), (15, b"f"), (16, b"10"), (70_000, b"11170")])
def test_a_chunk_has_its_size_in_hex_before_it(length: int, size: bytes) -> None:
    assert http_chunk(b"x" * length) == size + b"\r\n" + b"x" * length + b"\r\n"
