"""How messages are wrapped for their way."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from streaming.framing import http_chunk, text_frame_head, text_of_frame


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_frame_is_what_the_websockets_library_would_write(length: int) -> None:
    payload = b"x" * length
    assert text_frame_head(length) + payload == Frame(Opcode.TEXT, payload).serialize(mask=False)


@pytest.mark.parametrize(("length", "size"), [(1, b"1"), (15, b"f"), (16, b"10"), (70_000, b"11170")])
def test_a_chunk_has_its_size_in_hex_before_it(length: int, size: bytes) -> None:
    assert http_chunk(b"x" * length) == size + b"\r\n" + b"x" * length + b"\r\n"


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 2_000, 65_535])
def test_a_clients_frame_is_read_when_it_is_whole(length: int) -> None:
    payload = bytes(n % 251 for n in range(length))
    data = Frame(Opcode.TEXT, payload).serialize(mask=True)
    assert text_of_frame(data) == payload
    assert text_of_frame(data[:-1]) is None
    assert text_of_frame(data + b"x") is None
    assert text_of_frame(data[:5]) is None


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.TEXT, b"x", fin=False),
        Frame(Opcode.CONT, b"x"),
        Frame(Opcode.BINARY, b"x"),
        Frame(Opcode.PING, b"x"),
        Frame(Opcode.CLOSE, b""),
        Frame(Opcode.TEXT, b"x" * 65_536),
    ],
)
def test_every_other_frame_is_left_to_the_parser(frame: Frame) -> None:
    assert text_of_frame(frame.serialize(mask=True)) is None


def test_a_frame_without_a_mask_or_with_bits_that_say_more_is_left_to_the_parser() -> None:
    whole = Frame(Opcode.TEXT, b"x").serialize(mask=True)
    assert text_of_frame(bytes((whole[0] | 0x40,)) + whole[1:]) is None
    assert text_of_frame(Frame(Opcode.TEXT, b"12345678").serialize(mask=False)) is None
