// @ts-check
/** Tell how a run of ours has ended. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { idOf, placedNodes } from "./graph_part.mjs";
import { notice } from "./notices.mjs";
import { words } from "./words.mjs";

const DELIVERING = new Set([
  "KlingOnce_MotionControl",
  "KlingOnce_CollectMotionControl",
  "KlingOnce_FetchTask",
]);

/**
 * Say when a video is there to those who look elsewhere, and to everybody what went wrong: ComfyUI's own
 * notice says no more than that a node failed.
 */
export function tellEnds() {
  /** @type {Set<string>} prompts that delivered a video */
  const delivered = new Set();
  api.addEventListener("executed", (/** @type {any} */ event) => {
    const { node, output, prompt_id } = event.detail ?? {};
    if (output?.images?.length && isDelivering(String(node))) delivered.add(prompt_id);
  });
  api.addEventListener("execution_success", (/** @type {any} */ event) => {
    if (delivered.delete(event.detail?.prompt_id) && document.hidden) notice("success", words("end.done"));
  });
  api.addEventListener("execution_error", (/** @type {any} */ event) => {
    delivered.delete(event.detail?.prompt_id);
    if (String(event.detail?.node_type ?? "").startsWith("KlingOnce_")) {
      notice("error", (event.detail.exception_message ?? "").trim(), { stays: true });
    }
  });
}

/** @param {string} id */
function isDelivering(id) {
  const placed = placedNodes(app.rootGraph ?? app.graph).find((one) => idOf(one) === id);
  return DELIVERING.has(placed?.node.comfyClass);
}
