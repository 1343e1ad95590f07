// The agent that somebody has clicked on, in a card on the map.

import { byId, setText } from "../dom.js";
import { toAbout } from "../route.js";
import { paintToken } from "./token.js";
import { activityText } from "./words.js";

export class ChosenCard {
  #card = byId("chosen");
  #agentId = null;
  #looks;
  #canFollow;

  /**
   * @param {import("../state/looks.js").Looks} looks
   * @param {(agentId: string) => void} follow
   * @param {() => void} letGo
   * @param {(agentId: string) => boolean} canFollow
   */
  constructor(looks, follow, letGo, canFollow) {
    this.#looks = looks;
    this.#canFollow = canFollow;
    byId("chosen-follow").addEventListener("click", () => follow(this.#agentId));
    byId("chosen-about").addEventListener("click", () => toAbout(this.#agentId));
    byId("chosen-close").addEventListener("click", letGo);
  }

  /** @param {string | null} agentId  @param {import("../../../sdk/index.js").WorldView} worldView */
  show(agentId, worldView) {
    this.#agentId = agentId;
    this.#card.hidden = agentId === null;
    if (agentId === null) return;
    byId("chosen-follow").hidden = !this.#canFollow(agentId);
    this.update(worldView);
  }

  update(worldView) {
    if (this.#agentId === null) return;
    const agent = worldView.agents.get(this.#agentId);
    const look = this.#looks.of(this.#agentId);
    paintToken(byId("chosen-token"), look);
    setText(byId("chosen-name"), look.full);
    setText(byId("chosen-doing"), agent ? `${activityText(agent.activity)} · ${agent.x}, ${agent.y}` : "not in this chunk");
  }
}
