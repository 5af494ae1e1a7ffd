// @ts-check
/**
 * The player that ComfyUI's page adds to a node with a video: it would enter the prompt as an input that nobody
 * asked for, and make of the same order another graph, run again and no longer known as paid.
 */

import { app } from "../../scripts/app.js";
import { placedNodes } from "./graph_part.mjs";

const PLAYER = "video-preview";

/** Keep the players of our nodes out of every prompt that somebody queues. */
export function keepPlayersOut() {
  // before a press of Run becomes a click
  document.addEventListener("pointerup", keepOut, { passive: true, capture: true });
  document.addEventListener("keydown", keepOut, { passive: true, capture: true });
}

/** Keep out those that are there now. */
export function keepOut() {
  for (const { node } of placedNodes(app.rootGraph ?? app.graph)) {
    if (!String(node.comfyClass ?? "").startsWith("KlingOnce_")) continue;
    const player = node.widgets?.find((/** @type {any} */ one) => one.name === PLAYER);
    if (player?.options) player.options.serialize = false;
  }
}
