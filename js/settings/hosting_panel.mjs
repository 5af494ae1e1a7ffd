// @ts-check
/** Where local clips are put so that Kling can fetch them: an address, a bucket, or a tunnel to this machine. */

/** @import { Hosting } from "../../types/server.ts" */

import { confirmed, messageOf, withErrorToast, withOneTimeCode } from "../shared/dialogs.mjs";
import { button, field, h, secretInput, setChildren, textInput } from "../shared/dom.mjs";
import { t } from "../shared/i18n.mjs";
import {
  announceSetupChanged,
  forgetHosting,
  getHosting,
  testHosting,
  useBucket,
  useTunnel,
} from "../shared/server.mjs";

const WAYS = /** @type {const} */ (["bucket", "tunnel", "url"]);
/** @typedef {typeof WAYS[number]} Way */

export class HostingPanel {
  /** @param {() => void} useUrl makes the selected node take an address */
  constructor(useUrl) {
    this.mayChange = false;
    this.useUrl = useUrl;
    this.state = h("div", { class: "kling-once-host-state" });
    this.said = h("p", { class: "kling-once-said", role: "status" });
    this.choices = new Map(WAYS.map((way) => [way, this.choice(way)]));
    this.endpoint = textInput({ placeholder: "https://…", inputMode: "url" });
    this.bucket = textInput({ required: true });
    this.prefix = textInput();
    this.region = textInput({ placeholder: "auto, eu-central-1 …" });
    this.accessKey = secretInput();
    this.secretKey = secretInput();
    this.port = h("input", { type: "number", min: "1", max: "65535", required: true, value: "8189" });
    this.command = h("code", {});
    this.port.addEventListener("input", () => this.showCommand());
    this.publicUrl = textInput({ placeholder: "https://…", required: true, inputMode: "url" });
    /** @type {Map<Way, HTMLElement>} */
    this.forms = new Map();
    this.forms.set("bucket", this.bucketForm());
    this.forms.set("tunnel", this.tunnelForm());
    this.forms.set("url", this.urlForm());
    this.element = h(
      "div",
      { class: "kling-once-keys kling-once-hosting" },
      h("p", { class: "kling-once-note" }, t("hosting.explained")),
      this.state,
      h(
        "div",
        { class: "kling-once-ways", role: "radiogroup", "aria-label": t("hosting.way") },
        ...this.choices.values(),
      ),
      ...this.forms.values(),
      this.said,
    );
    this.show("bucket");
    this.showCommand();
    void this.refresh();
  }

  /** @param {Way} way */
  choice(way) {
    const input = h("input", { type: "radio", name: "kling-once-way", value: way });
    input.addEventListener("change", () => this.show(way));
    return h("label", { class: "kling-once-way" }, input, t(`hosting.${way}`));
  }

  bucketForm() {
    return this.form(
      [
        h("p", { class: "kling-once-note" }, t("hosting.bucket_explained")),
        field(t("hosting.endpoint"), this.endpoint),
        field(t("hosting.bucket_name"), this.bucket),
        field(t("hosting.prefix"), this.prefix),
        field(t("hosting.region"), this.region),
        field(t("keys.access_key"), this.accessKey),
        field(t("keys.secret_key"), this.secretKey),
      ],
      (code) =>
        useBucket({
          endpoint: this.endpoint.value.trim(),
          bucket: this.bucket.value.trim(),
          prefix: this.prefix.value.trim(),
          region: this.region.value.trim(),
          access_key: this.accessKey.value,
          secret_key: this.secretKey.value,
          code,
        }),
    );
  }

  tunnelForm() {
    return this.form(
      [
        h("p", { class: "kling-once-note" }, t("hosting.tunnel_explained")),
        field(t("hosting.port"), this.port),
        h("p", {}, this.command),
        field(t("hosting.public_url"), this.publicUrl),
      ],
      (code) => useTunnel({ public_url: this.publicUrl.value.trim(), port: Number(this.port.value), code }),
    );
  }

  urlForm() {
    return h(
      "div",
      { class: "kling-once-keys-form" },
      h("p", { class: "kling-once-note" }, t("hosting.url_explained")),
      button(t("hosting.use_url"), this.useUrl),
    );
  }

  /**
   * @param {HTMLElement[]} parts
   * @param {(code: string) => Promise<Hosting>} save
   */
  form(parts, save) {
    const submit = h(
      "button",
      { type: "submit", class: "kling-once-button kling-once-primary" },
      t("hosting.save"),
    );
    const form = h("form", { class: "kling-once-keys-form", autocomplete: "off" }, ...parts, submit);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.change(submit, save);
    });
    return form;
  }

  /** @param {Way} way */
  show(way) {
    for (const [name, form] of this.forms) form.hidden = name !== way;
    const input = this.choices.get(way)?.querySelector("input");
    if (input) input.checked = true;
  }

  showCommand() {
    this.command.textContent = `cloudflared tunnel --url http://127.0.0.1:${this.port.value}`;
  }

  async refresh() {
    const hosting = await withErrorToast(() => getHosting());
    if (hosting) this.draw(hosting);
  }

  /** @param {Hosting} hosting */
  draw(hosting) {
    const { way, variable, address, endpoint, region, has_key, port, is_saved, may_change } = hosting;
    this.mayChange = may_change;
    const text = way === "none" ? t("hosting.none") : t(`hosting.now_${way}`, { address });
    setChildren(
      this.state,
      h("strong", {}, text),
      variable ? h("p", { class: "kling-once-note" }, t("hosting.fixed", { variable })) : "",
      way !== "none" && button(t("action.test"), () => this.test()),
      is_saved && !variable && button(t("action.forget"), () => this.forget(), { class: "kling-once-danger" }),
    );
    for (const control of this.element.querySelectorAll("form input, form button"))
      control.toggleAttribute("disabled", Boolean(variable));
    this.port.value = String(port);
    this.showCommand();
    if (way === "tunnel") this.publicUrl.value = address;
    if (way !== "bucket") return void (way === "tunnel" && this.show("tunnel"));
    const [bucket = "", ...prefix] = address.replace(/^\w+:\/\//, "").split("/");
    this.endpoint.value = endpoint;
    this.bucket.value = bucket;
    this.prefix.value = prefix.join("/");
    this.region.value = region;
    const kept = has_key ? t("hosting.kept_key") : "";
    for (const input of [this.accessKey, this.secretKey]) input.placeholder = kept;
    return this.show("bucket");
  }

  /**
   * @param {HTMLButtonElement} submit
   * @param {(code: string) => Promise<Hosting>} save
   */
  async change(submit, save) {
    submit.disabled = true;
    this.said.textContent = t("hosting.trying");
    const told = async (/** @type {string} */ code) => {
      try {
        return await save(code);
      } catch (error) {
        this.said.textContent = messageOf(error);
        return undefined;
      }
    };
    const hosting = await withOneTimeCode(this.mayChange, told);
    submit.disabled = false;
    if (!hosting) return;
    for (const input of [this.accessKey, this.secretKey]) input.value = "";
    this.said.textContent = t("hosting.works");
    this.draw(hosting);
    announceSetupChanged();
  }

  async test() {
    this.said.textContent = t("hosting.trying");
    try {
      await testHosting();
      this.said.textContent = t("hosting.works_still");
    } catch (error) {
      this.said.textContent = messageOf(error);
    }
  }

  async forget() {
    if (!(await confirmed(t("hosting.forget")))) return;
    const hosting = await withOneTimeCode(this.mayChange, (code) => forgetHosting({ code }));
    if (!hosting) return;
    this.said.textContent = "";
    this.draw(hosting);
    announceSetupChanged();
  }
}
