// @ts-check
/** What running a node would cost, and what would keep it from running, in short texts. */

/**
 * @import { LGraphNode } from "../shared/host.mjs"
 * @import { PlacedNode } from "./graph.mjs"
 * @import { CheckedNode, KeptResult, NodeCheck, Price, Service, UsedPart } from "../../types/server.ts"
 */

import { formatAmount, formatClock, formatClockTenths, say, t } from "../shared/i18n.mjs";
import { checkNode } from "../shared/server.mjs";
import { allNodes, apiPrompt, executionId } from "./graph.mjs";

/** Nodes that describe an order. */
const ORDERING = new Set([
  "KlingOnce_MotionControl",
  "KlingOnce_SubmitMotionControl",
  "KlingOnce_CheckMotionControl",
]);

const REPORTING = new Set(["KlingOnce_CheckMotionControl", "KlingOnce_ListTasks"]);

/**
 * Whether the node describes an order, so that it can be priced.
 * @type {(node: LGraphNode) => boolean}
 */
export const isOrdering = (node) => ORDERING.has(node.comfyClass ?? "");

/**
 * Whether a run of the node ends with a report, which is shown on it.
 * @type {(node: LGraphNode) => boolean}
 */
export const reports = (node) => REPORTING.has(node.comfyClass ?? "");

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
 * What keeps the node from running.
 * @param {CheckedNode} found
 * @returns {{ rule: string, message: string, text: string }[]} `text` is in the page's language
 */
export function problems({ trouble, violations, obstacles }) {
  const broken = [...violations, ...obstacles];
  return [
    ...(trouble ? [{ rule: "trouble", message: trouble.message, text: say(trouble.said) }] : []),
    ...broken.map(({ rule, message, values }) => ({ rule, message, text: say([{ rule, message, values }]) })),
  ];
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
 * @returns {{ text: string, kind: "price" | "free", live?: string | null }} what a run costs; `live` is what
 *   the sandbox's would cost on Kling
 */
export function priceText({ paid, service, price, rate }) {
  if (paid) return { text: t(service === "sandbox" ? "badge.made" : "badge.paid"), kind: "free" };
  const cost = costText(price, rate);
  if (service !== "sandbox") return { text: cost ?? t("badge.unknown"), kind: "price" };
  return { text: t("badge.sandbox"), kind: "free", live: cost && t("badge.live", { cost }) };
}

/**
 * @param {Price | null} price
 * @param {Price | null} rate
 * @returns {string | null} null where neither is known
 */
function costText(price, rate) {
  const known = price ?? rate;
  if (!known) return null;
  const { units, cash, currency } = known;
  const values = { units: formatAmount(units), cash: formatAmount(cash), currency };
  return t(price ? "badge.price" : "badge.rate", values);
}

/**
 * @param {KeptResult} kept
 * @param {Service} service nothing is charged in the sandbox
 * @returns {string} the charge, and where the video lies
 */
export function keptText({ units, cash, currency, path }, service) {
  const money = cash !== null && `${formatAmount(cash)} ${currency ?? ""}`;
  const charge = units === null ? money : t("cost.units", { units: formatAmount(units) });
  const said = charge && t(service === "sandbox" ? "kept.free" : "kept.charge", { charge });
  return [said, t("kept.path", { path })].filter(Boolean).join(" · ");
}
