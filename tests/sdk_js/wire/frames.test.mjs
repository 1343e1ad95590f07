import assert from "node:assert/strict";
import { test } from "node:test";

import { closeOf, FrameError, frameOf, FrameReader, MESSAGE_MAX_BYTES, OPCODE } from "../../../sdk-js/src/wire/frames.js";

const bytes = (text) => new TextEncoder().encode(text);
const MASK = Uint8Array.of(1, 2, 3, 4);

/** A frame as a server sends it: not masked. */
function served(opcode, payload, { fin = true, reserved = 0, mask = 0 } = {}) {
  const { length } = payload;
  const size = length < 126 ? [length] : length < 65_536 ? [126, length >> 8, length & 0xff] : [127, 0, 0, 0, 0, ...be32(length)];
  size[0] |= mask;
  return Uint8Array.of((fin ? 0x80 : 0) | reserved | opcode, ...size, ...payload);
}

const be32 = (number) => [number >>> 24, (number >> 16) & 0xff, (number >> 8) & 0xff, number & 0xff];

test("the frame of RFC 6455, section 5.7: a masked Hello", () => {
  const mask = Uint8Array.of(0x37, 0xfa, 0x21, 0x3d);
  const wanted = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
  assert.deepEqual([...frameOf(OPCODE.TEXT, bytes("Hello"), mask)], wanted);
});

for (const length of [0, 125, 126, 65_535, 65_536]) {
  test(`lengths on both sides of each form: ${length}`, () => {
    const text = "x".repeat(length);
    const [message] = new FrameReader().feed(served(OPCODE.TEXT, bytes(text)));
    assert.deepEqual(message, { opcode: OPCODE.TEXT, payload: text });
    const ours = frameOf(OPCODE.TEXT, bytes(text), MASK);
    const head = length < 126 ? 6 : length < 65_536 ? 8 : 14;
    assert.equal(ours.length, head + length);
    const clear = ours.slice(head).map((byte, at) => byte ^ MASK[at % 4]);
    assert.equal(new TextDecoder().decode(clear), text);
  });
}

test("a message is the same wherever it is cut, in parts and with a ping between them", () => {
  const text = "héllo \u{1f600}";
  const whole = bytes(text);
  const stream = [
    ...served(OPCODE.TEXT, whole.slice(0, 2), { fin: false }), // in the middle of a letter
    ...served(OPCODE.PING, bytes("p")),
    ...served(OPCODE.CONTINUATION, whole.slice(2)),
    ...served(OPCODE.TEXT, bytes("next")),
  ];
  const wanted = [
    { opcode: OPCODE.PING, payload: bytes("p") },
    { opcode: OPCODE.TEXT, payload: text },
    { opcode: OPCODE.TEXT, payload: "next" },
  ];
  assert.deepEqual(new FrameReader().feed(Uint8Array.from(stream)), wanted);
  const reader = new FrameReader();
  assert.deepEqual(stream.flatMap((byte) => reader.feed(Uint8Array.of(byte))), wanted);
});

const BROKEN = [
  ["a server's mask", served(OPCODE.TEXT, bytes("x"), { mask: 0x80 }), 1002],
  ["reserved bits", served(OPCODE.TEXT, bytes("x"), { reserved: 0x40 }), 1002],
  ["an unknown opcode", served(3, bytes("x")), 1002],
  ["an unknown control frame", served(11, bytes("x")), 1002],
  ["a control frame in parts", served(OPCODE.PING, bytes("x"), { fin: false }), 1002],
  ["a long control frame", served(OPCODE.PING, bytes("x".repeat(126))), 1002],
  ["a part of nothing", served(OPCODE.CONTINUATION, bytes("x")), 1002],
  ["a message within a message", Uint8Array.of(...served(1, bytes("x"), { fin: false }), ...served(1, bytes("y"))), 1002],
  ["text that is no UTF-8", served(OPCODE.TEXT, Uint8Array.of(0xff)), 1007],
  ["a frame that is too large", Uint8Array.of(0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0), 1009],
];
for (const [name, stream, code] of BROKEN) {
  test(`it breaks the protocol: ${name}`, () => {
    assert.throws(() => new FrameReader().feed(stream), (error) => error instanceof FrameError && error.code === code);
  });
}

test("a message of many parts has a bound too", () => {
  const reader = new FrameReader();
  reader.feed(served(OPCODE.BINARY, new Uint8Array(60_000), { fin: false }));
  const parts = Math.ceil(MESSAGE_MAX_BYTES / 60_000);
  assert.throws(() => {
    for (let part = 0; part < parts; part += 1) reader.feed(served(OPCODE.CONTINUATION, new Uint8Array(60_000), { fin: false }));
  }, { code: 1009 });
});

test("a goodbye has a code and a reason, or neither", () => {
  assert.deepEqual(closeOf(Uint8Array.of(0x0f, 0xa1, ...bytes("taken over"))), { code: 4001, reason: "taken over" });
  assert.deepEqual(closeOf(new Uint8Array(0)), { code: 1005, reason: "" });
});
