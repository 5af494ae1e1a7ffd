// @ts-check
/** Keys in the settings dialog. They go to the server and never come back; nothing is stored in the page. */

import { api } from "../../scripts/api.js";
import { button, fill, h } from "./elements.mjs";
import { KEYS_CHANGED } from "./news.mjs";
import { confirmed, notice, tried, trusted } from "./notices.mjs";
import { ask, tell } from "./requests.mjs";
import { amountText, words } from "./words.mjs";

/** @returns {HTMLElement} what the settings dialog shows */
export function keysPanel() {
  return new KeysPanel().element;
}

class KeysPanel {
  constructor() {
    this.mayChange = false;
    /** @type {Map<string, any>} profiles that have a key in the file */
    this.stored = new Map();
    this.profiles = h("ul", { class: "kling-once-profiles" });
    this.elsewhere = h("p", { class: "kling-once-note", hidden: true });
    this.said = h("p", { class: "kling-once-said", role: "status" });
    this.profile = h("input", {
      type: "text",
      autocomplete: "off",
      maxLength: 40,
      placeholder: words("keys.default"),
    });
    this.profile.addEventListener("input", () => this.showRegion());
    this.kind = select([
      ["api_key", "keys.api_key"],
      ["pair", "keys.pair"],
    ]);
    this.kind.addEventListener("change", () => this.showKind());
    this.region = select([
      ["global", "keys.global"],
      ["china", "keys.china"],
    ]);
    this.other = h("option", { value: "", hidden: true }, words("keys.other"));
    this.region.append(this.other);
    this.apiKey = secret();
    this.accessKey = secret();
    this.secretKey = secret();
    this.api = field("keys.api_key", this.apiKey);
    this.access = field("keys.access_key", this.accessKey);
    this.second = field("keys.secret_key", this.secretKey);
    const form = h(
      "form",
      {
        class: "kling-once-keys-form",
        autocomplete: "off",
        on: { submit: (/** @type {Event} */ event) => this.submit(event) },
      },
      field("keys.profile", this.profile),
      field("keys.kind", this.kind),
      this.api,
      this.access,
      this.second,
      field("keys.region", this.region),
      h(
        "button",
        { type: "submit", class: "kling-once-button kling-once-primary" },
        words("action.save"),
      ),
    );
    this.element = h(
      "div",
      { class: "kling-once-keys" },
      h("p", { class: "kling-once-note" }, words("keys.explained")),
      this.elsewhere,
      this.profiles,
      form,
      this.said,
    );
    this.showKind();
    this.ready = this.refresh();
  }

  showKind() {
    const pair = this.kind.value === "pair";
    this.api.hidden = pair;
    this.access.hidden = this.second.hidden = !pair;
  }

  /** Begin with the region that the profile has: a new key is seldom of another one. */
  showRegion() {
    const region = this.stored.get(this.profile.value.trim())?.region;
    this.other.hidden = region !== "other";
    if (region) this.region.value = region === "other" ? "" : region;
    else if (!this.region.value) this.region.value = "global";
  }

  /**
   * @param {string} question
   * @param {string} profile
   */
  confirmed(question, profile) {
    const name = profile || words("keys.default");
    const count = this.stored.get(profile)?.unfinished ?? 0;
    const waiting = count > 0 && words("keys.waiting", { count });
    return confirmed([words(question, { name }), waiting].filter(Boolean).join(" "));
  }

  async refresh() {
    const keys = await tried(() => ask("/keys"));
    if (keys) this.show(keys);
  }

  /** @param {any} keys */
  show(keys) {
    this.mayChange = keys.may_change;
    const stored = keys.profiles.filter((/** @type {any} */ one) => one.source === "file");
    this.stored = new Map(stored.map((/** @type {any} */ one) => [one.profile, one]));
    this.showRegion();
    this.elsewhere.hidden = keys.may_change;
    this.elsewhere.textContent = words("keys.elsewhere", { variables: keys.variables });
    fill(this.profiles, ...keys.profiles.map((/** @type {any} */ one) => this.row(one)));
  }

  /** @param {any} one */
  row(one) {
    const name = one.profile || words("keys.default");
    const region = one.region ? words(`keys.${one.region}`) : "";
    const state = words(`keys.state.${one.source}`);
    return h(
      "li",
      { "data-profile": one.profile, "data-source": one.source },
      h("strong", {}, name),
      h("span", { class: "kling-once-key-state" }, [state, region].filter(Boolean).join(" · ")),
      one.source !== "missing" && button(words("action.test"), () => this.test(one.profile)),
      one.source === "file" &&
        button(words("action.forget"), () => this.forget(one.profile, name), {
          class: "kling-once-danger",
        }),
      one.source !== "missing" && one.problem && h("p", { class: "kling-once-trouble" }, one.problem),
    );
  }

  /** @param {Event} event */
  async submit(event) {
    event.preventDefault();
    await this.ready;
    const pair = this.kind.value === "pair";
    const body = {
      profile: this.profile.value.trim(),
      region: this.region.value,
      api_key: pair ? "" : this.apiKey.value,
      access_key: pair ? this.accessKey.value : "",
      secret_key: pair ? this.secretKey.value : "",
    };
    const saved = await trusted(this.mayChange, (code) => this.save({ ...body, code }));
    if (!saved) return;
    for (const input of [this.apiKey, this.accessKey, this.secretKey]) input.value = "";
    this.said.textContent = words("keys.saved");
    api.dispatchEvent(new CustomEvent(KEYS_CHANGED));
    await this.refresh();
  }

  /** @param {any} body */
  async save(body) {
    const replace = this.stored.has(body.profile);
    if (replace && !(await this.confirmed("keys.replace", body.profile))) return undefined;
    this.said.textContent = "";
    return tell("/keys", { ...body, replace });
  }

  /** @param {string} profile */
  async test(profile) {
    this.said.textContent = words("keys.asking");
    try {
      const { packs } = await tell("/keys/test", { profile });
      const left = packs.map((/** @type {any} */ pack) =>
        words("keys.pack", { name: pack.name, left: amountText(pack.left) }),
      );
      this.said.textContent = [words("keys.works"), left.join(", ") || words("keys.no_pack")].join(" ");
    } catch (error) {
      this.said.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  /**
   * @param {string} profile
   * @param {string} name
   */
  async forget(profile, name) {
    if (!(await this.confirmed("keys.forget", profile))) return;
    const keys = await trusted(this.mayChange, (code) => tell("/keys/forget", { profile, code }));
    if (!keys) return;
    notice("success", words("keys.forgotten", { name }));
    api.dispatchEvent(new CustomEvent(KEYS_CHANGED));
    this.show(keys);
  }
}

/** @returns {HTMLInputElement} a field that shows nothing and that no password manager fills */
function secret() {
  return h("input", { type: "password", autocomplete: "new-password", spellcheck: false, maxLength: 512 });
}

/** @param {[string, string][]} options */
function select(options) {
  return h("select", {}, ...options.map(([value, name]) => h("option", { value }, words(name))));
}

/**
 * @param {string} name
 * @param {HTMLElement} control
 */
function field(name, control) {
  return h("label", { class: "kling-once-field" }, h("span", {}, words(name)), control);
}
