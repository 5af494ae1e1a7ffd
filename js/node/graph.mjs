// @ts-check
/**
 * The open workflow: its nodes, also those inside subgraphs, and the API prompt of a node.
 *
 * The prompt is made from values and links alone. ComfyUI's own serialisation, which runs when a workflow is
 * queued, has side effects: it stops recordings and uploads pictures.
 */

/**
 * @import { LGraph, LGraphNode, SubgraphNode } from "../shared/host.mjs"
 * @import { ApiPrompt } from "../../types/server.ts"
 */

import { app } from "../shared/host.mjs";

const ALWAYS = 0;
const MUTED = 2;
const BYPASSED = 4;
/** Stands for the subgraph's own inputs where a link's origin is named. */
const SUBGRAPH_INPUT = -10;

/**
 * @typedef {object} PlacedNode
 * @property {LGraphNode} node
 * @property {SubgraphNode[]} path the subgraph nodes around it, outermost first
 */

/** @typedef {{ from: PlacedNode, slot: number } | { value: unknown }} Source an output, or a constant */

/** @returns {PlacedNode[]} every node of the open workflow, also those inside subgraphs */
export function allNodes() {
  return nodesOf(app.rootGraph, []);
}

/**
 * @param {LGraph} graph
 * @param {SubgraphNode[]} path
 * @returns {PlacedNode[]}
 */
function nodesOf(graph, path) {
  return graph.nodes.flatMap((node) => {
    const inner =
      node.isSubgraphNode() && !path.includes(node) ? nodesOf(node.subgraph, [...path, node]) : [];
    return [{ node, path }, ...inner];
  });
}

/**
 * Whether the node belongs to this pack.
 * @type {(node: LGraphNode) => boolean}
 */
export const isOurs = (node) => node.comfyClass?.startsWith("KlingOnce_") ?? false;

/**
 * @param {PlacedNode} placed
 * @returns {string} how ComfyUI names the node when it runs: `3`, or `12:3` inside a subgraph
 */
export function executionId({ node, path }) {
  return [...path, node].map((one) => one.id).join(":");
}

/**
 * @param {PlacedNode} placed
 * @returns {boolean} whether it runs: neither it nor a subgraph around it is muted or bypassed
 */
export function isActive({ node, path }) {
  return [...path, node].every((one) => one.mode === ALWAYS);
}

/**
 * @param {PlacedNode} placed
 * @returns {ApiPrompt} the node and everything that leads to it
 */
export function apiPrompt(placed) {
  /** @type {ApiPrompt} */
  const prompt = {};
  const open = [placed];
  for (let next = open.pop(); next; next = open.pop()) {
    const id = executionId(next);
    if (prompt[id]) continue;
    /** @type {Record<string, unknown>} */
    const inputs = {};
    for (const widget of next.node.widgets ?? []) {
      if (widget.name && widget.options?.serialize !== false) inputs[widget.name] = constant(widget.value);
    }
    for (const [slot, input] of next.node.inputs.entries()) {
      const source = inputSource(next, slot, new Set());
      if (!source) continue;
      if ("value" in source) inputs[input.name] = constant(source.value);
      else {
        inputs[input.name] = [executionId(source.from), source.slot];
        open.push(source.from);
      }
    }
    prompt[id] = { class_type: next.node.comfyClass ?? "", inputs };
  }
  return prompt;
}

/** @param {unknown} value a list is wrapped, since the server reads a bare one as a link */
function constant(value) {
  return Array.isArray(value) ? { __value__: value } : value;
}

/**
 * Follow the link of an input to the output or the constant that feeds it.
 * @param {PlacedNode} placed
 * @param {number} slot
 * @param {Set<string>} seen inputs on the way so far, so that a circle ends
 * @returns {Source | undefined}
 */
function inputSource({ node, path }, slot, seen) {
  const step = `${executionId({ node, path })}<${slot}`;
  const input = node.inputs[slot];
  const link = input && node.graph?.getLink(input.link);
  if (!link || seen.has(step)) return undefined;
  seen.add(step);
  if (Number(link.origin_id) === SUBGRAPH_INPUT) return subgraphInputSource(path, link.origin_slot, seen);
  const origin = node.graph?.getNodeById(link.origin_id);
  return origin ? outputSource({ node: origin, path }, link.origin_slot, input.type, seen) : undefined;
}

/**
 * @param {SubgraphNode[]} path
 * @param {number} slot of the innermost subgraph node's inputs
 * @param {Set<string>} seen
 * @returns {Source | undefined}
 */
function subgraphInputSource(path, slot, seen) {
  const owner = path.at(-1);
  const outer = owner?.inputs[slot];
  if (!owner || !outer) return undefined;
  if (outer.link !== null && outer.link !== undefined)
    return inputSource({ node: owner, path: path.slice(0, -1) }, slot, seen);
  const widget = owner.widgets.find(({ name }) => name === outer.name);
  return widget && { value: widget.value };
}

/**
 * @param {PlacedNode} placed
 * @param {number} slot
 * @param {string | number} type that the input takes
 * @param {Set<string>} seen
 * @returns {Source | undefined}
 */
function outputSource({ node, path }, slot, type, seen) {
  if (node.mode === MUTED) return undefined;
  if (node.mode === BYPASSED) {
    const input = bypassedInput(node, slot, type);
    return input < 0 ? undefined : inputSource({ node, path }, input, seen);
  }
  if (node.isSubgraphNode()) {
    const inner = node.resolveSubgraphOutputLink(slot);
    if (!inner?.outputNode) return undefined;
    return outputSource(
      { node: inner.outputNode, path: [...path, node] },
      inner.link.origin_slot,
      type,
      seen,
    );
  }
  if (!node.isVirtualNode) return { from: { node, path }, slot };
  const other = node.resolveVirtualOutput?.(slot);
  if (other) return outputSource({ node: other.node, path }, other.slot, type, seen);
  if (node.inputs[slot]) return inputSource({ node, path }, slot, seen);
  const [widget] = node.widgets ?? [];
  return node.type === "PrimitiveNode" && widget ? { value: widget.value } : undefined;
}

/**
 * @param {LGraphNode} node
 * @param {number} slot of an output
 * @param {string | number} type
 * @returns {number} the input that the bypassed node passes on, -1 if there is none
 */
function bypassedInput({ inputs }, slot, type) {
  if (inputs[slot]?.type === type) return slot;
  return inputs.findIndex((input) => input.type === type);
}
