// @ts-check
/** The way from the sandbox to a Kling account of one's own: a key, a place for local clips, a node that uses them. */

import { orderingNodes } from "../node/check.mjs";
import { HostingPanel } from "../settings/hosting_panel.mjs";
import { KeysPanel } from "../settings/keys_panel.mjs";
import { showToast } from "../shared/dialogs.mjs";
import { button, h } from "../shared/dom.mjs";
import { app } from "../shared/host.mjs";
import { t } from "../shared/i18n.mjs";

export class SetupPage {
  constructor() {
    const useKling = button(t("setup.use_kling"), () => setWidget("service", "kling", "setup.done_kling"));
    this.element = h(
      "section",
      { class: "kling-once-page" },
      h("p", { class: "kling-once-note" }, t("setup.explained")),
      h("h3", {}, t("setup.keys")),
      new KeysPanel().element,
      h("h3", {}, t("setup.hosting")),
      new HostingPanel(() => setWidget("motion_source", "url", "setup.done_url")).element,
      h("h3", {}, t("setup.run")),
      h("p", { class: "kling-once-note" }, t("setup.run_explained")),
      useKling,
    );
  }
}

/**
 * Set a widget of the selected node, or of the only one that orders a video.
 * @param {string} name
 * @param {string} value
 * @param {string} done name of the text that says what has happened
 */
function setWidget(name, value, done) {
  const selected = Object.values(app.canvas.selected_nodes);
  const nodes = orderingNodes().map(({ node }) => node);
  const chosen = nodes.filter((node) => selected.includes(node));
  const [node, ...others] = chosen.length ? chosen : nodes;
  const widget = node?.widgets?.find((one) => one.name === name);
  if (!widget || others.length) return showToast("info", t("setup.no_node"));
  widget.value = value;
  widget.callback?.(value);
  document.dispatchEvent(new Event("change"));
  return showToast("success", t(done));
}
