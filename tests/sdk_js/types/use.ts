// Checked by tsc, never run: what a user may write, and what the declarations must refuse.

import {
  Agent,
  Api,
  Blocked,
  ChunkcrawlError,
  NoWay,
  readHistory,
  Session,
  TimedOut,
  Unreachable,
  Watcher,
  WorldMap,
} from "chunkcrawl";
import type { Cell, ChunkDelta, Completed, GoldNode, WatcherOptions } from "chunkcrawl";

export async function play(apiKey: string, signal: AbortSignal): Promise<number> {
  const map = WorldMap.from(JSON.parse("{}"));
  const me = await Agent.connect("http://127.0.0.1:8000", { agentId: "scout-1", apiKey, map, awayTimeoutMs: null });
  const stop = me.on("chat", (said) => said.text.toUpperCase());
  me.on("chunk_delta", (delta: ChunkDelta) => delta.agents.length);
  me.on("*", (event) => event.server_ts_ms);
  me.on("resource_harvest", (happened) => happened["amount"]);
  stop();
  try {
    const done: Completed = await me.moveTo(25, 30, { timeoutMs: 20_000, signal });
    const cell: Cell | null = me.position;
    const found: { node: GoldNode; cell: Cell } | null = me.view.nearestGold();
    if (found) await me.harvest(found.node);
    const outcome = await me.explore(2);
    if (outcome instanceof NoWay || outcome instanceof TimedOut) return outcome.x;
    return outcome.found.length + (done.endedTick ?? 0) + (cell?.x ?? 0);
  } catch (error) {
    if (error instanceof Unreachable) return error.blockedAt?.x ?? 0;
    if (error instanceof Blocked) return error.blocker?.x ?? 0;
    if (error instanceof ChunkcrawlError && error.mayPass) return 0;
    throw error;
  } finally {
    await me.close();
  }
}

export async function watch(options: WatcherOptions): Promise<void> {
  const watcher = Watcher.chunk("http://127.0.0.1:8000", "chunk-0", options);
  for await (const event of watcher.events()) {
    if (event.type === "chunk_delta") console.log(event.tick, watcher.view.agents.get("ada")?.activity);
    if (event.type === "command_result" && event.status === "failed") break;
  }
}

export async function account(api: Api): Promise<Session> {
  const { account_token } = await api.signup("me@example.org", "long enough");
  const key = await api.createKey({ auth: account_token });
  await api.listKeys({ auth: ["me@example.org", "long enough"] });
  return api.openSession(key.api_key, "agent", "scout-1");
}

export async function mistakes(me: Agent, api: Api, session: Session): Promise<void> {
  // @ts-expect-error neither key nor session
  await Agent.connect("http://127.0.0.1:8000", { agentId: "scout-1" });
  // @ts-expect-error not by hand
  new Agent(api, session);
  // @ts-expect-error cells are numbers
  await me.moveTo("25", 30);
  // @ts-expect-error seconds are Python's
  await me.say("hello", { timeoutS: 3 });
  // @ts-expect-error the view is the SDK's to write
  me.view.tick = 5;
  // @ts-expect-error no such role
  await api.openSession("dcw_x", "player");
  // @ts-expect-error a session's secrets are its own
  session.token = "sess_x";
}

export async function past(me: Agent, api: Api): Promise<string[]> {
  const kinds: string[] = [];
  for await (const entry of me.history({ kinds: ["harvest"], since: new Date(0) })) kinds.push(entry.kind);
  for await (const entry of readHistory(api, "scout-2", "dcw_x", { limit: 5 })) kinds.push(String(entry.details["text"]));
  const outcome = await me.follow("guide", { distance: 1, timeoutMs: 1_000 });
  kinds.push(outcome.agentId);
  const watcher = Watcher.owner("http://127.0.0.1:8000", "scout-1", { fromTick: new Date(), speed: 8 });
  for await (const event of watcher.events()) if (event.type === "playback") kinds.push(event.state);
  return kinds;
}
