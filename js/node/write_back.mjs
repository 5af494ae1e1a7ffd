// @ts-check
/** Write the settings of a Check node into a Motion Control node. */

/** @import { LGraphNode } from "../shared/host.mjs" */

import { showToast } from "../shared/dialogs.mjs";
import { app } from "../shared/host.mjs";
import { t } from "../shared/i18n.mjs";
import { isOrdering } from "./check.mjs";

const CHECK = "KlingOnce_CheckMotionControl";

/**
 * Whether the node only checks, so that its settings may be wanted elsewhere.
 * @type {(node: LGraphNode) => boolean}
 */
export const isCheck = (node) => node.comfyClass === CHECK;

/**
 * Write a node's settings into the selected node that orders, or into the only one of its graph. Where there is
 * none, one is added beside it. What is wired into the check is wired there as well.
 * @param {LGraphNode} check
 */
export function writeBack(check) {
  const orders = (check.graph?.nodes ?? []).filter((node) => isOrdering(node) && !isCheck(node));
  const selected = orders.filter((node) => Object.values(app.canvas.selected_nodes).includes(node));
  const candidates = selected.length ? selected : orders;
  if (candidates.length > 1) return showToast("info", t("check.target"));
  const target = candidates[0] ?? added(check);
  if (!target) return undefined;
  for (const [name, value] of values(check)) setValue(target, name, value); // the first may add inputs
  copyLinks(check, target);
  document.dispatchEvent(new Event("change"));
  app.canvas.setDirty(true, true);
  return showToast("success", t("check.written", { title: target.title }));
}

/** @param {LGraphNode} check */
function added(check) {
  const node = LiteGraph.createNode("KlingOnce_MotionControl");
  if (!node) return undefined;
  node.pos = [check.pos[0] + check.size[0] + 60, check.pos[1]];
  check.graph?.add(node);
  return node;
}

/**
 * @param {LGraphNode} node
 * @returns {[string, unknown][]}
 */
function values(node) {
  const own = (node.widgets ?? []).filter(({ options }) => options?.serialize !== false);
  return own.map(({ name, value }) => [name, value]);
}

/**
 * @param {LGraphNode} node
 * @param {string} name
 * @param {unknown} value
 */
function setValue(node, name, value) {
  const widget = node.widgets?.find((one) => one.name === name);
  if (!widget || widget.value === value || widget.options?.serialize === false) return;
  widget.value = /** @type {typeof widget.value} */ (value);
  widget.callback?.(value);
}

/**
 * @param {LGraphNode} from
 * @param {LGraphNode} to
 */
function copyLinks(from, to) {
  for (const input of from.inputs) {
    const link = from.graph?.getLink(input.link);
    const origin = link && from.graph?.getNodeById(link.origin_id);
    const slot = to.inputs.findIndex(({ name }) => name === input.name);
    if (origin && slot >= 0) origin.connect(link.origin_slot, to, slot);
  }
}
