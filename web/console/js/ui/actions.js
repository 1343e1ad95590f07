// Everything an operator can do: what it is called, what it will do, and what takes it back.

import { inPath } from "../route.js";

const MUTE_CHOICES = [["10", "10 minutes"], ["60", "1 hour"], ["1440", "1 day"], ["10080", "7 days"]];
const BAN_CHOICES = [["", "until it is lifted"], ["60", "1 hour"], ["1440", "1 day"], ["10080", "7 days"], ["43200", "30 days"]];

const post = (path) => () => ({ path });

// -- an agent --

export function mute(agentId) {
  return {
    label: "Mute",
    title: `Mute ${agentId}?`,
    text: ["Nothing it says is heard any more; it is told “muted” instead. It goes on walking, harvesting and giving."],
    fields: [{ name: "minutes", label: "For", type: "select", choices: MUTE_CHOICES, value: "60" }],
    request: ({ minutes }) => ({ path: `agents/${inPath(agentId)}/mute`, body: { minutes: Number(minutes) } }),
    undo: { label: "Unmute", request: post(`agents/${inPath(agentId)}/unmute`) },
  };
}

export function unmute(agentId) {
  return {
    label: "Unmute",
    title: `Let ${agentId} talk again?`,
    text: ["What it says is heard at once, and its strikes are forgotten."],
    request: post(`agents/${inPath(agentId)}/unmute`),
    later: "To take it back, mute it again.",
  };
}

/** @param {"agent" | "account"} kind */
export function ban(kind, subject) {
  const path = `${kind}s/${inPath(subject)}`;
  const who = kind === "agent" ? "It" : "Every agent of this account";
  return {
    label: "Ban",
    title: `Ban ${kind === "agent" ? subject : `account ${subject}`}?`,
    text: [
      `${who} is thrown out: sockets and streams are closed within 5 s, and new sessions are refused with “banned”.`,
      "What it carries stays its own. The ban holds over restarts and restored backups.",
    ],
    danger: true,
    fields: [
      { name: "minutes", label: "For how long", type: "select", choices: BAN_CHOICES, value: "" },
      { name: "reason", label: "Reason, for the audit log", type: "text", needed: true, most: 200 },
    ],
    request: ({ minutes, reason }) => ({ path: `${path}/ban`, body: { reason, minutes: minutes ? Number(minutes) : null } }),
    undo: { label: "Lift the ban", request: post(`${path}/unban`) },
  };
}

/** @param {"agent" | "account"} kind */
export function unban(kind, subject) {
  return {
    label: "Lift the ban",
    title: `Let ${kind === "agent" ? subject : `account ${subject}`} in again?`,
    text: ["It may open sessions and play again at once."],
    request: post(`${kind}s/${inPath(subject)}/unban`),
    later: "To take it back, ban it again.",
  };
}

export function disconnect(agentId) {
  return {
    label: "Disconnect",
    title: `Disconnect ${agentId}?`,
    text: ["All its sockets and streams are closed now. It may come back at once; to keep it out, ban it."],
    request: post(`agents/${inPath(agentId)}/disconnect`),
  };
}

export function revokeSessions(agentId) {
  return {
    label: "Revoke sessions",
    title: `Revoke all sessions of ${agentId}?`,
    text: ["Every session token of it is dead at once, and what is open with it is closed.", "Whoever has its API key can open a new session; to keep it out, ban it."],
    danger: true,
    request: post(`agents/${inPath(agentId)}/revoke-sessions`),
  };
}

// -- chunks and the world --

export function freeze(chunkId) {
  return {
    label: "Freeze",
    title: `Freeze ${chunkId}?`,
    text: ["Its ticks stand still: nobody in it moves, and nobody comes or goes. Its agents are told.", "Nothing that was accepted is lost; it goes on when the chunk thaws."],
    request: post(`chunks/${inPath(chunkId)}/freeze`),
    undo: { label: "Thaw", request: post(`chunks/${inPath(chunkId)}/thaw`) },
  };
}

export function thaw(chunkId) {
  return {
    label: "Thaw",
    title: `Thaw ${chunkId}?`,
    text: ["Its ticks go on where they stopped. Its agents are told."],
    request: post(`chunks/${inPath(chunkId)}/thaw`),
    undo: { label: "Freeze", request: post(`chunks/${inPath(chunkId)}/freeze`) },
  };
}

/** @param {number} agents  How many are in it. */
export function freezeWorld(agents) {
  return {
    label: "Freeze the world",
    title: "Freeze the whole world?",
    text: [`The ticks of every chunk stand still, for all ${agents.toLocaleString("en")} agents; they are told.`, "Nothing that was accepted is lost; it goes on when the world thaws."],
    danger: true,
    request: post("world/freeze"),
    undo: { label: "Thaw the world", request: post("world/thaw") },
  };
}

export function thawWorld() {
  return {
    label: "Thaw the world",
    title: "Thaw the world?",
    text: ["Every chunk goes on where it stopped, but those that were frozen by themselves. Agents are told."],
    request: post("world/thaw"),
    undo: { label: "Freeze the world", request: post("world/freeze") },
  };
}

