// @ts-check
/** The text that ComfyUI shows under a node while it runs: in the page's language, and never left behind. */

import { api } from "../shared/host.mjs";
import { sayText, t } from "../shared/i18n.mjs";
import { allNodes, executionId, isOurs } from "./graph.mjs";

/** The widget that shows it. */
const TEXT = "$$node-text-preview";
const ENDS = /** @type {const} */ (["execution_start", "execution_success", "execution_error", "execution_interrupted"]);

/** Say the texts of our nodes in the page's language; say of a node that is cut off that it is. */
export function watchTexts() {
  /** @type {Set<string>} execution ids of nodes that run and have said something */
  const running = new Set();
  api.addEventListener("progress_text", ({ detail: { nodeId, text } }) => {
    const id = String(nodeId);
    running.add(id);
    queueMicrotask(() => replaceText(id, text, sayText(text))); // ComfyUI's own listener may come later
  });
  /** @type {Set<string>} execution ids of nodes that this run has begun */
  const begun = new Set();
  api.addEventListener("executing", ({ detail }) => {
    const id = String(detail);
    if (detail === null || begun.has(id)) return;
    begun.add(id);
    removeText(id); // not every node says something again, and how an earlier run ended is no news any more
  });
  api.addEventListener("progress_state", ({ detail: { nodes } }) => {
    for (const [id, { state }] of Object.entries(nodes)) if (state === "finished") running.delete(id);
  });
  for (const end of ENDS)
    api.addEventListener(end, () => {
      running.clear();
      begun.clear();
    });
  // the server may have been restarted; where the run still goes on, its next text comes within a second
  api.addEventListener("reconnected", () => {
    for (const id of running) replaceText(id, null, t("end.cut_off"));
  });
}

/**
 * @param {string} id of execution
 * @param {string | null} from the text that is replaced; null for whatever there is
 * @param {string} to
 */
function replaceText(id, from, to) {
  const { widget } = shownAt(id);
  if (widget && (from === null || widget.value === from)) widget.value = to;
}

/** @param {string} id of execution */
function removeText(id) {
  const { node, widget } = shownAt(id);
  if (widget) node?.removeWidget(widget);
}

/** @param {string} id of execution */
function shownAt(id) {
  const node = allNodes().find((one) => executionId(one) === id && isOurs(one.node))?.node;
  return { node, widget: node?.widgets?.find(({ name }) => name === TEXT) };
}
