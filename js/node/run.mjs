// @ts-check
/** What the page does around a run: keep ComfyUI's video players out of the prompt, and tell how it ended. */

import { showStandingError, showToast } from "../shared/dialogs.mjs";
import { api } from "../shared/host.mjs";
import { sayText, t } from "../shared/i18n.mjs";
import { allNodes, executionId, isOurs } from "./graph.mjs";

/** The widget in which ComfyUI's page shows a node's video. */
const PLAYER = "video-preview";
/** Nodes whose output is a finished video. */
const DELIVERING = new Set([
  "KlingOnce_MotionControl",
  "KlingOnce_CollectMotionControl",
  "KlingOnce_FetchTask",
]);

/**
 * Leave the players of our nodes out of every prompt that is queued from now on. A player would be one more
 * input: the same order would look like another graph, run again, and not be shown as paid.
 */
export function watchPlayers() {
  // both come before a press of Run becomes a click
  document.addEventListener("pointerup", keepPlayersOut, { passive: true, capture: true });
  document.addEventListener("keydown", keepPlayersOut, { passive: true, capture: true });
}

/** Leave the players that are there now out of the prompt. */
export function keepPlayersOut() {
  for (const { node } of allNodes()) {
    const player = isOurs(node) && node.widgets?.find(({ name }) => name === PLAYER);
    if (player) player.options.serialize = false;
  }
}

/**
 * Tell how a run ended if nobody looks at the page: that it has delivered a video, or why one of our nodes has
 * failed. Who looks at it reads that on the node. What failed is no news any more once a run succeeds.
 */
export function watchRuns() {
  /** @type {Set<string>} ids of prompts that have delivered a video */
  const delivered = new Set();
  let forgetFailure = () => {};
  api.addEventListener("executed", ({ detail: { node, output, prompt_id } }) => {
    // a node that comes from ComfyUI's cache may have no output
    if (output?.images?.length && isDelivering(String(node))) delivered.add(prompt_id);
  });
  api.addEventListener("execution_success", ({ detail: { prompt_id } }) => {
    forgetFailure();
    if (delivered.delete(prompt_id) && document.hidden) showToast("success", t("end.done"));
  });
  api.addEventListener("execution_error", ({ detail: { prompt_id, node_type, exception_message } }) => {
    delivered.delete(prompt_id);
    if (!document.hidden || !node_type.startsWith("KlingOnce_")) return;
    forgetFailure();
    forgetFailure = showStandingError(sayText(exception_message));
  });
}

/** @param {string} id an execution id */
function isDelivering(id) {
  const placed = allNodes().find((one) => executionId(one) === id);
  return DELIVERING.has(placed?.node.comfyClass ?? "");
}
