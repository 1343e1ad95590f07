// What a look at a chunk shows of it, now or then: map, agents, doors, news, and a curtain where there is nothing to see.

import { byId, setText } from "./dom.js";
import { AccessNeeded } from "./net/sessions.js";
import { toAgent, toChunk } from "./route.js";
import { summaryOf } from "./ui/agent_list.js";
import { drawCurtain, openCurtain } from "./ui/curtain.js";
import { counted, reasonText } from "./ui/words.js";

const SAID_MAX_CHARS = 400;

export class Scene {
  #parts;
  #terrain = "";
  /** The chunks whose news are shown. */
  #visited = new Set();
  /** The ways out that are shown. */
  #beside = "";

  /** @param {object} parts  See main.js. */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Another look begins. @param {import("./state/news.js").News} news  What it shows of what happened. */
  begin(news) {
    this.#visited.clear();
    this.#beside = "";
    this.#parts.newsList.use(news);
  }

  /** Nothing is shown: no map, nobody, no gold, no news; and why. */
  blank(worldView, agentId, title, facts) {
    const { stage, agentList, newsList, chosenCard, doors, world, trails, neighbours } = this.#parts;
    worldView.clear();
    stage.chosen = agentId;
    this.#terrain = "";
    this.#visited.clear();
    this.#beside = "";
    trails.enter(null);
    neighbours.show({});
    stage.setTerrain([]);
    stage.setTarget(null);
    stage.update(worldView, true);
    agentList.update(worldView, stage.chosen);
    newsList.of(this.#visited, null);
    chosenCard.show(null, worldView);
    doors.update(worldView, this.#parts.agentsIn);
    world.current = null;
    setText(byId("chunk-name"), title);
    setText(byId("chunk-facts"), facts);
    setText(byId("summary"), `${title}: ${facts}.`);
    document.title = `${title} · Chunkcrawl`;
  }

  /** The chunk itself is known. @returns {boolean} Whether its terrain was not shown before. */
  chunk(worldView, title) {
    const { stage, world, newsList } = this.#parts;
    openCurtain();
    this.#visited.add(worldView.chunkId);
    newsList.of(this.#visited, worldView.chunkId);
    const terrain = `${worldView.chunkId} ${worldView.grid.map((row) => row.join("")).join()}`;
    const isNew = terrain !== this.#terrain;
    if (isNew) {
      this.#terrain = terrain;
      stage.setTerrain(worldView.grid);
    }
    world.current = worldView.chunkId;
    setText(byId("chunk-name"), worldView.chunkId);
    document.title = `${title} · Chunkcrawl`;
    this.ways(worldView);
    return isNew;
  }

  /**
   * Who and what moves.
   * @param {boolean} jump  Nothing came here from anywhere.
   * @param {{agents: object[], npcs: object[]}[]} ways  Where it was before nevertheless, oldest first.
   */
  moving(worldView, jump, ways = []) {
    const { stage, looks, agentList, chosenCard } = this.#parts;
    looks.update(worldView.agents.values());
    stage.update(worldView, jump, ways);
    agentList.update(worldView, stage.chosen);
    chosenCard.update(worldView);
    setText(byId("chunk-facts"), factsOf(worldView));
    setText(byId("summary"), summaryOf(worldView));
  }

  /** The ways out. */
  ways(worldView) {
    const { doors, stage, neighbours } = this.#parts;
    doors.update(worldView, this.#parts.agentsIn);
    doors.place(stage.camera);
    const beside = `${worldView.chunkId} ${JSON.stringify(worldView.neighbors)}`;
    if (beside === this.#beside) return;
    this.#beside = beside;
    neighbours.show(worldView.neighbors);
  }

  /** Show on the map what happens at this moment. @returns {string} What is to be read aloud, or "". */
  play(event, worldView) {
    const { looks, stage } = this.#parts;
    const agent = (id) => worldView.agents.get(id);
    if (event.type === "chat") {
      const [who, text] = [looks.of(String(event.from)).full, String(event.text).slice(0, SAID_MAX_CHARS)];
      stage.say(event.from, who, text);
      return `${who} says: ${text}`;
    }
    if (event.type === "blocked" && event.at) {
      stage.mark("blocked", event.at, agent(event.agent_id));
    } else if (event.type === "resource_harvest" && worldView.nodes.has(event.node_id)) {
      stage.mark("gold", worldView.nodes.get(event.node_id));
    } else if (event.type === "agent_joined" && agent(event.agent_id)) {
      stage.mark("joined", agent(event.agent_id));
    }
    return "";
  }

  /** The server refuses. @param {Error} error  @param {string} wanted  What was asked for.  @param {string | null} agentId */
  refused(error, worldView, wanted, agentId) {
    const { connection, access, sessions, followPanel, announcer } = this.#parts;
    connection.show("stopped");
    const reason = error instanceof AccessNeeded ? error.why : error.reason;
    if (error instanceof AccessNeeded || error.status === 401) {
      this.blank(worldView, agentId, wanted, "access needed");
      const choices = [["Give a token or key", () => access.open(reason)]];
      if (sessions.agentId && sessions.agentId !== agentId) {
        choices.push([`Follow ${sessions.agentId}`, () => toAgent(sessions.agentId)]);
      }
      drawCurtain("Access needed", reason ? reasonText(reason) : "This world wants to know who watches.", choices);
      access.open(reason);
      return;
    }
    this.blank(worldView, agentId, wanted, error.status === 404 ? "does not exist" : "can't be shown");
    if (agentId !== null) followPanel.refuse(agentId, reasonText(reason));
    const title = agentId === null ? `${wanted} is not there` : `${agentId} can't be followed`;
    drawCurtain(title, reasonText(reason), [
      ["Watch chunk-0", () => toChunk("chunk-0")],
      ["Try again", this.#parts.reopen],
    ]);
    announcer.say(`${title}. ${reasonText(reason)}`);
  }
}

function factsOf(worldView) {
  return [counted(worldView.agents.size, "agent"), counted(worldView.npcs.size, "creature"), `${worldView.gold} gold`].join(" · ");
}
