"""How a message is wrapped for its way: a WebSocket frame, a chunk of an HTTP body.  Bytes in, bytes out."""

from __future__ import annotations

import struct
from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform for which there is no wheel
    from websockets.utils import apply_mask

FINAL_TEXT: Final = 0x81
SHORT_MOST: Final = 125
MEDIUM_MOST: Final = 0xFFFF
MASKED: Final = 0x80
MASK_BYTES: Final = 4


def text_frame_head(length: int) -> bytes:
    """Return the head of an unmasked, final text frame (RFC 6455, section 5.2) with a payload of ``length`` bytes."""
    if length <= SHORT_MOST:
        return bytes((FINAL_TEXT, length))
    if length <= MEDIUM_MOST:
        return struct.pack("!BBH", FINAL_TEXT, 126, length)
    return struct.pack("!BBQ", FINAL_TEXT, 127, length)


def text_of_frame(data: bytes) -> bytes | None:
    """Return the payload of ``data`` if that is one whole text frame of a client's, of 64 KiB at most; else None."""
    if len(data) < 2 + MASK_BYTES or data[0] != FINAL_TEXT:
        return None
    length, begin = data[1] - MASKED, 2 + MASK_BYTES
    if length == 126:
        length, begin = int.from_bytes(data[2:4], "big"), 4 + MASK_BYTES
    elif not 0 <= length <= SHORT_MOST:
        return None
    if len(data) != begin + length:
        return None
    return apply_mask(data[begin:], data[begin - MASK_BYTES : begin])


def http_chunk(body: bytes) -> bytes:
    """Wrap ``body``, which is not empty, as a chunk (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(body), body)
