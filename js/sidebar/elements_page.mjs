// @ts-check
/** The element library of an account, page by page: to be used in a node, copied, or deleted. */

/** @import { Account, LibraryElement, Service } from "../../types/server.ts" */

import { announceElementsChanged, useElement } from "../node/elements.mjs";
import { confirmed, showToast, withErrorToast, withOneTimeCode } from "../shared/dialogs.mjs";
import { button, h, setChildren } from "../shared/dom.mjs";
import { t } from "../shared/i18n.mjs";
import { deleteElement, elementPictureUrl, getKeys, listElements, onJobEvent } from "../shared/server.mjs";
import { copyElementId } from "./job_actions.mjs";

const PAGE_SIZE = 30;
const DEBOUNCE_MS = 200;
/** @type {Service[]} the free one first, which is chosen at the start */
const SERVICES = ["sandbox", "kling"];
/** @type {("own" | "presets")[]} */
const KINDS = ["own", "presets"];

export class ElementsPage {
  /**
   * @param {AbortSignal} signal ends listeners and requests
   * @param {object} options
   * @param {boolean} options.mayChange whether deleting needs no one-time code
   * @param {Account} [options.account] whose elements to begin with
   */
  constructor(signal, { mayChange, account }) {
    this.signal = signal;
    this.mayChange = mayChange;
    this.offset = 0;
    /** Counts requests, so that answers to older ones are dropped. */
    this.round = 0;
    const change = () => this.show(0);
    this.service = h("select", { "aria-label": t("account.service"), on: { change } });
    for (const name of SERVICES) this.service.append(h("option", { value: name }, t(`service.${name}`)));
    this.service.value = account?.service ?? "sandbox";
    this.profile = h("select", { "aria-label": t("account.profile"), on: { change } });
    this.addProfile("");
    if (account?.profile) this.addProfile(account.profile);
    this.profile.value = account?.profile ?? "";
    this.kind = h("select", { "aria-label": t("elements.of"), on: { change } });
    for (const name of KINDS) this.kind.append(h("option", { value: name }, t(`elements.${name}`)));
    this.search = h("input", { type: "search", placeholder: t("list.search"), "aria-label": t("list.search") });
    let timer = 0;
    this.search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(change, DEBOUNCE_MS);
    });
    const refresh = button(t("action.refresh"), () => this.show(this.offset, true), { icon: "pi pi-refresh" });
    this.note = h("p", { class: "kling-once-note", hidden: true }, t("elements.browse"));
    this.list = h("ul", { class: "kling-once-elements", "aria-live": "polite" });
    this.before = button(t("action.before"), () => this.show(this.offset - PAGE_SIZE));
    this.after = button(t("action.after"), () => this.show(this.offset + PAGE_SIZE));
    this.number = h("span", { class: "kling-once-number" });
    this.element = h(
      "section",
      { class: "kling-once-page" },
      h("div", { class: "kling-once-bar" }, this.service, this.profile),
      h("div", { class: "kling-once-bar" }, this.kind, this.search, refresh),
      h("p", { class: "kling-once-note" }, t("elements.price")),
      this.note,
      this.list,
      h("div", { class: "kling-once-bar" }, this.before, this.number, this.after),
    );
    onJobEvent(({ state }) => ["kept", "elements"].includes(state) && void this.show(this.offset), signal);
    void this.start();
  }

  async start() {
    const shown = this.show(0, true);
    const keys = await withErrorToast(() => getKeys(this.signal));
    for (const { profile } of keys?.profiles ?? []) this.addProfile(profile);
    await shown;
  }

  /** @param {string} name */
  addProfile(name) {
    if ([...this.profile.options].some(({ value }) => value === name)) return;
    this.profile.append(h("option", { value: name }, name || t("keys.default")));
  }

  /** @returns {Account} */
  account() {
    const service = SERVICES.find((name) => name === this.service.value) ?? "sandbox";
    return { service, profile: this.profile.value };
  }

  /**
   * @param {number} offset of the first element of the page
   * @param {boolean} [isFresh] whether Kling is asked in any case
   * @returns {Promise<void>}
   */
  async show(offset, isFresh = false) {
    this.round += 1;
    const { round } = this;
    const account = this.account();
    const of = KINDS.find((name) => name === this.kind.value) ?? "own";
    const query = { ...account, of, search: this.search.value, limit: PAGE_SIZE, is_fresh: isFresh };
    const from = Math.max(0, offset);
    const answer = await withErrorToast(() => listElements({ ...query, offset: from }, this.signal));
    if (round !== this.round || this.signal.aborted) return undefined;
    if (!answer) return void setChildren(this.list);
    if (!answer.elements.length && from > 0) return this.show(from - PAGE_SIZE);
    this.offset = from;
    const last = from + answer.elements.length;
    this.number.textContent = t("elements.range", { from: last ? from + 1 : 0, to: last, total: answer.total });
    this.before.disabled = from === 0;
    this.after.disabled = last >= answer.total;
    this.note.hidden = answer.browse !== "own";
    const rows = answer.elements.map((element) => this.row(element, account));
    setChildren(this.list, ...(rows.length ? rows : [h("li", {}, t("elements.none"))]));
    return undefined;
  }

  /**
   * @param {LibraryElement} element
   * @param {Account} account that has it
   */
  row(element, account) {
    const { element_id, name, description, is_preset, has_picture } = element;
    return h(
      "li",
      { class: "kling-once-element", "data-element": element_id },
      has_picture ? picture(elementPictureUrl(account, element_id)) : h("div", { class: "kling-once-no-picture" }),
      h(
        "div",
        { class: "kling-once-texts" },
        h("div", { class: "kling-once-name", title: name }, name),
        h("div", { class: "kling-once-facts-line", title: description }, description),
        h("div", { class: "kling-once-line kling-once-id" }, element_id),
        h(
          "div",
          { class: "kling-once-actions" },
          button(t("elements.use"), () => useElement(element, account)),
          button(t("elements.copy"), () => copyElementId(element_id)),
          !is_preset && button(t("elements.delete"), () => this.remove(element, account), { class: "kling-once-danger" }),
        ),
      ),
    );
  }

  /**
   * @param {LibraryElement} element
   * @param {Account} account
   */
  async remove({ element_id, name }, account) {
    if (!(await confirmed(t("elements.confirm", { name, id: element_id })))) return;
    const done = await withOneTimeCode(this.mayChange, (code) => deleteElement(element_id, { ...account, code }));
    if (!done) return;
    announceElementsChanged();
    showToast("success", t("elements.deleted", { name }));
    await this.show(this.offset);
  }
}

/** @param {string} src */
function picture(src) {
  const image = h("img", { src, alt: "", loading: "lazy", draggable: false });
  image.addEventListener("error", () => image.classList.add("kling-once-none"));
  return image;
}
