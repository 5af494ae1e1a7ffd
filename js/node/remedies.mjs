// @ts-check
/** What a button on a node can do about a thing that keeps it from running. */

/** @import { LGraphNode } from "../shared/host.mjs" */

import { withErrorToast } from "../shared/dialogs.mjs";
import { t } from "../shared/i18n.mjs";
import { setHold } from "../shared/server.mjs";

/** @typedef {{ label: string, act: () => void }} Remedy */

/** Limits that a change of `conform` keeps. */
const CONFORMED = /^(image|video)\.(format|size|side|ratio|container)/;

export class Remedies {
  /**
   * @param {{ keys: () => void, hosting: () => void, totals: () => void }} open views of the sidebar
   * @param {() => void} changed is called after a widget was set
   */
  constructor(open, changed) {
    this.open = open;
    this.changed = changed;
  }

  /**
   * @param {{ rule: string, message: string }} problem what is broken
   * @param {LGraphNode} node
   * @returns {Remedy | null}
   */
  of({ rule, message }, node) {
    if (rule === "key") return { label: t("remedy.key"), act: this.open.keys };
    if (rule === "limit" && message.includes("(max_units)"))
      return this.widget(node, "max_units", 0, "remedy.own_limit");
    if (rule === "limit") return { label: t("remedy.limit"), act: this.open.totals };
    if (rule === "hold") return { label: t("hold.release"), act: () => withErrorToast(() => setHold(false)) };
    if (rule === "video.hosting") return { label: t("remedy.hosting"), act: this.open.hosting };
    if (rule === "video.duration.max") return this.widget(node, "conform", "auto, trim to limit", "remedy.trim");
    if (CONFORMED.test(rule)) return this.widget(node, "conform", "auto", "remedy.conform");
    return null;
  }

  /**
   * @param {LGraphNode} node
   * @param {string} name
   * @param {string | number} value
   * @param {string} label name of its text
   * @returns {Remedy | null} null where the widget has that value already, or is not there
   */
  widget(node, name, value, label) {
    const widget = node.widgets?.find((one) => one.name === name);
    if (!widget || widget.value === value) return null;
    const act = () => {
      widget.value = value;
      widget.callback?.(value);
      this.changed();
    };
    return { label: t(label), act };
  }
}
