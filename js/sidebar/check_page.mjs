// @ts-check
/** What a check of a node found: its price, what would be refused, and what would be sent. */

/** @import { CheckedNode, Told } from "../../types/server.ts" */

import { priceText, problems, usedText } from "../node/check.mjs";
import { button, h } from "../shared/dom.mjs";
import { say, t } from "../shared/i18n.mjs";

export class CheckPage {
  /**
   * @param {string} title of the node
   * @param {CheckedNode} found
   * @param {() => void} close goes back to the list
   */
  constructor(title, found, close) {
    this.back = button(t("action.back"), close, { class: "kling-once-back" });
    const facts = [priceText(found).text, ...(found.used ? [usedText(found.used)] : [])];
    const wrong = problems(found).map(({ text }) => text);
    this.element = h(
      "section",
      { class: "kling-once-task", "aria-label": title },
      this.back,
      h(
        "div",
        { class: "kling-once-page", role: "status" },
        h("h3", {}, title),
        h("p", { class: "kling-once-verdict" }, t(wrong.length ? "check.refused" : "check.ready")),
        h("p", {}, facts.join(" · ")),
        list(wrong, "kling-once-trouble"),
        list(texts(found.notes), "kling-once-note"),
        list(texts(found.report), ""),
      ),
    );
  }
}

/** @param {Told[]} lines */
const texts = (lines) => lines.map(({ said }) => say(said));

/**
 * @param {string[]} lines
 * @param {string} className
 */
function list(lines, className) {
  return lines.length > 0 && h("ul", { class: className }, ...lines.map((line) => h("li", {}, line)));
}
