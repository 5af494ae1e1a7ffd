// @ts-check
/** What running a node would cost, and what would keep it from running, in short texts. */

/**
 * @import { LGraphNode } from "../shared/host.mjs"
 * @import { PlacedNode } from "./graph.mjs"
 * @import { CheckedNode, NodeCheck, UsedPart } from "../../types/server.ts"
 */

import { formatAmount, formatClock, formatClockTenths, t } from "../shared/i18n.mjs";
import { checkNode } from "../shared/server.mjs";
import { allNodes, apiPrompt, executionId } from "./graph.mjs";

/** Nodes that describe an order. */
const ORDERING = new Set([
  "KlingOnce_MotionControl",
  "KlingOnce_SubmitMotionControl",
  "KlingOnce_CheckMotionControl",
]);
const LONGEST_BADGE = 60;

/** @typedef {{ text: string, kind: "price" | "free" | "trouble" | "note" }} BadgeText */

/**
 * Whether the node describes an order, so that it can be priced.
 * @type {(node: LGraphNode) => boolean}
 */
export const isOrdering = (node) => ORDERING.has(node.comfyClass ?? "");

/** @returns {PlacedNode[]} the nodes of the open workflow that describe an order */
export function orderingNodes() {
  return allNodes().filter(({ node }) => isOrdering(node));
}

/**
 * @param {PlacedNode} placed
 * @param {ReturnType<typeof apiPrompt>} [prompt]
 * @param {AbortSignal} [signal]
 * @returns {Promise<NodeCheck>}
 */
export function check(placed, prompt = apiPrompt(placed), signal = undefined) {
  return checkNode({ node_id: executionId(placed), prompt }, signal);
}

/**
 * @param {CheckedNode} found
 * @returns {[BadgeText, ...BadgeText[]]} the price first, at most three
 */
export function badgeTexts(found) {
  /** @type {[BadgeText, ...BadgeText[]]} */
  const badges = [priceBadge(found)];
  if (found.used) badges.push({ text: usedText(found.used), kind: "note" });
  const [problem] = problems(found);
  const [note] = found.notes;
  if (problem) badges.push({ text: shortened(problem), kind: "trouble" });
  else if (note) badges.push({ text: shortened(note), kind: "note" });
  return badges;
}

/**
 * @param {CheckedNode} found
 * @returns {string[]} what keeps the node from running
 */
export function problems({ trouble, violations }) {
  return [...(trouble ? [trouble] : []), ...violations.map(({ message }) => message)];
}

/**
 * @param {UsedPart} used
 * @returns {string} the part of the clip that is sent; in tenths of a second if less than a second is cut off
 */
export function usedText({ start, end, of }) {
  const format = Math.abs(of - end) < 1 ? formatClockTenths : formatClock;
  return t("badge.used", { start: formatClock(start), end: format(end), of: format(of) });
}

/**
 * @param {CheckedNode} found
 * @returns {BadgeText}
 */
function priceBadge({ paid, service, price, rate }) {
  if (paid) return { text: t(service === "sandbox" ? "badge.made" : "badge.paid"), kind: "free" };
  if (service === "sandbox") return { text: t("badge.sandbox"), kind: "free" };
  if (price) {
    const { units, cash, currency } = price;
    const values = { units: formatAmount(units), cash: formatAmount(cash), currency };
    return { text: t("badge.price", values), kind: "price" };
  }
  if (rate) {
    const values = { cash: formatAmount(rate.cash), currency: rate.currency };
    return { text: t("badge.rate", values), kind: "price" };
  }
  return { text: t("badge.unknown"), kind: "price" };
}

/** @param {string} text */
function shortened(text) {
  return text.length > LONGEST_BADGE ? `${text.slice(0, LONGEST_BADGE - 3)}...` : text;
}
