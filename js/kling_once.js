// @ts-check
/** Kling Once in ComfyUI's page: commands, the sidebar tab, keys in the settings, strips on nodes. */

/**
 * @import { Settings } from "@comfyorg/comfyui-frontend-types"
 * @import { LGraphNode } from "./shared/host.mjs"
 * @import { PlacedNode } from "./node/graph.mjs"
 * @import { Account } from "../types/server.ts"
 */

import { check, isOrdering, orderingNodes } from "./node/check.mjs";
import { prepareNode, watchElements } from "./node/elements.mjs";
import { allNodes, isActive, isOurs } from "./node/graph.mjs";
import { sayNotes } from "./node/notes.mjs";
import { Remedies } from "./node/remedies.mjs";
import { watchPlayers, watchRuns } from "./node/run.mjs";
import { NodeStrips } from "./node/strips.mjs";
import { watchTexts } from "./node/texts.mjs";
import { KeysPanel } from "./settings/keys_panel.mjs";
import { showToast, withErrorToast } from "./shared/dialogs.mjs";
import { addStyleSheet } from "./shared/dom.mjs";
import { api, app } from "./shared/host.mjs";
import { keepWords, loadTranslations, t } from "./shared/i18n.mjs";
import { onWords } from "./shared/server.mjs";
import { orderTemplates } from "./shared/templates.mjs";
import { acceptDroppedJobs, copyTaskId, openResultsFolder } from "./sidebar/job_actions.mjs";
import { Sidebar } from "./sidebar/sidebar.mjs";

const TAB_ID = "kling-once";

/** @type {Sidebar | null} null while the tab is closed */
let sidebar = null;
/** @type {NodeStrips | null} null until the page is set up */
let strips = null;
/** @type {((sidebar: Sidebar) => void) | null} what to show as soon as the tab is open */
let pending = null;

onWords(keepWords); // at once: the page logs a warning for every message that nobody waits for
orderTemplates(); // likewise: the page may list them before it is set up

app.registerExtension({
  name: "kling_once",
  commands: [
    {
      id: "kling_once.openTasks",
      label: "Kling Once: open tasks",
      icon: "pi pi-video",
      function: openTab,
    },
    {
      id: "kling_once.checkNode",
      label: "Kling Once: check this node",
      icon: "pi pi-check-circle",
      function: checkChosenNode,
    },
    {
      id: "kling_once.openHelp",
      label: "Kling Once: open the help",
      icon: "pi pi-question-circle",
      function: () => showInTab((tab) => tab.showView("help")),
    },
  ],
  menuCommands: [
    {
      path: ["Extensions", "Kling Once"],
      commands: ["kling_once.openTasks", "kling_once.checkNode", "kling_once.openHelp"],
    },
  ],
  settings: [
    {
      // the published types know only ComfyUI's own ids
      id: /** @type {keyof Settings} */ (/** @type {string} */ ("kling_once.keys")),
      name: "Keys",
      category: ["Kling Once", "Keys", "keys"],
      type: () => new KeysPanel().element,
      defaultValue: null,
    },
  ],

  async setup() {
    addStyleSheet();
    await loadTranslations();
    const open = {
      keys: () => showInTab((tab) => tab.showKeys()),
      totals: () => showInTab((tab) => tab.showView("totals")),
      hosting: () => showInTab((tab) => tab.showHosting()),
    };
    registerTab();
    const made = new NodeStrips(new Remedies(open, () => made.schedule()));
    strips = made;
    for (const { node } of allNodes().filter(({ node }) => isOurs(node))) {
      made.add(node);
      prepareNode(node, openElements);
    }
    watchElements();
    watchGraph(made);
    watchPlayers();
    watchRuns();
    watchTexts();
    acceptDroppedJobs();
  },

  /** @param {LGraphNode} node */
  nodeCreated(node) {
    if (!isOurs(node) || !strips) return;
    strips.add(node);
    prepareNode(node, openElements);
  },

  /** @param {LGraphNode} node */
  getNodeMenuItems(node) {
    if (!isOurs(node)) return [];
    const taskId = strips?.taskOf(node);
    const show = () => void openTab();
    const check = () => void checkNode(node);
    const copy = taskId && { content: t("menu.copy"), callback: () => void copyTaskId(taskId) };
    return [
      ...(isOrdering(node) ? [{ content: t("menu.check"), callback: check }] : []),
      ...(copy ? [copy] : []),
      { content: t("menu.folder"), callback: () => void openResultsFolder() },
      { content: t("menu.tasks"), callback: show },
    ];
  },

  afterConfigureGraph() {
    sayNotes();
    strips?.askAll(); // every value and link is in place
  },
});

function registerTab() {
  app.extensionManager.registerSidebarTab({
    id: TAB_ID,
    icon: "pi pi-video",
    title: "Kling Once",
    tooltip: t("tab.tooltip"),
    type: "custom",
    render: (element) => {
      sidebar?.destroy();
      sidebar = new Sidebar(element);
      pending?.(sidebar);
      pending = null;
    },
    destroy: () => {
      sidebar?.destroy();
      sidebar = null;
    },
  });
}

/**
 * Show the element library of an account.
 * @param {Account} account
 */
function openElements(account) {
  void showInTab((tab) => tab.showView("elements", account));
}

async function openTab() {
  if (!sidebar) await app.extensionManager.command.execute(`Workspace.ToggleSidebarTab.${TAB_ID}`);
}

/** @param {(sidebar: Sidebar) => void} show */
async function showInTab(show) {
  if (sidebar) return show(sidebar);
  pending = show;
  return openTab();
}

/** Check the selected node; without a selection the only node that orders a video. */
async function checkChosenNode() {
  const selected = Object.values(app.canvas.selected_nodes);
  const candidates = orderingNodes().filter(({ node }) => !selected.length || selected.includes(node));
  const [placed] = candidates.filter(isActive);
  if (!placed) return showToast("info", t(candidates.length ? "check.muted" : "check.none"));
  if (!selected.length && candidates.length > 1) return showToast("info", t("check.none"));
  return checkPlaced(placed);
}

/** @param {LGraphNode} node */
async function checkNode(node) {
  const placed = orderingNodes().find((one) => one.node === node);
  if (!placed || !isActive(placed)) return showToast("info", t("check.muted"));
  return checkPlaced(placed);
}

/** @param {PlacedNode} placed */
async function checkPlaced(placed) {
  const found = await withErrorToast(() => check(placed));
  if (!found) return undefined;
  if (!found.known) return showToast("warn", t("check.unknown"));
  return showInTab((tab) => tab.showCheck(placed.node.title, found));
}

/**
 * Check nodes again when a widget, a link or a node may have changed: the graph has no event for all of them.
 * @param {NodeStrips} strips
 */
function watchGraph(strips) {
  const changed = () => strips.schedule();
  app.canvas.canvas.addEventListener("litegraph:set-graph", changed);
  for (const type of ["change", "pointerup", "keyup"])
    document.addEventListener(type, changed, { passive: true });
  window.addEventListener("focus", changed, { passive: true });
  api.addEventListener("graphChanged", changed);
}
