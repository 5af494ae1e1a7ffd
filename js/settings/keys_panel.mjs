// @ts-check
/** The keys in ComfyUI's settings dialog. They go to the server and never come back; the page stores none. */

/** @import { Keys, KeyState, NewKey } from "../../types/server.ts" */

import { confirmed, messageOf, showToast, withErrorToast, withOneTimeCode } from "../shared/dialogs.mjs";
import { button, field, h, secretInput, setChildren } from "../shared/dom.mjs";
import { formatAmount, say, t } from "../shared/i18n.mjs";
import { announceSetupChanged, getKeys, removeKey, saveKey, testKey } from "../shared/server.mjs";

/** Where the vendor gives out keys. */
const VENDOR_PAGE = "https://kling.ai/dev/api-key";

export class KeysPanel {
  constructor() {
    this.mayChange = false;
    /** @type {Map<string, KeyState>} profiles that have a key in the server's file */
    this.stored = new Map();
    this.profiles = h("ul", { class: "kling-once-profiles" });
    this.elsewhere = h("p", { class: "kling-once-note", hidden: true });
    this.said = h("p", { class: "kling-once-said", role: "status" });
    this.profile = h("input", {
      type: "text",
      autocomplete: "off",
      maxLength: 40,
      placeholder: t("keys.default"),
      on: { input: () => this.showRegion() },
    });
    this.kind = select(["api_key", "pair"]);
    this.kind.addEventListener("change", () => this.showKind());
    this.region = select(["global", "china"]);
    this.api = select(["api_kept", "legacy", "standard"]);
    this.api.options[0]?.setAttribute("value", "");
    this.api.addEventListener("change", () => this.showApi());
    this.apiNote = h("p", { class: "kling-once-note" });
    this.ownAddress = h("option", { value: "", hidden: true });
    this.region.append(this.ownAddress);
    this.hasAddress = false;
    this.apiKey = secretInput();
    this.accessKey = secretInput();
    this.secretKey = secretInput();
    this.single = field(t("keys.api_key"), this.apiKey);
    this.pair = [field(t("keys.access_key"), this.accessKey), field(t("keys.secret_key"), this.secretKey)];
    const form = h(
      "form",
      { class: "kling-once-keys-form", autocomplete: "off" },
      field(t("keys.profile"), this.profile),
      field(t("keys.kind"), this.kind),
      this.single,
      ...this.pair,
      field(t("keys.region"), this.region),
      field(t("keys.api"), this.api),
      this.apiNote,
      h("button", { type: "submit", class: "kling-once-button kling-once-primary" }, t("action.save")),
    );
    form.addEventListener("submit", (event) => this.submit(event));
    this.element = h(
      "div",
      { class: "kling-once-keys" },
      h("p", { class: "kling-once-note" }, t("keys.explained")),
      h("a", { href: VENDOR_PAGE, target: "_blank", rel: "noopener noreferrer" }, t("keys.get")),
      this.elsewhere,
      this.profiles,
      form,
      this.said,
    );
    this.showKind();
    this.showApi();
    this.ready = this.refresh();
  }

  showKind() {
    const isPair = this.kind.value === "pair";
    this.single.hidden = isPair;
    for (const one of this.pair) one.hidden = !isPair;
  }

  /** Say what the other of the vendor's two APIs gives. */
  showApi() {
    this.apiNote.textContent = t(this.api.value === "standard" ? "keys.standard_gives" : "keys.legacy_gives");
  }

  /** Choose the region that the profile has: a new key is seldom from another one. Else the server's own. */
  showRegion() {
    const name = this.profile.value.trim();
    const region = this.stored.get(name)?.region;
    const isOther = region === "other";
    const isOffered = isOther || (this.hasAddress && !name); // the server's own address serves no named profile
    this.ownAddress.hidden = !isOffered;
    this.ownAddress.textContent = t(isOther ? "keys.other" : "keys.as_server");
    if (region) this.region.value = isOther ? "" : region;
    else if (!isOffered && !this.region.value) this.region.value = "global";
  }

  async refresh() {
    const keys = await withErrorToast(() => getKeys());
    if (keys) this.show(keys);
  }

