// How a journey ended: `ok`, a stable `reason`, and words by `String()`.

export class Outcome {
  constructor(place: { chunkId: string | null; x: number; y: number });
  static readonly reason: string;
  static readonly ok: boolean;
  readonly chunkId: string | null;
  readonly x: number;
  readonly y: number;
  get reason(): string;
  get ok(): boolean;
  get place(): string;
}

type Place = ConstructorParameters<typeof Outcome>[0];

export class Arrived extends Outcome {}
export class Explored extends Outcome {
  constructor(place: Place, found: string[]);
  readonly found: string[];
}
export class Harvested extends Outcome {
  constructor(place: Place, amount: number);
  readonly amount: number;
}
export class NoWay extends Outcome {
  constructor(place: Place, why: string, text: string);
  readonly why: "unknown_chunk" | "chunk_gone" | "wall" | "boundary" | "closed" | "crowded";
  readonly text: string;
}
export class NoGold extends Outcome {
  constructor(place: Place, amount: number);
  readonly amount: number;
}
export class StillFollowing extends Outcome {
  constructor(place: Place, agentId: string);
  readonly agentId: string;
}
export class LostSight extends Outcome {
  constructor(place: Place, agentId: string);
  readonly agentId: string;
}
export class TimedOut extends Outcome {
  constructor(place: Place, found: string[], amount: number);
  readonly found: string[];
  readonly amount: number;
}
