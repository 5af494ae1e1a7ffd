// @ts-check
/** Elements at nodes: the list of Kling Once Element, the button that opens the library, and putting one in. */

/**
 * @import { LGraphNode } from "../shared/host.mjs"
 * @import { Account, LibraryElement } from "../../types/server.ts"
 */

import { showToast } from "../shared/dialogs.mjs";
import { api, app } from "../shared/host.mjs";
import { t } from "../shared/i18n.mjs";
import { listElements, onJobEvent } from "../shared/server.mjs";
import { allNodes } from "./graph.mjs";

const CHOOSER = "KlingOnce_Element";
const NONE = "none";
/** Sent within the page when an element was deleted. */
const ELEMENTS_EVENT = "kling_once.elements";
const MOST_CHOICES = 1000;
const DEBOUNCE_MS = 300;

/** @type {WeakSet<LGraphNode>} nodes that have what this module gives them */
const prepared = new WeakSet();

/**
 * Give a node what it needs for elements: a filled list, or a button beside its element_id.
 * @param {LGraphNode} node
 * @param {(account: Account) => void} open shows the library of an account
 */
export function prepareNode(node, open) {
  if (prepared.has(node)) return;
  if (node.comfyClass === CHOOSER) {
    prepared.add(node);
    for (const name of ["service", "profile"]) refillOnChange(node, name);
    void fill(node);
  } else if (widgetOf(node, "element_id")) {
    prepared.add(node);
    const choose = () => {
      app.canvas.selectNode(node, false);
      open(accountOf(node));
    };
    const widget = node.addWidget("button", "kling_once_choose_element", "", choose, { serialize: false });
    widget.label = t("elements.choose");
    widget.serialize = false;
  }
}

/** Fill the lists again whenever the library may have changed. */
export function watchElements() {
  let timer = 0;
  const refill = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      for (const { node } of allNodes()) if (node.comfyClass === CHOOSER) void fill(node);
    }, DEBOUNCE_MS);
  };
  api.addCustomEventListener(ELEMENTS_EVENT, refill);
  onJobEvent(({ state }) => ["kept", "elements"].includes(state) && refill());
}

/** Tell the page that an element was deleted. */
export function announceElementsChanged() {
  /** @type {EventTarget} */ (api).dispatchEvent(new CustomEvent(ELEMENTS_EVENT));
}

/**
 * Put an element into the selected node.
 * @param {LibraryElement} element
 * @param {Account} account that has it
 */
export function useElement(element, account) {
  const selected = Object.values(app.canvas.selected_nodes);
  const found = selected.filter((node) => widgetOf(node, "element_id") ?? node.comfyClass === CHOOSER);
  for (const node of found) {
    if (node.comfyClass === CHOOSER) {
      for (const [name, value] of Object.entries(account)) setWidget(node, name, value);
      setWidget(node, "element", choiceOf(element));
    } else {
      setWidget(node, "element_id", element.element_id);
    }
  }
  app.canvas.setDirty(true, true);
  if (found.length) showToast("success", t("elements.used", { name: element.name }));
  else showToast("info", t("elements.select"));
}

/**
 * @param {LGraphNode} node
 * @returns {Promise<void>}
 */
async function fill(node) {
  const account = accountOf(node);
  const query = { ...account, search: "", offset: 0, limit: MOST_CHOICES, is_fresh: false };
  const answers = await Promise.all([
    listElements({ ...query, of: "own" }).catch(() => null),
    listElements({ ...query, of: "presets" }).catch(() => null),
  ]);
  const now = accountOf(node);
  if (now.service !== account.service || now.profile !== account.profile) return;
  const widget = widgetOf(node, "element");
  if (!widget) return;
  const choices = answers.flatMap((answer) => answer?.elements ?? []).map(choiceOf);
  widget.options.values = [NONE, ...choices];
  node.setDirtyCanvas(true, true);
}

/**
 * What a choice of the list says: the number at its end counts.
 * @type {(element: LibraryElement) => string}
 */
const choiceOf = ({ name, element_id }) => `${name} | ${element_id}`;

/**
 * @param {LGraphNode} node
 * @param {string} name of the widget whose changes make another list
 */
function refillOnChange(node, name) {
  const widget = widgetOf(node, name);
  if (!widget) return;
  const before = widget.callback;
  widget.callback = (/** @type {any[]} */ ...values) => {
    void fill(node);
    return /** @type {any} */ (before)?.apply(widget, values);
  };
}

/**
 * @param {LGraphNode} node
 * @returns {Account}
 */
function accountOf(node) {
  const service = widgetOf(node, "service")?.value === "kling" ? "kling" : "sandbox";
  return { service, profile: String(widgetOf(node, "profile")?.value ?? "") };
}

/**
 * @param {LGraphNode} node
 * @param {string} name
 */
function widgetOf(node, name) {
  return node.widgets?.find((one) => one.name === name);
}

/**
 * @param {LGraphNode} node
 * @param {string} name
 * @param {string} value
 */
function setWidget(node, name, value) {
  const widget = widgetOf(node, name);
  if (!widget) return;
  const { values } = widget.options ?? {};
  if (Array.isArray(values) && !values.includes(value)) widget.options.values = [...values, value];
  widget.value = value;
  widget.callback?.(value);
}
