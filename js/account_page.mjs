// @ts-check
/** The account's own tasks, page by page; any of them can be taken over. */

import { button, fill, h } from "./elements.mjs";
import { addAsFetch, carryTask } from "./job_actions.mjs";
import { notice, tried } from "./notices.mjs";
import { ask, tell } from "./requests.mjs";
import { amountText, words } from "./words.mjs";

const PAGE_SIZE = 30;

/** @typedef {{ service: string, profile: string }} Account */

export class AccountPage {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.signal = signal;
    this.page = 1;
    this.round = 0;
    this.service = h("select", {
      "aria-label": words("account.service"),
      on: { change: () => this.turn(1) },
    });
    for (const name of ["sandbox", "kling"])
      this.service.append(h("option", { value: name }, words(`service.${name}`)));
    this.profile = h("select", {
      "aria-label": words("account.profile"),
      on: { change: () => this.turn(1) },
    });
    this.profile.append(h("option", { value: "" }, words("keys.default")));
    this.note = h("p", { class: "kling-once-note", hidden: true }, words("account.own"));
    this.list = h("ul", { class: "kling-once-tasks", "aria-live": "polite" });
    this.before = button(words("action.before"), () => this.turn(this.page - 1));
    this.after = button(words("action.after"), () => this.turn(this.page + 1));
    this.number = h("span", { class: "kling-once-number" });
    this.element = h(
      "section",
      { class: "kling-once-page" },
      h("div", { class: "kling-once-bar" }, this.service, this.profile),
      this.note,
      this.list,
      h("div", { class: "kling-once-bar" }, this.before, this.number, this.after),
    );
    void this.start();
  }

  async start() {
    const keys = await tried(() => ask("/keys", {}, this.signal));
    for (const { profile } of keys?.profiles ?? []) {
      if (profile) this.profile.append(h("option", { value: profile }, profile));
    }
    await this.turn(1);
  }

  /** @param {number} page */
  async turn(page) {
    this.round += 1;
    const { round } = this;
    const account = { service: this.service.value, profile: this.profile.value };
    const query = { ...account, page, page_size: PAGE_SIZE };
    const answer = await tried(() => ask("/account", query, this.signal));
    if (round !== this.round) return; // somebody has asked for something else meanwhile
    if (!answer) return void fill(this.list);
    this.page = page;
    this.number.textContent = String(page);
    this.before.disabled = page <= 1;
    this.after.disabled = answer.is_last;
    this.note.hidden = answer.browse !== "own";
    fill(
      this.list,
      ...(answer.tasks.length
        ? answer.tasks.map((/** @type {any} */ task) => this.row(task, account))
        : [h("li", {}, words("account.none"))]),
    );
  }

  /**
   * @param {any} task
   * @param {Account} account the one that was asked
   */
  row(task, account) {
    const own = { task_id: task.task_id, ...account, project: "" };
    const facts = [
      words(`status.${task.status}`),
      task.created_at && new Date(task.created_at).toLocaleString(),
      task.units !== null && words("cost.paid", { units: amountText(task.units) }),
    ];
    const row = h(
      "li",
      { "data-task": task.task_id },
      h("div", { class: "kling-once-name" }, task.task_id),
      h("div", { class: "kling-once-line" }, facts.filter(Boolean).join(" · ")),
      task.reason && h("div", { class: "kling-once-trouble" }, task.reason),
      h(
        "div",
        { class: "kling-once-actions" },
        task.job_key
          ? h("span", { class: "kling-once-note" }, words("account.known"))
          : button(words("action.adopt"), () => this.adopt({ ...account, task_id: task.task_id })),
        button(words("action.fetch_task"), () => addAsFetch(own)),
      ),
    );
    carryTask(row, own);
    return row;
  }

  /** @param {Account & { task_id: string }} body */
  async adopt(body) {
    if (await tried(() => tell("/account/adopt", body))) {
      notice("success", words("done.adopted"));
      await this.turn(this.page);
    }
  }
}
