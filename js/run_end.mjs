// @ts-check
/** Tell those who look elsewhere that a run is over. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { idOf, placedNodes } from "./graph_part.mjs";
import { notice } from "./notices.mjs";
import { words } from "./words.mjs";

const DELIVERING = new Set([
  "KlingDirect_MotionControl",
  "KlingDirect_CollectMotionControl",
  "KlingDirect_FetchTask",
]);

/** Say when a run of ours ends while the page is in the background. */
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
    if (String(event.detail?.node_type ?? "").startsWith("KlingDirect_") && document.hidden) {
      notice("error", words("end.failed", { message: event.detail.exception_message ?? "" }));
    }
  });
}

/** @param {string} id */
function isDelivering(id) {
  const placed = placedNodes(app.rootGraph ?? app.graph).find((one) => idOf(one) === id);
  return DELIVERING.has(placed?.node.comfyClass);
}
