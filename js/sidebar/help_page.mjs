// @ts-check
/** The help of our nodes, from the files in `js/docs/` that ComfyUI's own help panel reads as well. */

import { withErrorToast } from "../shared/dialogs.mjs";
import { h, setChildren } from "../shared/dom.mjs";
import { locale, t } from "../shared/i18n.mjs";

const NODES = [
  "KlingOnce_MotionControl",
  "KlingOnce_CheckMotionControl",
  "KlingOnce_SubmitMotionControl",
  "KlingOnce_CollectMotionControl",
  "KlingOnce_FetchTask",
  "KlingOnce_ListTasks",
  "KlingOnce_VideoFrames",
];

/** Languages with help besides English. A request for any other would log an error in the browser. */
const TRANSLATED = new Set(["zh"]);

export class HelpPage {
  /** @param {AbortSignal} signal ends requests */
  constructor(signal) {
    this.signal = signal;
    this.text = h("article", { class: "kling-once-help" });
    this.choice = h("select", { "aria-label": t("help.node"), on: { change: () => this.open() } });
    for (const node of NODES)
      this.choice.append(h("option", { value: node }, node.replace("KlingOnce_", "")));
    this.element = h(
      "section",
      { class: "kling-once-page" },
      h("div", { class: "kling-once-bar" }, this.choice),
      this.text,
    );
    void this.open();
  }

  /** Show the help of the chosen node. */
  async open() {
    const node = this.choice.value;
    const [base = ""] = locale().split("-");
    const languages = new Set([locale(), base].filter((name) => TRANSLATED.has(name)));
    const paths = [...[...languages].map((name) => `${node}/${name}.md`), `${node}.md`];
    for (const path of paths) {
      const url = new URL(`../docs/${path}`, import.meta.url);
      const response = await withErrorToast(() => fetch(url, { signal: this.signal }));
      if (response?.ok) return setChildren(this.text, ...markdown(await response.text()));
    }
    return setChildren(this.text, t("help.none"));
  }
}

/**
 * Render the Markdown that our help uses: headings, lists, tables, code and bold. All else stays text.
 * @param {string} source
 * @returns {HTMLElement[]} one element for each block
 */
function markdown(source) {
  return source.split(/\n{2,}/).map((block) => {
    const [, marks, title] = /^(#{1,4})\s+(.*)$/s.exec(block) ?? [];
    if (marks && title) return heading(marks.length, title);
    if (/^\s*[-*] /.test(block)) return list(block);
    if (block.startsWith("|")) return table(block);
    return h("p", {}, ...inline(block));
  });
}

/**
 * @param {number} level from 1
 * @param {string} title
 */
function heading(level, title) {
  /** @type {("h3" | "h4" | "h5" | "h6")[]} the page around the help has h1 and h2 */
  const tags = ["h3", "h4", "h5", "h6"];
  return h(tags[level - 1] ?? "h6", {}, title);
}

/** @param {string} block */
function list(block) {
  const items = block.split(/\n(?=[-*] )/).map((item) => item.replace(/^\s*[-*] /, ""));
  return h("ul", {}, ...items.map((item) => h("li", {}, ...inline(item))));
}

/** @param {string} block */
function table(block) {
  const lines = block.split("\n").filter((line) => line.startsWith("|") && !/^\|[\s:|-]+$/.test(line));
  const [head = [], ...rows] = lines.map((line) => {
    const cells = line.replace(/^\||\|\s*$/g, "").split("|");
    return cells.map((cell) => cell.trim());
  });
  return h(
    "table",
    { class: "kling-once-table" },
    h("thead", {}, h("tr", {}, ...head.map((cell) => h("th", {}, ...inline(cell))))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, ...inline(cell)))))),
  );
}

/** @param {string} text */
function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`")) return h("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return h("strong", {}, part.slice(2, -2));
    return part;
  });
}
