// @ts-check
/** What a node will cost, and what would keep it from running, shown on the node before Run is pressed. */

import { app } from "../../scripts/app.js";
import { hear } from "./news.mjs";
import { tell } from "./requests.mjs";
import { amountText, clockText, words } from "./words.mjs";

const ORDERING = new Set([
  "KlingDirect_MotionControl",
  "KlingDirect_SubmitMotionControl",
  "KlingDirect_CheckMotionControl",
]);
const QUIET_MS = 350;
const COLORS = {
  price: ["#ffffff", "#1f4fb2"],
  free: ["#ffffff", "#1d6b34"],
  trouble: ["#ffffff", "#a3262a"],
  note: ["#1b1b1b", "#e8b84a"],
};

/** @param {any} node */
export function isOrdering(node) {
  return ORDERING.has(node?.comfyClass);
}

export class NodeBadges {
  /**
   * @param {{ revision: number }} pulse something of the page's own that it watches: Nodes 2.0 asks for badges
   *   anew when a value that they read has changed
   */
  constructor(pulse) {
    this.pulse = pulse;
    /** @type {WeakMap<any, any>} what the server said, by node */
    this.found = new WeakMap();
    /** @type {WeakMap<any, string>} what it was asked, by node */
    this.asked = new WeakMap();
    this.waiting = 0;
    this.round = 0;
    hear((news) => this.hear(news), new AbortController().signal);
  }

  /** @param {import("./news.mjs").News} news */
  hear(news) {
    if (!["kept", "ended", "forgotten"].includes(news.state)) return;
    this.asked = new WeakMap();
    this.later();
  }

  /**
   * Give a node its badges; they are told anew whenever something of the graph changes.
   * @param {any} node
   */
  add(node) {
    node.badges ??= [];
    for (let place = 0; place < 3; place += 1) node.badges.push(() => this.badge(node, place));
    this.later();
  }

  /** Ask once nothing has changed for a moment. */
  later() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => void this.askAll(), QUIET_MS);
  }

  nodes() {
    /** @type {any[]} */
    const all = app.graph?.nodes ?? [];
    return all.filter((node) => isOrdering(node) && node.mode === 0);
  }

  async askAll() {
    const nodes = this.nodes();
    if (!nodes.length) return;
    this.round += 1;
    const { round } = this;
    const prompt = await app.graphToPrompt().catch(() => null);
    if (!prompt) return;
    for (const node of nodes) {
      const question = JSON.stringify(upstream(prompt.output, String(node.id)));
      if (this.asked.get(node) === question) continue;
      // one after the other: each may decode a clip
      const found = await check(node, prompt.output).catch(() => null);
      if (round !== this.round) return;
      if (found) this.asked.set(node, question);
      this.found.set(node, found);
      this.pulse.revision += 1;
      node.setDirtyCanvas?.(true, true);
    }
  }

  /**
   * @param {any} node
   * @param {number} place
   */
  badge(node, place) {
    void this.pulse.revision;
    const shown = badgesOf(this.found.get(node))[place];
    const [text, kind] = shown ?? ["", "price"];
    const [fgColor, bgColor] = COLORS[/** @type {keyof typeof COLORS} */ (kind)];
    const Badge = /** @type {any} */ (globalThis).LGraphBadge;
    return Badge ? new Badge({ text, fgColor, bgColor }) : { text, fgColor, bgColor };
  }
}

/**
 * @param {any} node
 * @param {any} prompt
 */
export async function check(node, prompt) {
  return tell("/node", { node_id: String(node.id), prompt: upstream(prompt, String(node.id)) });
}

/**
 * Keep of a prompt what leads to a node.
 * @param {Record<string, any>} prompt
 * @param {string} id
 */
function upstream(prompt, id) {
  /** @type {Record<string, any>} */
  const kept = {};
  const open = [id];
  while (open.length) {
    const next = /** @type {string} */ (open.pop());
    if (kept[next] || !prompt[next]) continue;
    kept[next] = { class_type: prompt[next].class_type, inputs: prompt[next].inputs };
    for (const value of Object.values(prompt[next].inputs ?? {})) {
      if (Array.isArray(value) && value.length === 2) open.push(String(value[0]));
    }
  }
  return kept;
}

/**
 * @param {any} found
 * @returns {[string, string][]} texts with their kinds
 */
export function badgesOf(found) {
  if (!found?.known) return [];
  /** @type {[string, string][]} */
  const badges = [price(found)];
  if (found.used) {
    const { start, end, of } = found.used;
    badges.push([
      words("badge.used", { start: clockText(start), end: clockText(end), of: clockText(of) }),
      "note",
    ]);
  }
  const trouble = [
    ...(found.trouble ? [found.trouble] : []),
    ...found.violations.map((/** @type {any} */ one) => one.message),
  ];
  if (trouble.length) badges.push([short(trouble[0]), "trouble"]);
  else if (found.notes.length) badges.push([short(found.notes[0]), "note"]);
  return badges;
}

/**
 * @param {any} found
 * @returns {[string, string]}
 */
function price(found) {
  if (found.paid) return [words(found.service === "sandbox" ? "badge.made" : "badge.paid"), "free"];
  if (found.service === "sandbox") return [words("badge.sandbox"), "free"];
  if (found.price) {
    const { units, cash, currency } = found.price;
    return [words("badge.price", { units: amountText(units), cash: amountText(cash), currency }), "price"];
  }
  if (found.rate)
    return [
      words("badge.rate", { cash: amountText(found.rate.cash), currency: found.rate.currency }),
      "price",
    ];
  return [words("badge.unknown"), "price"];
}

/** @param {string} text */
function short(text) {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
