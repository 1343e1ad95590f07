// The README's explorer in JavaScript: ten new chunks, 100 gold, and home again.

import { Agent, defaultBase } from "../sdk-js/src/index.js"; // elsewhere: npm install ./sdk-js, and from "chunkcrawl"

const apiKey = process.env.CHUNKCRAWL_API_KEY;
const me = await Agent.connect(defaultBase(), { agentId: "scout-3", apiKey });
me.on("chat", (said) => console.log(`${said.from}: ${said.text}`));
const { x, y } = me.view.nextFree(me.position.x, me.position.y);
const home = me.chunkId;
const timeoutMs = 1_200_000;
console.log(String(await me.explore(10, { timeoutMs })));
console.log(String(await me.harvestNearest(100, { explore: true, timeoutMs })));
console.log(String(await me.goTo(home, x, y, { timeoutMs })));
console.log(me.map.chunks.size, "chunks known,", me.view.inventoryGold, "gold owned");
await me.close();