export function announce(connections) {
  return {
    label: "Announce",
    title: "Announce a line to everyone?",
    text: [`It is shown on every open socket and stream, ${connections.toLocaleString("en")} at the moment.`],
    fields: [{ name: "text", label: "What is said", type: "text", needed: true, most: 200 }],
    request: ({ text }) => ({ path: "announce", body: { text } }),
    later: "What is said is said: it can’t be taken back.",
  };
}

// -- shards and nodes --

/** @param {{wanted_shards: number, bounds: [number, number] | null}} world  How many there are to be now. */
export function scale({ wanted_shards: now, bounds }) {
  return {
    label: "Scale",
    title: "Change the number of shards?",
    text: [
      `There are to be ${now} now. Chunks move to or from shards one by one while everybody plays; each stands still for some milliseconds.`,
      bounds ? `This world may have ${bounds[0]} to ${bounds[1]}, and the coordinator goes on changing the number with the load.` : "The number stays what you set until somebody changes it.",
    ],
    fields: [{ name: "shards", label: "Shards", type: "number", value: String(now), needed: true, least: bounds?.[0] ?? 1, most: bounds?.[1] ?? 256 }],
    request: ({ shards }) => ({ path: "scale", body: { shards: Number(shards) } }),
    undo: { label: `Back to ${now}`, request: () => ({ path: "scale", body: { shards: now } }) },
  };
}

export function rebalance() {
  return {
    label: "Rebalance",
    title: "Rebalance now?",
    text: ["The coordinator looks at the loads at once, instead of in its own time, and moves chunks from busy shards to idle ones where that helps. Each stands still for some milliseconds; pinned ones stay."],
    request: post("rebalance"),
    later: "Chunks that have moved stay where they are until balancing moves them again.",
  };
}

/** @param {string} name  `chunk-7` or `shard-1`. */
export function pin(name) {
  return {
    label: "Pin",
    title: `Pin ${name}?`,
    text: [name.startsWith("shard-") ? "It neither gives nor takes chunks by balancing." : "It stays on its shard, however busy that is.", "Draining a node and taking shards away move it all the same."],
    request: () => ({ path: `pins/${inPath(name)}` }),
    undo: { label: "Unpin", request: () => ({ path: `pins/${inPath(name)}`, method: "DELETE" }) },
  };
}

export function unpin(name) {
  return {
    label: "Unpin",
    title: `Unpin ${name}?`,
    text: ["Balancing may move it again."],
    request: () => ({ path: `pins/${inPath(name)}`, method: "DELETE" }),
    undo: { label: "Pin", request: () => ({ path: `pins/${inPath(name)}` }) },
  };
}

/** @param {{node: string, name: string, actors: string[]}} node */
export function drain({ node, name, actors }) {
  return {
    label: "Drain",
    title: `Drain ${name}?`,
    text: [
      `What runs on it (${actors.length ? actors.join(", ") : "nothing"}) moves to other nodes while everybody plays: shards hand over their chunks, gateways let their clients reconnect elsewhere.`,
      "Nothing new is placed on it until it is taken back.",
    ],
    danger: true,
    request: post(`nodes/${inPath(node)}/drain`),
    undo: { label: "Take back", request: post(`nodes/${inPath(node)}/undrain`) },
  };
}

export function undrain({ node, name }) {
  return {
    label: "Take back",
    title: `Take ${name} back?`,
    text: ["Shards and gateways may be placed on it again."],
    request: post(`nodes/${inPath(node)}/undrain`),
    undo: { label: "Drain", request: post(`nodes/${inPath(node)}/drain`) },
  };
}

// -- backups and checks --

export function backup() {
  return {
    label: "Back up",
    title: "Back up the world now?",
    text: ["A copy of world and database goes to the backup directory of the gateway that answers. The world goes on meanwhile."],
    fields: [{ name: "name", label: "Name", type: "text", most: 60, hint: "Left empty: the time." }],
    request: ({ name }) => ({ path: "backups", body: name ? { name } : {} }),
    later: "A backup takes room on the disk until you remove it there.",
  };
}

export function verify(name) {
  return {
    label: "Verify",
    title: `Verify ${name}?`,
    text: ["The backup is read whole and checked: whether it could be restored, and whether it holds together. Nothing in the world changes."],
    request: post(`backups/${inPath(name)}/verify`),
    later: "It changes nothing.",
  };
}

export function fsck() {
  return {
    label: "Check the world",
    title: "Check the running world?",
    text: ["Everything in Redis is compared with itself, read-only: every agent in one place, all gold accounted for. It costs Redis some work while it runs."],
    request: post("fsck"),
    later: "It changes nothing.",
  };
}

export function revokeOperator({ operator_id: id, name }) {
  return {
    label: "Revoke",
    title: `Revoke the token of ${name}?`,
    text: ["It is dead at once; its consoles are closed within 5 s. A new one is made with chunkcrawl operator create."],
    danger: true,
    request: post(`operators/${inPath(id)}/revoke`),
  };
}
