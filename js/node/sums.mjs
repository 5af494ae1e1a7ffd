// @ts-check
/** A strip on a subgraph node that holds nodes of ours: what they cost together, and how many cannot run. */

/**
 * @import { LGraphNode } from "../shared/host.mjs"
 * @import { CheckedNode, Price } from "../../types/server.ts"
 */

import { h, setChildren } from "../shared/dom.mjs";
import { addStrip } from "../shared/host.mjs";
import { formatAmount, t } from "../shared/i18n.mjs";
import { orderingNodes, problems } from "./check.mjs";
import { allNodes } from "./graph.mjs";

export class SubgraphSums {
  /** @param {(node: LGraphNode) => CheckedNode | null} checked what is known of a node of ours */
  constructor(checked) {
    this.checked = checked;
    /** @type {WeakMap<LGraphNode, { element: HTMLElement, fit: () => void }>} */
    this.strips = new WeakMap();
  }

  /** Show the sum on every subgraph node. */
  show() {
    const ordering = orderingNodes();
    for (const { node } of allNodes()) {
      if (!node.isSubgraphNode()) continue;
      const inside = ordering.filter(({ path }) => path.some((one) => one === node));
      if (inside.length) this.showOn(node, inside.map((placed) => this.checked(placed.node)));
      else if (this.strips.has(node)) this.showOn(node, []);
    }
  }

  /**
   * @param {LGraphNode} owner
   * @param {(CheckedNode | null)[]} found
   */
  showOn(owner, found) {
    let strip = this.strips.get(owner);
    if (!strip) {
      const element = h("div", { class: "kling-once-strip", role: "status" });
      strip = { element, fit: addStrip(owner, element) };
      this.strips.set(owner, strip);
    }
    setChildren(strip.element, ...lines(found.filter((one) => one !== null)));
    strip.fit();
  }
}

/** @param {CheckedNode[]} found */
function lines(found) {
  if (!found.length) return [];
  const paying = found.filter(({ service, paid }) => service === "kling" && !paid);
  const prices = paying.map(({ price }) => price).filter((price) => price !== null);
  const stuck = found.filter((one) => problems(one).length).length;
  return [
    paying.length ? null : line("free", t("badge.free")),
    prices.length ? line("price", sumText(prices)) : null,
    prices.length < paying.length ? line("price", t("badge.unknown")) : null,
    stuck ? line("trouble", t("badge.stuck", { count: stuck })) : null,
  ].filter((one) => one !== null);
}

/**
 * @param {Price[]} prices
 * @returns {string} units, and money where all of it is of one currency
 */
function sumText(prices) {
  /** @param {(price: Price) => number} of */
  const sum = (of) => formatAmount(prices.reduce((total, price) => total + of(price), 0));
  const units = sum((price) => price.units);
  const [{ currency } = { currency: "" }] = prices;
  if (prices.some((price) => price.currency !== currency)) return t("cost.estimate", { units });
  return t("badge.price", { units, cash: sum((price) => price.cash), currency });
}

/**
 * @param {string} kind
 * @param {string} text
 */
function line(kind, text) {
  return h("div", { class: `kling-once-strip-line kling-once-${kind}` }, h("span", {}, text));
}
