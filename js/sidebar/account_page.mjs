// @ts-check
/** The tasks of an account, page by page, to be taken over as jobs or fetched by a node. */

/** @import { Account, AccountTask, Service } from "../../types/server.ts" */

import { showToast, withErrorToast } from "../shared/dialogs.mjs";
import { button, h, setChildren } from "../shared/dom.mjs";
import { formatAmount, formatMoment, t } from "../shared/i18n.mjs";
import { adoptTask, getKeys, listAccountTasks } from "../shared/server.mjs";
import { addFetchTask, makeTaskDraggable } from "./job_actions.mjs";

const PAGE_SIZE = 30;
/** @type {Service[]} the free one first, which is chosen at the start */
const SERVICES = ["sandbox", "kling"];

export class AccountPage {
  /** @param {AbortSignal} signal ends requests */
  constructor(signal) {
    this.signal = signal;
    this.page = 1;
    /** Counts requests, so that answers to older ones are dropped. */
    this.round = 0;
    const change = () => this.showPage(1);
    this.service = h("select", { "aria-label": t("account.service"), on: { change } });
    for (const name of SERVICES) this.service.append(h("option", { value: name }, t(`service.${name}`)));
    this.profile = h("select", { "aria-label": t("account.profile"), on: { change } });
    this.profile.append(h("option", { value: "" }, t("keys.default")));
    this.note = h("p", { class: "kling-once-note", hidden: true }, t("account.own"));
    this.list = h("ul", { class: "kling-once-tasks", "aria-live": "polite" });
    this.newer = button(t("action.before"), () => this.showPage(this.page - 1));
    this.older = button(t("action.after"), () => this.showPage(this.page + 1));
    this.number = h("span", { class: "kling-once-number" });
    this.element = h(
      "section",
      { class: "kling-once-page" },
      h("div", { class: "kling-once-bar" }, this.service, this.profile),
      this.note,
      this.list,
      h("div", { class: "kling-once-bar" }, this.newer, this.number, this.older),
    );
    void this.start();
  }

  async start() {
    const keys = await withErrorToast(() => getKeys(this.signal));
    for (const { profile } of keys?.profiles ?? []) {
      if (profile) this.profile.append(h("option", { value: profile }, profile));
    }
    await this.showPage(1);
  }

  /** @returns {Account} */
  account() {
    const service = SERVICES.find((name) => name === this.service.value) ?? "sandbox";
    return { service, profile: this.profile.value };
  }

  /** @param {number} page from 1 */
  async showPage(page) {
    this.round += 1;
    const { round } = this;
    const account = this.account();
    const query = { ...account, page, page_size: PAGE_SIZE };
    const answer = await withErrorToast(() => listAccountTasks(query, this.signal));
    if (round !== this.round) return;
    if (!answer) return void setChildren(this.list);
    this.page = page;
    this.number.textContent = String(page);
    this.newer.disabled = page <= 1;
    this.older.disabled = answer.is_last;
    this.note.hidden = answer.browse !== "own";
    const rows = answer.tasks.map((task) => this.row(task, account));
    setChildren(this.list, ...(rows.length ? rows : [h("li", {}, t("account.none"))]));
  }

  /**
   * @param {AccountTask} task
   * @param {Account} account that has the task
   */
  row({ task_id, status, reason, created_at, units, job_key }, account) {
    const task = { task_id, ...account, project: "" };
    const facts = [
      t(`status.${status}`),
      created_at && formatMoment(created_at),
      account.service === "sandbox" ? t("cost.free") : units !== null && t("cost.paid", { units: formatAmount(units) }),
    ];
    const row = h(
      "li",
      { "data-task": task_id },
      h("div", { class: "kling-once-name" }, task_id),
      h("div", { class: "kling-once-line" }, facts.filter(Boolean).join(" · ")),
      reason && h("div", { class: "kling-once-trouble" }, reason),
      h(
        "div",
        { class: "kling-once-actions" },
        job_key
          ? h("span", { class: "kling-once-note" }, t("account.known"))
          : button(t("action.adopt"), () => this.adopt({ ...account, task_id })),
        button(t("action.fetch_task"), () => addFetchTask(task)),
      ),
    );
    makeTaskDraggable(row, task);
    return row;
  }

  /** @param {Account & { task_id: string }} task */
  async adopt(task) {
    if (!(await withErrorToast(() => adoptTask(task)))) return;
    showToast("success", t("done.adopted"));
    await this.showPage(this.page);
  }
}
