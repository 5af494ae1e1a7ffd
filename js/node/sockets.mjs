// @ts-check
/** Names of the sockets that come with a choice, which ComfyUI's page shows in English in every language. */

/** @import { LGraphNode } from "../shared/host.mjs" */

import { hasOwnWords, t } from "../shared/i18n.mjs";

/** What ComfyUI calls an input among the kinds of slots. */
const INPUT = 1;

/**
 * Name a node's sockets as its widgets are named.
 * @param {LGraphNode} node
 */
export function nameSockets(node) {
  let isChanged = false;
  for (const input of node.inputs) {
    if (!input.name.includes(".")) continue;
    const name = `nodes.${node.comfyClass}.inputs.${input.name.replaceAll(".", "_")}.name`;
    if (!hasOwnWords(name)) continue;
    // shown before the localized name; ComfyUI sets it to the English one, and keeps it in workflows
    const isEnglish = input.label === input.name.split(".").at(-1);
    if (isEnglish) delete input.label;
    isChanged ||= isEnglish || input.localized_name !== t(name);
    input.localized_name = t(name);
  }
  if (isChanged) node.graph?.trigger("node:slot-label:changed", { nodeId: node.id, slotType: INPUT }); // Nodes 2.0
}
