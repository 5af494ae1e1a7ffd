// @ts-check
/** The sidebar tab: its views, and above them the switch that holds live submissions. */

/** @import { Account, CheckedNode, Job, JobFilter, Status } from "../../types/server.ts" */

import { withErrorToast } from "../shared/dialogs.mjs";
import { button, h, setChildren } from "../shared/dom.mjs";
import { formatMoment, t } from "../shared/i18n.mjs";
import { app } from "../shared/host.mjs";
import { getStatus, onJobEvent, onReconnect, setHold } from "../shared/server.mjs";
import { AccountPage } from "./account_page.mjs";
import { CheckPage } from "./check_page.mjs";
import { ElementsPage } from "./elements_page.mjs";
import { HelpPage } from "./help_page.mjs";
import { SetupPage } from "./setup_page.mjs";
import { TaskList } from "./task_list.mjs";
import { TaskPage } from "./task_page.mjs";
import { TotalsPage } from "./totals_page.mjs";

/**
 * Makes the element of a view; the signal ends its listeners and requests.
 * @typedef {(signal: AbortSignal, wanted: { mayChange: boolean, account?: Account }) => HTMLElement} MakeView
 */

/** @type {Record<string, MakeView>} views beside the list of tasks, in the order of their tabs */
const PAGES = {
  elements: (signal, wanted) => new ElementsPage(signal, wanted).element,
  account: (signal) => new AccountPage(signal).element,
  totals: (signal) => new TotalsPage(signal).element,
  setup: () => new SetupPage().element,
  help: (signal) => new HelpPage(signal).element,
};
const VIEWS = ["tasks", ...Object.keys(PAGES)];
/** @type {JobFilter[]} */
const FILTERS = ["all", "under_way", "kept", "failed"];
const STEPS = new Map([
  ["ArrowRight", 1],
  ["ArrowLeft", -1],
]);
const DEBOUNCE_MS = 200;

export class Sidebar {
  /** @param {HTMLElement} root the tab's element; emptied by `destroy` */
  constructor(root) {
    this.root = root;
    /** Ends the listeners and requests of the sidebar. */
    this.closing = new AbortController();
    /** Ends those of the page that is shown. */
    this.pageClosing = new AbortController();
    this.mayChange = false;
    this.hold = h("div", { class: "kling-once-hold" });
    this.tabs = new Map(VIEWS.map((view) => [view, this.tab(view)]));
    this.content = h("div", { class: "kling-once-content", role: "tabpanel", id: "kling-once-panel" });
    const start = [
      button(t("action.template"), () => app.extensionManager.command.execute("Comfy.BrowseTemplates")),
      button(t("action.setup"), () => this.showView("setup")),
    ];
    this.list = new TaskList((job, plays) => this.openTask(job, plays), start, this.closing.signal);
    this.tasks = h("div", { class: "kling-once-tasks-view" }, this.searchBar(), this.list.element);
    const tabs = h(
      "div",
      {
        class: "kling-once-tabs",
        role: "tablist",
        "aria-label": "Kling Once",
        on: { keydown: (event) => this.moveTab(event) },
      },
      ...this.tabs.values(),
    );
    root.classList.add("kling-once-root");
    root.replaceChildren(h("div", { class: "kling-once-panel" }, this.hold, tabs, this.content));
    const { signal } = this.closing;
    onJobEvent(({ state }) => {
      if (state === "hold") void this.refreshStatus();
    }, signal);
    onReconnect(() => this.refreshStatus(), signal);
    this.showView("tasks");
    void this.list.refresh();
    void this.refreshStatus();
  }

  /** End all listeners and requests, and empty the tab. */
  destroy() {
    this.pageClosing.abort();
    this.closing.abort();
    this.root.replaceChildren();
  }

  /** @param {string} view */
  tab(view) {
    return h(
      "button",
      {
        type: "button",
        role: "tab",
        class: "kling-once-tab",
        "data-view": view,
        "aria-controls": "kling-once-panel",
        on: { click: () => this.showView(view) },
      },
      t(`view.${view}`),
    );
  }

