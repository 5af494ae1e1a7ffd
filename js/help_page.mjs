// @ts-check
/** The help of our nodes, read from the same files as ComfyUI's own help panel. */

import { fill, h } from "./elements.mjs";
import { tried } from "./notices.mjs";
import { language, words } from "./words.mjs";

const NODES = [
  "KlingOnce_MotionControl",
  "KlingOnce_CheckMotionControl",
  "KlingOnce_SubmitMotionControl",
  "KlingOnce_CollectMotionControl",
  "KlingOnce_FetchTask",
  "KlingOnce_ListTasks",
  "KlingOnce_VideoFrames",
];

/** Languages that have help besides English; asking for another one is an error in the browser's console. */
const TRANSLATED = new Set(["zh"]);

export class HelpPage {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.signal = signal;
    this.text = h("article", { class: "kling-once-help" });
    this.choice = h("select", { "aria-label": words("help.node"), on: { change: () => void this.open() } });
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

  async open() {
    const node = this.choice.value;
    const own = [language(), language().split("-")[0]].filter((name) => TRANSLATED.has(name));
    const places = [...own.map((name) => `docs/${node}/${name}.md`), `docs/${node}.md`];
    for (const place of new Set(places)) {
      const answer = await tried(() => fetch(new URL(place, import.meta.url), { signal: this.signal }));
      if (answer?.ok) return void fill(this.text, ...markdown(await answer.text()));
    }
    fill(this.text, words("help.none"));
  }
}

/**
 * Show the little of Markdown that our help uses; what is not known stays text.
 * @param {string} source
 * @returns {HTMLElement[]}
 */
export function markdown(source) {
  return source.split(/\n{2,}/).map((block) => {
    const heading = /^(#{1,4})\s+(.*)$/s.exec(block);
    if (heading) return h(`h${Math.min(6, heading[1].length + 2)}`, {}, heading[2]);
    if (/^\s*[-*] /.test(block))
      return h(
        "ul",
        {},
        ...block.split(/\n(?=[-*] )/).map((line) => h("li", {}, ...inline(line.replace(/^\s*[-*] /, "")))),
      );
    if (/^\|/.test(block)) return table(block);
    return h("p", {}, ...inline(block));
  });
}

/** @param {string} block */
function table(block) {
  const rows = block.split("\n").filter((line) => line.startsWith("|") && !/^\|[\s:|-]+$/.test(line));
  const cells = rows.map((line) =>
    line
      .replace(/^\||\|\s*$/g, "")
      .split("|")
      .map((cell) => cell.trim()),
  );
  return h(
    "table",
    { class: "kling-once-table" },
    h("thead", {}, h("tr", {}, ...(cells[0] ?? []).map((cell) => h("th", {}, ...inline(cell))))),
    h(
      "tbody",
      {},
      ...cells.slice(1).map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, ...inline(cell))))),
    ),
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
