// @ts-check
/** Badges on our nodes: their price and their problems, before Run is pressed. */

/**
 * @import { LGraphNode } from "../shared/host.mjs"
 * @import { PlacedNode } from "./graph.mjs"
 * @import { ApiPrompt, NodeCheck } from "../../types/server.ts"
 * @import { BadgeText } from "./check.mjs"
 */

import { t } from "../shared/i18n.mjs";
import { onJobEvent, onKeysChanged } from "../shared/server.mjs";
import { badgeTexts, check, orderingNodes } from "./check.mjs";
import { apiPrompt, isActive } from "./graph.mjs";
import { keepPlayersOut } from "./run.mjs";

const DEBOUNCE_MS = 350;
/** How long an answer counts for an unchanged graph; a file may be replaced under the same name. */
const FRESH_MS = 5_000;
const MOST_BADGES = 3;
const COLORS = {
  price: { fgColor: "#ffffff", bgColor: "#1f4fb2" },
  free: { fgColor: "#ffffff", bgColor: "#1d6b34" },
  trouble: { fgColor: "#ffffff", bgColor: "#a3262a" },
  note: { fgColor: "#1b1b1b", bgColor: "#e8b84a" },
};
/** States of a job after which a node may have another price. */
const ENDINGS = ["kept", "ended", "forgotten"];

/** @typedef {{ text: string, freshUntil: number, aborting: AbortController }} Question the prompt as text */

export class NodeBadges {
  /**
   * @param {{ revision: number }} pulse a reactive object of the page. Every badge reads its revision and
   *   every change raises it, so that Nodes 2.0 draws the badges again
   */
  constructor(pulse) {
    this.pulse = pulse;
    /** @type {WeakMap<LGraphNode, NodeCheck | "checking" | null>} newest answers */
    this.found = new WeakMap();
    /** @type {WeakMap<LGraphNode, Question>} newest questions */
    this.asked = new WeakMap();
    this.queue = Promise.resolve();
    this.timer = 0;
    onJobEvent(({ state }) => ENDINGS.includes(state) && this.expire());
    onKeysChanged(() => this.expire());
  }

  /** Ask again even if the graph has not changed: a key, a file or the ledger has. */
  expire() {
    for (const { node } of orderingNodes()) {
      const question = this.asked.get(node);
      if (question) question.freshUntil = 0;
    }
    this.schedule();
  }

  /**
   * Give a node its badges.
   * @param {LGraphNode} node
   */
  add(node) {
    for (let place = 0; place < MOST_BADGES; place += 1) node.badges.push(() => this.badge(node, place));
    this.schedule();
  }

  /** Ask as soon as nothing has called this for a moment. */
  schedule() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.askAll(), DEBOUNCE_MS);
  }

  askAll() {
    keepPlayersOut();
    /** @type {Set<LGraphNode>} a node of a subgraph that is used twice is checked in its first place */
    const seen = new Set();
    for (const placed of orderingNodes().filter(isActive)) {
      if (seen.has(placed.node)) continue;
      seen.add(placed.node);
      const prompt = apiPrompt(placed);
      const text = JSON.stringify(prompt);
      const before = this.asked.get(placed.node);
      if (before?.text === text && performance.now() < before.freshUntil) continue;
      before?.aborting.abort();
      if (before && before.text !== text) this.show(placed.node, "checking"); // the price may be another now
      const question = { text, freshUntil: Infinity, aborting: new AbortController() };
      this.asked.set(placed.node, question);
      this.queue = this.queue.then(() => this.ask(placed, prompt, question)); // each may decode a clip
    }
  }

  /**
   * @param {PlacedNode} placed
   * @param {ApiPrompt} prompt
   * @param {Question} question
   */
  async ask(placed, prompt, question) {
    const { signal } = question.aborting;
    if (signal.aborted) return;
    const found = await check(placed, prompt, signal).catch(() => null);
    if (signal.aborted) return;
    const expired = question.freshUntil === 0; // something has changed since the request
    question.freshUntil = found && !expired ? performance.now() + FRESH_MS : 0;
    this.show(placed.node, found);
  }

  /**
   * @param {LGraphNode} node
   * @param {NodeCheck | "checking" | null} found
   */
  show(node, found) {
    this.found.set(node, found);
    this.pulse.revision += 1;
    node.setDirtyCanvas(true, true);
  }

  /**
   * @param {LGraphNode} node
   * @param {number} place
   */
  badge(node, place) {
    void this.pulse.revision;
    const { text, kind } = this.texts(node)[place] ?? { text: "", kind: "price" };
    return new LGraphBadge({ text, ...COLORS[kind] });
  }

  /**
   * @param {LGraphNode} node
   * @returns {BadgeText[]}
   */
  texts(node) {
    const found = this.found.get(node);
    if (found === "checking") return [{ text: t("badge.checking"), kind: "note" }];
    return found?.known ? badgeTexts(found) : [];
  }
}
