// @ts-check
/** What was spent today and this month, and the limits. */

import { button, fill, h } from "./elements.mjs";
import { notice, tried, trusted } from "./notices.mjs";
import { addressOf, ask, tell } from "./requests.mjs";
import { amountText, words } from "./words.mjs";

export class TotalsPage {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.signal = signal;
    this.tables = h("div", {});
    this.limits = h("div", {});
    this.element = h(
      "section",
      { class: "kling-once-page" },
      this.tables,
      h(
        "p",
        { class: "kling-once-actions" },
        h(
          "a",
          { class: "kling-once-button", href: addressOf("/totals.csv"), download: "" },
          words("totals.csv"),
        ),
        h(
          "a",
          { class: "kling-once-button", href: addressOf("/history.csv"), download: "" },
          words("totals.history"),
        ),
      ),
      this.limits,
    );
    void this.refresh();
  }

  async refresh() {
    const [totals, status] = await Promise.all([
      tried(() => ask("/totals", {}, this.signal)),
      tried(() => ask("/status", {}, this.signal)),
    ]);
    if (!totals || !status) return;
    const services = ["kling", "sandbox"].map((service) =>
      this.table(
        service,
        totals.rows.filter((/** @type {any} */ row) => row.service === service),
      ),
    );
    fill(this.tables, ...services);
    fill(this.limits, this.form(status));
  }

  /**
   * @param {string} service
   * @param {any[]} rows
   */
  table(service, rows) {
    const title = h("h3", {}, words(`totals.${service}`));
    if (!rows.length)
      return h("div", {}, title, h("p", { class: "kling-once-note" }, words("totals.none")));
    const names = ["fact.project", "fact.profile", "totals.today", "totals.month"];
    return h(
      "div",
      {},
      title,
      h(
        "table",
        { class: "kling-once-table" },
        h("thead", {}, h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, words(name))))),
        h(
          "tbody",
          {},
          ...rows.map((row) =>
            h(
              "tr",
              {},
              h("td", {}, row.project || "-"),
              h("td", {}, row.profile || words("keys.default")),
              h("td", {}, sumText(row.today)),
              h("td", {}, sumText(row.month)),
            ),
          ),
        ),
      ),
    );
  }

  /** @param {any} status */
  form(status) {
    /** @type {string[]} those that only the server's environment can change */
    const fixed = status.limits.from_environment ?? [];
    const fields = ["max_units_per_prompt", "max_units_per_day"].map((name) => ({
      name,
      input: h("input", {
        disabled: fixed.includes(name),
        type: "number",
        min: "0",
        step: "any",
        required: true,
        value: String(status.limits[name]),
      }),
    }));
    const save = async () => {
      if (!fields.every(({ input }) => input.reportValidity())) return;
      const changed = fields.filter(({ name, input }) => Number(input.value) !== status.limits[name]);
      if (!changed.length) return void notice("info", words("limits.same"));
      const body = Object.fromEntries(changed.map(({ name, input }) => [name, Number(input.value)]));
      const limits = await trusted(status.may_change, (code) => tell("/limits", { ...body, code }));
      if (!limits) return;
      status.limits = limits;
      notice("success", words("done.saved"));
    };
    return h(
      "fieldset",
      { class: "kling-once-limits" },
      h("legend", {}, words("limits.title")),
      ...fields.map(({ name, input }) => h("label", {}, words(`limits.${name}`), input)),
      fixed.length > 0 && h("p", { class: "kling-once-note" }, words("limits.fixed")),
      button(words("action.save"), save, { disabled: fixed.length === fields.length }),
    );
  }
}

/** @param {any} sum */
function sumText(sum) {
  const cash = Object.entries(sum.cash_charged).map(
    ([currency, amount]) => `${amountText(amount)} ${currency}`,
  );
  const parts = [
    sum.units_charged > 0 && words("totals.paid", { units: amountText(sum.units_charged) }),
    ...cash,
    sum.units_open > 0 && words("totals.open", { units: amountText(sum.units_open) }),
  ];
  return parts.filter(Boolean).join(", ") || "0";
}
