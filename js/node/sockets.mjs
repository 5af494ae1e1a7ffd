// @ts-check
/** Names of the sockets that come with a choice, which ComfyUI's page shows in English in every language. */

/** @import { LGraphNode } from "../shared/host.mjs" */

import { hasOwnWords, t } from "../shared/i18n.mjs";

/**
 * Name a node's sockets as its widgets are named.
 * @param {LGraphNode} node
 */
export function nameSockets(node) {
  for (const input of node.inputs) {
    if (!input.name.includes(".")) continue;
    const name = `nodes.${node.comfyClass}.inputs.${input.name.replaceAll(".", "_")}.name`;
    if (!hasOwnWords(name)) continue;
    input.localized_name = t(name);
    // shown before the localized name; ComfyUI sets it to the English one, and keeps it in workflows
    if (input.label === input.name.split(".").at(-1)) delete input.label;
  }
}
