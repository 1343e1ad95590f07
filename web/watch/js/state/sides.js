// The four sides of a chunk. A Map, because a server's text must not find what every object has ("constructor").

export const SIDE_NAMES = new Map([
  ["N", "north"],
  ["E", "east"],
  ["S", "south"],
  ["W", "west"],
]);
