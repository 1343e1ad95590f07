"""How a message is wrapped for its way: a WebSocket frame, a chunk of an HTTP body.  Bytes in, bytes out."""

from __future__ import annotations

import struct
from typing import Final

FINAL_TEXT: Final = 0x81
SHORT_MOST: Final = 125
MEDIUM_MOST: Final = 0xFFFF


def text_frame_head(length: int) -> bytes:
    """Return the head of an unmasked, final text frame (RFC 6455, section 5.2) with a payload of ``length`` bytes."""
    if length <= SHORT_MOST:
        return bytes((FINAL_TEXT, length))
    if length <= MEDIUM_MOST:
        return struct.pack("!BBH", FINAL_TEXT, 126, length)
    return struct.pack("!BBQ", FINAL_TEXT, 127, length)


def http_chunk(body: bytes) -> bytes:
    """Wrap ``body``, which is not empty, as a chunk (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(body), body)
