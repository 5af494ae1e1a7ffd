// @ts-check
/** What was spent today and this month, and the spending limits. */

/** @import { LimitName, Service, Spending, Status, TotalsRow } from "../../types/server.ts" */

import { showToast, withErrorToast, withOneTimeCode } from "../shared/dialogs.mjs";
import { button, h, setChildren } from "../shared/dom.mjs";
import { formatAmount, t } from "../shared/i18n.mjs";
import { getStatus, getTotals, setLimits, urlOf } from "../shared/server.mjs";

/** @type {Service[]} */
const SERVICES = ["kling", "sandbox"];
/** @type {LimitName[]} */
const LIMITS = ["max_units_per_prompt", "max_units_per_day"];

export class TotalsPage {
  /** @param {AbortSignal} signal ends requests */
  constructor(signal) {
    this.signal = signal;
    this.tables = h("div");
    this.limits = h("div");
    this.element = h(
      "section",
      { class: "kling-once-page" },
      this.tables,
      h(
        "p",
        { class: "kling-once-actions" },
        download("/totals.csv", t("totals.csv")),
        download("/history.csv", t("totals.history")),
      ),
      this.limits,
    );
    void this.refresh();
  }

  async refresh() {
    const [totals, status] = await Promise.all([
      withErrorToast(() => getTotals(this.signal)),
      withErrorToast(() => getStatus(this.signal)),
    ]);
    if (!totals || !status) return;
    const tables = SERVICES.map((service) => {
      const rows = totals.rows.filter((row) => row.service === service);
      return h("div", {}, h("h3", {}, t(`totals.${service}`)), rows.length ? table(rows) : nothing());
    });
    setChildren(this.tables, ...tables);
    setChildren(this.limits, limitsForm(status));
  }
}

/**
 * @param {string} path
 * @param {string} label
 */
function download(path, label) {
  return h("a", { class: "kling-once-button", href: urlOf(path), download: "" }, label);
}

function nothing() {
  return h("p", { class: "kling-once-note" }, t("totals.none"));
}

/** @param {TotalsRow[]} rows */
function table(rows) {
  const names = ["fact.project", "fact.profile", "totals.today", "totals.month"];
  const cells = (/** @type {TotalsRow} */ row) => [
    row.project || "-",
    row.profile || t("keys.default"),
    spendingText(row.today, row),
    spendingText(row.month, row),
  ];
  return h(
    "table",
    { class: "kling-once-table" },
    h("thead", {}, h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, t(name))))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...cells(row).map((cell) => h("td", {}, cell))))),
  );
}

/**
 * @param {Spending} spending
 * @param {TotalsRow} row
 */
function spendingText({ units_charged, units_open, cash_charged }, { service, price, currency }) {
  const isFree = service === "sandbox";
  const inMoney = (/** @type {number} */ units) =>
    isFree || price === null ? "" : ` (${formatAmount(units * price)} ${currency})`;
  const parts = [
    units_charged > 0 && t("cost.units", { units: formatAmount(units_charged) }) + inMoney(units_charged),
    ...Object.entries(cash_charged).map(([unit, amount]) => `${formatAmount(amount)} ${unit}`),
    units_open > 0 && t("totals.open", { units: formatAmount(units_open) }) + inMoney(units_open),
  ];
  return parts.filter(Boolean).join(", ") || "0";
}

/** @param {Status} status */
function limitsForm(status) {
  let { limits } = status;
  const fixed = limits.from_environment;
  const fields = LIMITS.map((name) => ({
    name,
    input: h("input", {
      type: "number",
      min: "0",
      step: "any",
      required: true,
      disabled: fixed.includes(name),
      value: String(limits[name]),
    }),
  }));
  const save = async () => {
    if (!fields.every(({ input }) => input.reportValidity())) return;
    const changed = fields.filter(({ name, input }) => Number(input.value) !== limits[name]);
    if (!changed.length) return showToast("info", t("limits.same"));
    const values = Object.fromEntries(changed.map(({ name, input }) => [name, Number(input.value)]));
    const saved = await withOneTimeCode(status.may_change, (code) => setLimits({ ...values, code }));
    if (!saved) return;
    limits = saved;
    showToast("success", t("done.saved"));
  };
  return h(
    "fieldset",
    { class: "kling-once-limits" },
    h("legend", {}, t("limits.title")),
    ...fields.map(({ name, input }) => h("label", {}, t(`limits.${name}`), input)),
    fixed.length > 0 && h("p", { class: "kling-once-note" }, t("limits.fixed")),
    button(t("action.save"), save, { disabled: fixed.length === fields.length }),
  );
}