  /** @param {Keys} keys */
  show({ profiles, may_change, variables, has_address }) {
    this.mayChange = may_change;
    if (has_address && !this.hasAddress) this.region.value = "";
    this.hasAddress = has_address;
    this.stored = new Map(
      profiles.filter(({ source }) => source === "file").map((one) => [one.profile, one]),
    );
    this.showRegion();
    this.elsewhere.hidden = may_change;
    this.elsewhere.textContent = t("keys.elsewhere", { variables });
    setChildren(this.profiles, ...profiles.map((one) => this.row(one)));
  }

  /** @param {KeyState} key */
  row({ profile, source, region, address, api, problem }) {
    const place = region === "other" ? `${t("keys.other")} ${address ?? ""}` : region && t(`keys.${region}`);
    const texts = [t(`keys.state.${source}`), place, api === "standard" && t("keys.standard")];
    return h(
      "li",
      { "data-profile": profile, "data-source": source },
      h("strong", {}, nameOf(profile)),
      h("span", { class: "kling-once-key-state" }, texts.filter(Boolean).join(" · ")),
      source !== "missing" && button(t("action.test"), () => this.test(profile)),
      source === "file" &&
        button(t("action.forget"), () => this.remove(profile), { class: "kling-once-danger" }),
      source !== "missing" && problem && h("p", { class: "kling-once-trouble" }, say(problem.said)),
    );
  }

  /** @param {SubmitEvent} event */
  async submit(event) {
    event.preventDefault();
    await this.ready;
    const isPair = this.kind.value === "pair";
    const key = {
      profile: this.profile.value.trim(),
      region: this.region.value,
      api: this.api.value,
      api_key: isPair ? "" : this.apiKey.value,
      access_key: isPair ? this.accessKey.value : "",
      secret_key: isPair ? this.secretKey.value : "",
    };
    const saved = await withOneTimeCode(this.mayChange, (code) => this.save({ ...key, code }));
    if (!saved) return;
    for (const input of [this.apiKey, this.accessKey, this.secretKey]) input.value = "";
    this.said.textContent = t("keys.saved");
    announceSetupChanged();
    await this.refresh();
  }

  /**
   * @param {Omit<NewKey, "replace">} key
   * @returns {Promise<object | undefined>} undefined if the user keeps the old key
   */
  async save(key) {
    const replace = this.stored.has(key.profile);
    if (replace && !(await this.confirmLoss("keys.replace", key.profile))) return undefined;
    this.said.textContent = "";
    return saveKey({ ...key, replace });
  }

  /** @param {string} profile */
  async test(profile) {
    this.said.textContent = t("keys.asking");
    try {
      const { packs } = await testKey(profile);
      const left = packs.map((pack) => t("keys.pack", { name: pack.name, left: formatAmount(pack.left) }));
      this.said.textContent = [t("keys.works"), left.join(", ") || t("keys.no_pack")].join(" ");
    } catch (error) {
      this.said.textContent = messageOf(error);
    }
  }

  /** @param {string} profile */
  async remove(profile) {
    if (!(await this.confirmLoss("keys.forget", profile))) return;
    const keys = await withOneTimeCode(this.mayChange, (code) => removeKey({ profile, code }));
    if (!keys) return;
    showToast("success", t("keys.forgotten", { name: nameOf(profile) }));
    announceSetupChanged();
    this.show(keys);
  }

  /**
   * Ask before a stored key is lost, and say how many tasks can be collected with it alone.
   * @param {string} question name of its text
   * @param {string} profile
   */
  confirmLoss(question, profile) {
    const count = this.stored.get(profile)?.unfinished ?? 0;
    const texts = [t(question, { name: nameOf(profile) }), count > 0 && t("keys.waiting", { count })];
    return confirmed(texts.filter(Boolean).join(" "));
  }
}

/** @param {string} profile empty for the default one */
function nameOf(profile) {
  return profile || t("keys.default");
}

/** @param {string[]} values names of texts under `keys` */
function select(values) {
  return h("select", {}, ...values.map((value) => h("option", { value }, t(`keys.${value}`))));
}
