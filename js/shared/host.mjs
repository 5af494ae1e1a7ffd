// @ts-check
/** ComfyUI's page. This module alone imports from it, and types what its published types leave open. */

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";

export { api, app };

/**
 * @typedef {typeof app.rootGraph} LGraph
 * @typedef {NonNullable<ReturnType<LGraph["getNodeById"]>>} LGraphNode
 * @typedef {Extract<LGraph["nodes"][number], { subgraph: unknown }>} SubgraphNode
 */

/**
 * @typedef {{ title: string, message: string }} Question
 * @typedef {object} Dialogs
 * @property {(question: Question) => Promise<boolean | null>} confirm
 * @property {(question: Question & { defaultValue: string }) => Promise<string | null>} prompt
 */

/** @returns {Dialogs} modal dialogs, which answer null when they are closed without a choice */
export function dialogs() {
  return app.extensionManager.dialog;
}

/**
 * Put an element on a node: above its widgets, in Nodes 2.0 below them. It is no value: no workflow and no
 * prompt holds it.
 * @param {LGraphNode} node
 * @param {HTMLElement} element
 * @returns {() => void} gives the node the height that the element needs; call it after every change
 */
export function addStrip(node, element) {
  const holder = document.createElement("div");
  holder.className = "kling-once-strip-holder";
  holder.append(element);
  let height = 0;
  const options = { serialize: false, hideOnZoom: false, margin: 6, getMinHeight: () => height, getMaxHeight: () => height };
  const widget = /** @type {any} */ (node).addDOMWidget("kling_once_strip", "kling_once_strip", holder, options);
  widget.serialize = false;
  // shown first, where it is seen on a small screen, but kept last: workflows save widgets by their place
  const layout = node.getLayoutWidgets.bind(node);
  node.getLayoutWidgets = () => [widget, ...layout().filter((one) => one !== widget)];
  const fit = () => {
    const needed = element.childElementCount ? element.offsetHeight + 2 * options.margin : 0;
    if (needed === height || (element.childElementCount && !element.offsetHeight)) return;
    const spare = Math.max(0, node.size[1] - node.computeSize()[1]);
    height = needed;
    node.setSize([node.size[0], node.computeSize()[1] + spare]);
    node.setDirtyCanvas(true, true);
  };
  new ResizeObserver(fit).observe(element);
  return fit;
}
