// The agent that somebody has clicked on, in a card on the map.

import { byId, setText } from "../dom.js";
import { agentSign } from "../map/palette.js";
import { paintToken } from "./agent_list.js";
import { ACTIVITIES } from "./words.js";

export class ChosenCard {
  #card = byId("chosen");
  #agentId = null;
  #canFollow;

  /**
   * @param {(agentId: string) => void} follow
   * @param {() => void} letGo
   * @param {(agentId: string) => boolean} canFollow
   */
  constructor(follow, letGo, canFollow) {
    this.#canFollow = canFollow;
    byId("chosen-follow").addEventListener("click", () => follow(this.#agentId));
    byId("chosen-close").addEventListener("click", letGo);
  }

  /** @param {string | null} agentId  @param {import("../state/mirror.js").Mirror} mirror */
  show(agentId, mirror) {
    this.#agentId = agentId;
    this.#card.hidden = agentId === null;
    if (agentId === null) return;
    const name = mirror.agents.get(agentId)?.name ?? agentId;
    const token = byId("chosen-token");
    paintToken(token, agentId);
    setText(token, agentSign(name));
    setText(byId("chosen-name"), name);
    byId("chosen-follow").hidden = !this.#canFollow(agentId);
    this.update(mirror);
  }

  update(mirror) {
    if (this.#agentId === null) return;
    const agent = mirror.agents.get(this.#agentId);
    setText(byId("chosen-doing"), agent ? `${ACTIVITIES[agent.activity] ?? agent.activity} · ${agent.x}, ${agent.y}` : "not in this chunk");
  }
}
