// @ts-check
/** The sidebar tab: tasks, the account, totals, help, and the hold switch above them all. */

import { AccountPage } from "./account_page.mjs";
import { CheckPage } from "./check_page.mjs";
import { button, fill, h } from "./elements.mjs";
import { HelpPage } from "./help_page.mjs";
import { hear, hearReturn } from "./news.mjs";
import { tried } from "./notices.mjs";
import { ask, tell } from "./requests.mjs";
import { TaskList } from "./task_list.mjs";
import { TaskPage } from "./task_page.mjs";
import { TotalsPage } from "./totals_page.mjs";
import { words } from "./words.mjs";

export const TAB_ID = "kling-once";
const VIEWS = ["tasks", "account", "totals", "help"];
const SHOWN = ["all", "under_way", "kept", "failed"];
const TYPING_MS = 200;

export class Sidebar {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.closing = new AbortController();
    this.status = { held_since: null, may_change: false };
    /** @type {AbortController | null} */
    this.page = null;
    this.hold = h("div", { class: "kling-once-hold" });
    this.tabs = h("div", { class: "kling-once-tabs", role: "tablist", "aria-label": "Kling Once" });
    this.content = h("div", { class: "kling-once-content", role: "tabpanel", id: "kling-once-panel" });
    this.list = new TaskList((job, plays) => this.openTask(job, plays), this.closing.signal);
    this.tasks = h("div", { class: "kling-once-tasks-view" }, this.searchBar(), this.list.element);
    for (const view of VIEWS) this.tabs.append(this.tab(view));
    this.tabs.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.moveTab(event));
    this.element = h("div", { class: "kling-once-panel" }, this.hold, this.tabs, this.content);
    root.classList.add("kling-once-root");
    root.replaceChildren(this.element);
    hear((news) => void (news.state === "hold" && this.refreshStatus()), this.closing.signal);
    hearReturn(() => void this.refreshStatus(), this.closing.signal);
    this.show("tasks");
    void this.list.refresh();
    void this.refreshStatus();
  }

  destroy() {
    this.page?.abort();
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
        on: { click: () => this.show(view) },
      },
      words(`view.${view}`),
    );
  }

  /** @param {KeyboardEvent} event */
  moveTab(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const now = VIEWS.indexOf(/** @type {HTMLElement} */ (event.target).dataset.view ?? "");
    if (!step || now < 0) return;
    const next = VIEWS[(now + step + VIEWS.length) % VIEWS.length];
    this.show(next);
    this.tabs.querySelector(`[data-view="${next}"]`)?.focus();
  }

  /** @param {string} view */
  show(view) {
    this.page?.abort();
    this.page = new AbortController();
    for (const tab of this.tabs.children) {
      const chosen = tab.dataset.view === view;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    }
    const { signal } = this.page;
    if (view === "account") fill(this.content, new AccountPage(signal).element);
    else if (view === "totals") fill(this.content, new TotalsPage(signal).element);
    else if (view === "help") fill(this.content, new HelpPage(signal).element);
    else {
      fill(this.content, this.tasks);
      this.list.draw();
    }
  }

  /**
   * @param {import("./job_text.mjs").Job} job
   * @param {boolean} plays
   */
  openTask(job, plays) {
    this.page?.abort();
    this.page = new AbortController();
    const close = () => {
      this.show("tasks");
      void this.list.refresh();
    };
    const options = { plays, mayChange: this.status.may_change, close, signal: this.page.signal };
    const page = new TaskPage(job, options);
    fill(this.content, page.element);
    page.back.focus();
  }

  /**
   * Show what a check of a node found.
   * @param {string} title
   * @param {any} found
   */
  showCheck(title, found) {
    this.page?.abort();
    const page = new CheckPage(title, found, () => this.show("tasks"));
    fill(this.content, page.element);
    page.back.focus();
  }

  searchBar() {
    let waiting = 0;
    const search = h("input", {
      type: "search",
      placeholder: words("list.search"),
      "aria-label": words("list.search"),
      on: {
        input: () => {
          clearTimeout(waiting);
          waiting = setTimeout(() => this.narrow(search.value, shown.value), TYPING_MS);
        },
      },
    });
    const shown = h("select", {
      "aria-label": words("list.filter"),
      on: { change: () => this.narrow(search.value, shown.value) },
    });
    for (const name of SHOWN) shown.append(h("option", { value: name }, words(`shown.${name}`)));
    const anew = button(words("action.refresh"), () => void this.list.refresh(), { icon: "pi pi-refresh" });
    return h("div", { class: "kling-once-bar" }, search, shown, anew);
  }

  /**
   * @param {string} search
   * @param {string} shown
   */
  narrow(search, shown) {
    this.list.search = search;
    this.list.shown = shown;
    this.list.element.scrollTop = 0;
    void this.list.refresh();
  }

  async refreshStatus() {
    const status = await tried(() => ask("/status", {}, this.closing.signal));
    if (status) this.showStatus(status);
  }

  /** @param {any} status */
  showStatus(status) {
    this.status = status;
    const held = Boolean(status.held_since);
    this.hold.dataset.held = String(held);
    const text = held
      ? words("hold.on", { since: new Date(status.held_since).toLocaleString() })
      : words("hold.off");
    const toggle = async () => {
      const answer = await tried(() => tell("/hold", { held: !held }));
      if (answer) this.showStatus(answer);
    };
    const had = this.hold.contains(document.activeElement);
    const control = button(words(held ? "hold.release" : "hold.hold"), toggle, { pressed: held });
    fill(this.hold, h("span", { role: "status" }, text), control);
    if (had) control.focus();
  }
}