  /** @param {KeyboardEvent} event */
  moveTab({ key, target }) {
    const step = STEPS.get(key);
    const now = VIEWS.findIndex((view) => this.tabs.get(view) === target);
    const next = step && now >= 0 && VIEWS.at((now + step) % VIEWS.length);
    if (!next) return;
    this.showView(next);
    this.tabs.get(next)?.focus();
  }

  /**
   * @param {string} view
   * @param {Account} [account] whose elements to begin with
   */
  showView(view, account) {
    for (const [name, tab] of this.tabs) {
      tab.setAttribute("aria-selected", String(name === view));
      tab.tabIndex = name === view ? 0 : -1;
    }
    const signal = this.leavePage();
    const make = PAGES[view];
    setChildren(this.content, make ? make(signal, { mayChange: this.mayChange, account }) : this.tasks);
    if (!make) this.list.draw();
  }

  /**
   * @param {Job} job
   * @param {boolean} plays whether its video starts at once
   */
  openTask(job, plays) {
    const close = () => {
      this.showView("tasks");
      void this.list.refresh();
    };
    const signal = this.leavePage();
    const page = new TaskPage(job, { plays, mayChange: this.mayChange, close, signal });
    setChildren(this.content, page.element);
    page.back.focus();
  }

  /**
   * Show what a check of a node found.
   * @param {string} title of the node
   * @param {CheckedNode} found
   */
  showCheck(title, found) {
    this.leavePage();
    const page = new CheckPage(title, found, () => this.showView("tasks"));
    setChildren(this.content, page.element);
    page.back.focus();
  }

  /** Show where keys are set up. */
  showKeys() {
    this.showView("setup");
    this.content.querySelector("select, input")?.scrollIntoView();
  }

  /** Show where it is set up how Kling fetches local clips. */
  showHosting() {
    this.showView("setup");
    this.content.querySelector(".kling-once-hosting")?.scrollIntoView();
  }

  /**
   * End the page that is shown.
   * @returns {AbortSignal} for the next one
   */
  leavePage() {
    this.pageClosing.abort();
    this.pageClosing = new AbortController();
    return this.pageClosing.signal;
  }

  searchBar() {
    let timer = 0;
    const search = h("input", {
      type: "search",
      placeholder: t("list.search"),
      "aria-label": t("list.search"),
    });
    const filter = h("select", { "aria-label": t("list.filter") });
    for (const name of FILTERS) filter.append(h("option", { value: name }, t(`shown.${name}`)));
    const apply = () => {
      this.list.search = search.value;
      this.list.shown = FILTERS.find((name) => name === filter.value) ?? "all";
      this.list.element.scrollTop = 0;
      void this.list.refresh();
    };
    search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(apply, DEBOUNCE_MS);
    });
    filter.addEventListener("change", apply);
    const refresh = button(t("action.refresh"), () => this.list.refresh(), { icon: "pi pi-refresh" });
    return h("div", { class: "kling-once-bar" }, search, filter, refresh);
  }

  async refreshStatus() {
    const status = await withErrorToast(() => getStatus(this.closing.signal));
    if (status) this.showStatus(status);
  }

  /** @param {Status} status */
  showStatus({ held_since, may_change }) {
    this.mayChange = may_change;
    const held = held_since !== null;
    this.hold.dataset.held = String(held);
    const text = held ? t("hold.on", { since: formatMoment(held_since) }) : t("hold.off");
    const toggle = async () => {
      const status = await withErrorToast(() => setHold(!held));
      if (status) this.showStatus(status);
    };
    const hadFocus = this.hold.contains(document.activeElement);
    const control = button(t(held ? "hold.release" : "hold.hold"), toggle, { pressed: held });
    setChildren(this.hold, h("span", { role: "status" }, text), control);
    if (hadFocus) control.focus();
  }
}
