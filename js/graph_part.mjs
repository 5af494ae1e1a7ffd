// @ts-check
/**
 * The part of the page's graph that leads to a node, as ComfyUI's server reads it.
 *
 * Only values and links are read. Asking widgets to serialize themselves, as queueing does, would stop a
 * recording or upload a picture at every click.
 */

const MUTED = 2;
const BYPASSED = 4;
const SUBGRAPH_INPUT = -10;

/**
 * @typedef {object} Placed
 * @property {any} node
 * @property {any[]} path the subgraph nodes that it lies in, outermost first
 */

/** @typedef {{ from: Placed, slot: number } | { value: any }} Source */

/**
 * Find every node, also within subgraphs.
 * @param {any} graph
 * @param {any[]} [path]
 * @returns {Placed[]}
 */
export function placedNodes(graph, path = []) {
  return (graph?.nodes ?? []).flatMap((/** @type {any} */ node) => {
    const inner = isSubgraph(node) && !path.includes(node) ? placedNodes(node.subgraph, [...path, node]) : [];
    return [{ node, path }, ...inner];
  });
}

/**
 * @param {Placed} placed
 * @returns {string} such as `3`, or `12:3` for a node of a subgraph
 */
export function idOf({ node, path }) {
  return [...path, node].map((one) => one.id).join(":");
}

/**
 * @param {Placed} placed
 * @returns {boolean} whether it runs: neither it nor a subgraph around it is muted or bypassed
 */
export function isActive({ node, path }) {
  return [...path, node].every((one) => one.mode === 0);
}

/**
 * Return the API prompt of a node and of everything that leads to it.
 * @param {Placed} placed
 * @returns {Record<string, { class_type: string, inputs: Record<string, any> }>}
 */
export function promptOf(placed) {
  /** @type {Record<string, any>} */
  const prompt = {};
  const open = [placed];
  while (open.length) {
    const next = /** @type {Placed} */ (open.pop());
    const id = idOf(next);
    if (prompt[id]) continue;
    /** @type {Record<string, any>} */
    const inputs = {};
    for (const widget of next.node.widgets ?? []) {
      if (widget.name && widget.options?.serialize !== false) inputs[widget.name] = constant(widget.value);
    }
    for (const [slot, input] of (next.node.inputs ?? []).entries()) {
      const source = inputSource(next, slot, new Set());
      if (!source) continue;
      if ("value" in source) inputs[input.name] = constant(source.value);
      else {
        inputs[input.name] = [idOf(source.from), source.slot];
        open.push(source.from);
      }
    }
    prompt[id] = { class_type: next.node.comfyClass, inputs };
  }
  return prompt;
}

/** @param {any} value a list is wrapped: a bare one would be a link */
function constant(value) {
  return Array.isArray(value) ? { __value__: value } : value;
}

/** @param {any} node */
function isSubgraph(node) {
  return Boolean(node.isSubgraphNode?.());
}

/**
 * @param {Placed} placed
 * @param {number} slot
 * @param {Set<string>} seen
 * @returns {Source | undefined}
 */
function inputSource({ node, path }, slot, seen) {
  const step = `${idOf({ node, path })}<${slot}`;
  const link = node.graph?.getLink?.(node.inputs[slot]?.link);
  if (!link || seen.has(step)) return undefined;
  seen.add(step);
  if (Number(link.origin_id) === SUBGRAPH_INPUT) {
    const owner = path[path.length - 1];
    const outer = owner?.inputs?.[link.origin_slot];
    if (!outer) return undefined;
    if (outer.link !== null && outer.link !== undefined)
      return inputSource({ node: owner, path: path.slice(0, -1) }, link.origin_slot, seen);
    const widget = owner.widgets?.find((/** @type {any} */ one) => one.name === outer.name);
    return widget && { value: widget.value };
  }
  const origin = node.graph.getNodeById(link.origin_id);
  return origin && outputSource({ node: origin, path }, link.origin_slot, node.inputs[slot].type, seen);
}

/**
 * @param {Placed} placed
 * @param {number} slot
 * @param {string} type what the taker takes
 * @param {Set<string>} seen
 * @returns {Source | undefined}
 */
function outputSource({ node, path }, slot, type, seen) {
  if (node.mode === MUTED) return undefined;
  if (node.mode === BYPASSED) {
    const way = bypass(node, slot, type);
    return way < 0 ? undefined : inputSource({ node, path }, way, seen);
  }
  if (isSubgraph(node)) {
    const inner = node.resolveSubgraphOutputLink?.(slot);
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
  if (node.inputs?.[slot]) return inputSource({ node, path }, slot, seen);
  return node.type === "PrimitiveNode" && node.widgets?.length
    ? { value: node.widgets[0].value }
    : undefined;
}

/**
 * @param {any} node
 * @param {number} slot
 * @param {string} type
 * @returns {number} the input that a bypassed node passes on, -1 where there is none
 */
function bypass(node, slot, type) {
  const inputs = node.inputs ?? [];
  if (inputs[slot]?.type === type) return slot;
  return inputs.findIndex((/** @type {any} */ input) => input.type === type);
}
