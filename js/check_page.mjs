// @ts-check
/** What a check of a node found: its price, what would be refused, and what would be sent. */

import { button, h } from "./elements.mjs";
import { badgesOf, usedText } from "./node_badge.mjs";
import { words } from "./words.mjs";

export class CheckPage {
  /**
   * @param {string} title the node's
   * @param {any} found
   * @param {() => void} close
   */
  constructor(title, found, close) {
    this.back = button(words("action.back"), close, { class: "kling-once-back" });
    const wrong = [found.trouble, ...found.violations.map((/** @type {any} */ one) => one.message)].filter(
      Boolean,
    );
    const [[price]] = badgesOf(found);
    this.element = h(
      "section",
      { class: "kling-once-task", "aria-label": title },
      this.back,
      h(
        "div",
        { class: "kling-once-page", role: "status" },
        h("h3", {}, title),
        h("p", { class: "kling-once-verdict" }, words(wrong.length ? "check.refused" : "check.ready")),
        h("p", {}, [price, found.used && usedText(found.used)].filter(Boolean).join(" · ")),
        list(wrong, "kling-once-trouble"),
        list(found.notes, "kling-once-note"),
        list(found.report, ""),
      ),
    );
  }
}

/**
 * @param {string[]} lines
 * @param {string} kind
 */
function list(lines, kind) {
  return lines.length > 0 && h("ul", { class: kind }, ...lines.map((line) => h("li", {}, line)));
}
