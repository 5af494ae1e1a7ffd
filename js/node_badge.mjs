// @ts-check
/** What a node will cost, and what would keep it from running, shown on the node before Run is pressed. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { idOf, isActive, placedNodes, promptOf } from "./graph_part.mjs";
import { KEYS_CHANGED, hear } from "./news.mjs";
import { keepOut } from "./player_widget.mjs";
import { tell } from "./requests.mjs";
import { amountText, clockText, tenthsText, words } from "./words.mjs";

const ORDERING = new Set([
  "KlingOnce_MotionControl",
  "KlingOnce_SubmitMotionControl",
  "KlingOnce_CheckMotionControl",
]);
const QUIET_MS = 350;
/** How long an answer stands; a file may have been replaced under its name meanwhile. */
const FRESH_MS = 5000;
const COLORS = {
  price: ["#ffffff", "#1f4fb2"],
  free: ["#ffffff", "#1d6b34"],
  trouble: ["#ffffff", "#a3262a"],
  note: ["#1b1b1b", "#e8b84a"],
};

/** @typedef {import("./graph_part.mjs").Placed} Placed */
/** @typedef {{ text: string, until: number, closing: AbortController }} Question */

/** @param {any} node */
export function isOrdering(node) {
  return ORDERING.has(node?.comfyClass);
}

/** @returns {Placed[]} our nodes that describe an order, also within subgraphs */
export function orderingNodes() {
  return placedNodes(app.rootGraph ?? app.graph).filter(({ node }) => isOrdering(node));
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
    /** @type {WeakMap<any, Question>} what it was asked last, by node */
    this.asked = new WeakMap();
    this.line = Promise.resolve();
    this.waiting = 0;
    hear((news) => this.hear(news), new AbortController().signal);
    api.addEventListener(KEYS_CHANGED, () => this.anew());
  }

  /** @param {import("./news.mjs").News} news */
  hear(news) {
    if (["kept", "ended", "forgotten"].includes(news.state)) this.anew();
  }

  /** Ask again, although the graph is what it was: a key, a file or the ledger has changed. */
  anew() {
    for (const { node } of orderingNodes()) {
      const question = this.asked.get(node);
      if (question) question.until = 0;
    }
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
    this.waiting = setTimeout(() => this.askAll(), QUIET_MS);
  }

  askAll() {
    keepOut();
    /** @type {Set<any>} a node of a subgraph that is used twice is asked for where it is first */
    const seen = new Set();
    for (const placed of orderingNodes().filter(isActive)) {
      if (seen.has(placed.node)) continue;
      seen.add(placed.node);
      const prompt = promptOf(placed);
      const text = JSON.stringify(prompt);
      const before = this.asked.get(placed.node);
      if (before?.text === text && performance.now() < before.until) continue;
      before?.closing.abort();
      if (before && before.text !== text) this.show(placed.node, { known: true, checking: true }); // no old price
      const question = { text, until: Infinity, closing: new AbortController() };
      this.asked.set(placed.node, question);
      // one after the other: each may decode a clip
      this.line = this.line.then(() => this.ask(placed, prompt, question));
    }
  }

  /**
   * @param {Placed} placed
   * @param {any} prompt
   * @param {Question} question
   */
  async ask(placed, prompt, question) {
    const { signal } = question.closing;
    if (signal.aborted) return;
    const found = await check(placed, prompt, signal).catch(() => null);
    if (signal.aborted) return;
    // what has changed while it was asked makes it old at once
    question.until = found && question.until ? performance.now() + FRESH_MS : 0;
    this.show(placed.node, found);
  }

  /**
   * @param {any} node
   * @param {any} found
   */
  show(node, found) {
    this.found.set(node, found);
    this.pulse.revision += 1;
    node.setDirtyCanvas?.(true, true);
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
 * @param {Placed} placed
 * @param {any} [prompt]
 * @param {AbortSignal} [signal]
 */
export async function check(placed, prompt = promptOf(placed), signal = undefined) {
  return tell("/node", { node_id: idOf(placed), prompt }, signal);
}

/**
 * @param {any} found
 * @returns {[string, string][]} texts with their kinds
 */
export function badgesOf(found) {
  if (!found?.known) return [];
  if (found.checking) return [[words("badge.checking"), "note"]];
  /** @type {[string, string][]} */
  const badges = [price(found)];
  if (found.used) badges.push([usedText(found.used), "note"]);
  const trouble = [
    ...(found.trouble ? [found.trouble] : []),
    ...found.violations.map((/** @type {any} */ one) => one.message),
  ];
  if (trouble.length) badges.push([short(trouble[0]), "trouble"]);
  else if (found.notes.length) badges.push([short(found.notes[0]), "note"]);
  return badges;
}

/**
 * @param {{ start: number, end: number, of: number }} used
 * @returns {string} in tenths where whole seconds would look the same
 */
export function usedText({ start, end, of }) {
  const text = Math.abs(of - end) < 1 ? tenthsText : clockText;
  return words("badge.used", { start: clockText(start), end: text(end), of: text(of) });
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
