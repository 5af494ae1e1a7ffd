// @ts-check
/** Kling Once in ComfyUI's page: the sidebar tab, keys in the settings, badges on nodes, commands. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { addStyles } from "./elements.mjs";
import { isActive } from "./graph_part.mjs";
import { takeDroppedTasks } from "./job_actions.mjs";
import { keysPanel } from "./keys_panel.mjs";
import { NodeBadges, check, isOrdering, orderingNodes } from "./node_badge.mjs";
import { notice, tried } from "./notices.mjs";
import { keepPlayersOut } from "./player_widget.mjs";
import { tellEnds } from "./run_end.mjs";
import { Sidebar, TAB_ID } from "./sidebar.mjs";
import { loadWords, words } from "./words.mjs";

/** @type {Sidebar | null} */
let sidebar = null;
/** @type {NodeBadges | null} */
let badges = null;
/** @type {((sidebar: Sidebar) => void) | null} what is to be shown as soon as the tab is open */
let wanted = null;

const toggleTab = () => app.extensionManager.command.execute(`Workspace.ToggleSidebarTab.${TAB_ID}`);

async function openTab() {
  if (!sidebar) await toggleTab();
}

/** @param {(sidebar: Sidebar) => void} show */
async function showInTab(show) {
  if (sidebar) return show(sidebar);
  wanted = show;
  return openTab();
}

/** Check the node that is selected, or the only one of ours. */
async function checkNode() {
  const chosen = Object.values(app.canvas.selected_nodes ?? {});
  const ours = orderingNodes().filter(({ node }) => !chosen.length || chosen.includes(node));
  const [placed] = ours.filter(isActive);
  if (!placed) return notice("info", words(ours.length ? "check.muted" : "check.none"));
  if (!chosen.length && ours.length > 1) return notice("info", words("check.none"));
  const found = await tried(() => check(placed));
  if (!found) return undefined;
  if (!found.known) return notice("warn", words("check.unknown"));
  return showInTab((tab) => tab.showCheck(placed.node.title, found));
}

const openHelp = () => showInTab((tab) => tab.show("help"));

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
      function: checkNode,
    },
    {
      id: "kling_once.openHelp",
      label: "Kling Once: open the help",
      icon: "pi pi-question-circle",
      function: openHelp,
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
      id: "kling_once.keys",
      name: "Keys",
      category: ["Kling Once", "Keys", "keys"],
      type: () => keysPanel(),
      defaultValue: null,
    },
  ],

  async setup() {
    addStyles();
    await loadWords();
    app.extensionManager.registerSidebarTab({
      id: TAB_ID,
      icon: "pi pi-video",
      title: "Kling Once",
      tooltip: words("tab.tooltip"),
      revision: 0,
      type: "custom",
      render: (/** @type {HTMLElement} */ element) => {
        sidebar?.destroy();
        sidebar = new Sidebar(element);
        wanted?.(sidebar);
        wanted = null;
      },
      destroy: () => {
        sidebar?.destroy();
        sidebar = null;
      },
    });
    const tabs = app.extensionManager.getSidebarTabs?.() ?? [];
    const tab = tabs.find((/** @type {any} */ one) => one.id === TAB_ID);
    badges = new NodeBadges(tab ?? { revision: 0 });
    for (const node of new Set(orderingNodes().map((one) => one.node))) badges.add(node);
    watchGraph();
    takeDroppedTasks();
    keepPlayersOut();
    tellEnds();
  },

  nodeCreated(/** @type {any} */ node) {
    if (isOrdering(node)) badges?.add(node);
  },

  afterConfigureGraph() {
    badges?.later();
  },
});

/** Hear that something of the graph changed: a widget, a link, a node. */
function watchGraph() {
  const change = () => badges?.later();
  app.canvas.canvas.addEventListener("litegraph:set-graph", change);
  document.addEventListener("change", change, { passive: true });
  document.addEventListener("pointerup", change, { passive: true });
  document.addEventListener("keyup", change, { passive: true });
  window.addEventListener("focus", change, { passive: true });
  api.addEventListener("graphChanged", change);
}
