// How a journey ended. Each says it in `reason`, a stable code, and in words by `String()`; `ok` tells whether it reached
// its aim.
//
//   Arrived, Explored, Harvested, StillFollowing     ok
//   NoWay, NoGold, LostSight, TimedOut               not ok

/** The end of a journey, and where the agent stands. */
export class Outcome {
  static reason = "";
  static ok = false;

  /** @param {{chunkId: string | null, x: number, y: number}} place  null and -1 where it is not known. */
  constructor({ chunkId, x, y }) {
    this.chunkId = chunkId;
    this.x = x;
    this.y = y;
  }

  get reason() {
    return this.constructor.reason;
  }

  get ok() {
    return this.constructor.ok;
  }

  /** Where the agent stands, as one word. */
  get place() {
    return `${this.chunkId ?? "nowhere"}:${this.x},${this.y}`;
  }
}

/** The agent stands where it was to go. */
export class Arrived extends Outcome {
  static reason = "arrived";
  static ok = true;

  toString() {
    return `arrived at ${this.place}`;
  }
}

/** Chunks were entered for the first time: `found`, in that order. */
export class Explored extends Outcome {
  static reason = "explored";
  static ok = true;

  constructor(place, found) {
    super(place);
    this.found = found;
  }

  toString() {
    return `found ${this.found.join(", ")}, now at ${this.place}`;
  }
}

/** `amount` was taken. */
export class Harvested extends Outcome {
  static reason = "harvested";
  static ok = true;

  constructor(place, amount) {
    super(place);
    this.amount = amount;
  }

  toString() {
    return `took ${this.amount} gold, now at ${this.place}`;
  }
}

/** The time to follow was up, and `agentId` was still in sight. */
export class StillFollowing extends Outcome {
  static reason = "still_following";
  static ok = true;

  constructor(place, agentId) {
    super(place);
    this.agentId = agentId;
  }

  toString() {
    return `followed ${this.agentId} up to ${this.place}`;
  }
}

/** `agentId` is out of sight, and which way it went is not known. */
export class LostSight extends Outcome {
  static reason = "lost";

  constructor(place, agentId) {
    super(place);
    this.agentId = agentId;
  }

  toString() {
    return `lost sight of ${this.agentId}, now at ${this.place}`;
  }
}

/**
 * There is no way. `why` is `unknown_chunk` (the map does not have it, or no way there), `chunk_gone` (it was
 * collected), `wall`, `boundary` (stepping on it leaves the chunk), `closed` (nothing but walls on that side, or no door
 * that is not known already), `crowded` (others stood in the way again and again); `text` says the same in words.
 */
export class NoWay extends Outcome {
  static reason = "no_way";

  constructor(place, why, text) {
    super(place);
    this.why = why;
    this.text = text;
  }

  toString() {
    return `no way: ${this.text}; now at ${this.place}`;
  }
}

/** There is no more gold within reach; `amount` was taken before. */
export class NoGold extends Outcome {
  static reason = "no_gold";

  constructor(place, amount) {
    super(place);
    this.amount = amount;
  }

  toString() {
    return `no gold within reach, took ${this.amount} before; now at ${this.place}`;
  }
}

/** The time was up. What was done up to then counts: `found` chunks, `amount` of gold. */
export class TimedOut extends Outcome {
  static reason = "timed_out";

  constructor(place, found, amount) {
    super(place);
    this.found = found;
    this.amount = amount;
  }

  toString() {
    return `the time was up at ${this.place}`;
  }
}
