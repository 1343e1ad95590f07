// Agents, creatures and gold as they are drawn. No colour stands alone: an agent is round and bears a sign, a creature
// is a diamond with eyes, gold has six sides and bears how much is left.

import { withAlpha } from "./terrain.js";

const FULL = Math.PI * 2;
/** Half the angle of a band. */
const BAND = 0.96;

/** An agent's radius for cells of so many pixels. */
export function agentRadius(scale) {
  return Math.max(4.6, Math.min(scale * 0.5, 28));
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {{x: number, y: number}} at  Its middle, in pixels.
 * @param {import("./motion.js").Body} body
 * @param {import("../state/looks.js").Look} look
 */
export function drawAgent(ctx, at, scale, body, look, colours, now, smooth) {
  const { fill, ink } = look;
  const radius = agentRadius(scale);
  const { activity } = body.thing;
  const hop = smooth && activity === "harvesting" ? Math.abs(Math.sin(now / 180)) * radius * 0.22 : 0;
  shadow(ctx, at.x, at.y + radius * 0.75, radius * (1 - hop / radius / 2));
  const y = at.y - hop;
  if (activity === "moving" && (body.dx || body.dy)) beak(ctx, at.x, y, radius, Math.atan2(-body.dy, body.dx), fill, colours.outline);
  ctx.beginPath();
  ctx.arc(at.x, y, radius, 0, FULL);
  ctx.fillStyle = fill;
  ctx.fill();
  if (look.mark !== "plain") band(ctx, at.x, y, radius, look);
  ctx.beginPath();
  ctx.arc(at.x, y, radius, 0, FULL);
  ctx.lineWidth = Math.max(1.2, radius * 0.14);
  ctx.strokeStyle = colours.outline;
  ctx.stroke();
  if (radius >= 5.5) sign(ctx, look.sign, at.x, y, radius, ink, colours.font);
  if (activity === "harvesting") pick(ctx, at.x + radius * 0.95, y - radius * 0.95, radius * 0.62, colours);
}

/** Of the ring around who is chosen. */
export function choiceRadius(scale) {
  return agentRadius(scale) + Math.max(4, scale * 0.18);
}

/** Who is chosen: a ring that turns, and a mark above, so that it shows in any colours. */
export function drawChoice(ctx, at, scale, colours, now, smooth) {
  const radius = choiceRadius(scale);
  ctx.save();
  ctx.translate(at.x, at.y);
  ctx.strokeStyle = colours.ring;
  ctx.lineWidth = Math.max(2, scale * 0.1);
  ctx.setLineDash([radius * 0.9, radius * 0.45]);
  ctx.rotate(smooth ? now / 1400 : 0);
  ctx.beginPath();
  ctx.arc(0, 0, radius, 0, FULL);
  ctx.stroke();
  ctx.restore();
}

export function drawNpc(ctx, at, scale, body, colours) {
  const radius = Math.max(4.6, Math.min(scale * 0.5, 26));
  shadow(ctx, at.x, at.y + radius * 0.8, radius * 0.8);
  ctx.beginPath();
  ctx.moveTo(at.x, at.y - radius);
  ctx.lineTo(at.x + radius, at.y);
  ctx.lineTo(at.x, at.y + radius);
  ctx.lineTo(at.x - radius, at.y);
  ctx.closePath();
  ctx.fillStyle = colours.npc;
  ctx.fill();
  ctx.lineWidth = Math.max(1.2, radius * 0.14);
  ctx.strokeStyle = colours.outline;
  ctx.stroke();
  if (radius < 4.5) return;
  ctx.fillStyle = colours.npcInk;
  for (const side of [-1, 1]) {
    ctx.beginPath();
    ctx.arc(at.x + side * radius * 0.3 + body.dx * radius * 0.12, at.y - radius * 0.05 - body.dy * radius * 0.12, radius * 0.15, 0, FULL);
    ctx.fill();
  }
}

/** Light on the floor around gold that can be had. */
export function drawGlow(ctx, at, scale, node, colours) {
  if (node.remaining <= 0) return;
  const reach = scale * (1.6 + (1.2 * node.remaining) / Math.max(1, node.max));
  const light = ctx.createRadialGradient(at.x, at.y, 0, at.x, at.y, reach);
  light.addColorStop(0, withAlpha(colours.goldGlow, 0.3));
  light.addColorStop(1, withAlpha(colours.goldGlow, 0));
  ctx.fillStyle = light;
  ctx.fillRect(at.x - reach, at.y - reach, 2 * reach, 2 * reach);
}

export function drawGold(ctx, at, scale, node, colours) {
  const radius = Math.max(6, Math.min(scale * 0.62, 34));
  const spent = node.state !== "available" || node.remaining <= 0;
  hexagon(ctx, at, radius);
  if (spent) {
    ctx.fillStyle = withAlpha(colours.rock, 0.85);
    ctx.fill();
    ctx.setLineDash(node.state === "regenerating" ? [radius * 0.4, radius * 0.25] : []);
    ctx.strokeStyle = colours.spent;
    ctx.lineWidth = Math.max(1.4, radius * 0.16);
    ctx.stroke();
    ctx.setLineDash([]);
    return;
  }
  ctx.fillStyle = colours.gold;
  ctx.fill();
  ctx.lineWidth = Math.max(1.2, radius * 0.12);
  ctx.strokeStyle = colours.outline;
  ctx.stroke();
  // The lit facet.
  ctx.beginPath();
  ctx.moveTo(at.x - radius * 0.75, at.y - radius * 0.43);
  ctx.lineTo(at.x, at.y - radius * 0.87);
  ctx.lineTo(at.x + radius * 0.75, at.y - radius * 0.43);
  ctx.lineTo(at.x, at.y - radius * 0.05);
  ctx.closePath();
  ctx.fillStyle = colours.goldLight;
  ctx.fill();
  ctx.fillStyle = colours.goldInk;
  ctx.font = `700 ${Math.max(8, radius * 0.98)}px ${colours.font}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.fillText(String(node.remaining), at.x, at.y + radius * 0.06);
}

function hexagon(ctx, { x, y }, radius) {
  ctx.beginPath();
  for (let corner = 0; corner < 6; corner += 1) {
    const angle = (corner * Math.PI) / 3 - Math.PI / 2;
    ctx.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  }
  ctx.closePath();
}

function shadow(ctx, x, y, radius) {
  ctx.fillStyle = "rgb(0 0 0 / .28)";
  ctx.beginPath();
  ctx.ellipse(x, y, radius * 0.9, radius * 0.36, 0, 0, FULL);
  ctx.fill();
}

function beak(ctx, x, y, radius, angle, fill, outline) {
  ctx.save();
  ctx.translate(x, y);
  ctx.rotate(angle);
  ctx.beginPath();
  ctx.moveTo(radius * 1.55, 0);
  ctx.lineTo(radius * 0.75, radius * 0.6);
  ctx.lineTo(radius * 0.75, -radius * 0.6);
  ctx.closePath();
  ctx.fillStyle = fill;
  ctx.fill();
  ctx.lineJoin = "round";
  ctx.lineWidth = Math.max(1.2, radius * 0.14);
  ctx.strokeStyle = outline;
  ctx.stroke();
  ctx.restore();
}

/** The segment of the circle above or below its sign. */
function band(ctx, x, y, radius, { mark, ink }) {
  const middle = mark === "cap" ? -Math.PI / 2 : Math.PI / 2;
  ctx.beginPath();
  ctx.arc(x, y, radius, middle - BAND, middle + BAND);
  ctx.closePath();
  ctx.fillStyle = ink;
  ctx.fill();
}

function sign(ctx, text, x, y, radius, ink, font) {
  ctx.fillStyle = ink;
  ctx.font = `700 ${radius * (text.length > 1 ? 1.05 : 1.25)}px ${font}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.fillText(text, x, y + radius * 0.08);
}

/** A small pickaxe. */
function pick(ctx, x, y, size, colours) {
  ctx.strokeStyle = colours.label;
  ctx.lineCap = "round";
  ctx.lineWidth = Math.max(1.2, size * 0.28);
  ctx.beginPath();
  ctx.moveTo(x - size * 0.6, y + size * 0.6);
  ctx.lineTo(x + size * 0.5, y - size * 0.5);
  ctx.moveTo(x - size * 0.1, y - size * 0.75);
  ctx.quadraticCurveTo(x + size * 0.75, y - size * 0.75, x + size * 0.75, y + size * 0.1);
  ctx.stroke();
  ctx.lineCap = "butt";
}
