// @ts-check
/**
 * A strip inside each of our nodes that orders: its price, everything that keeps it from running with what to
 * do about it, and after a run what became of it.
 */

/**
 * @import { LGraphNode } from "../shared/host.mjs"
 * @import { PlacedNode } from "./graph.mjs"
 * @import { ApiPrompt, CheckedNode, NodeCheck } from "../../types/server.ts"
 * @import { Remedies } from "./remedies.mjs"
 */

import { button, h, setChildren } from "../shared/dom.mjs";
import { addStrip, api } from "../shared/host.mjs";
import { say, sayText, t } from "../shared/i18n.mjs";
import { onJobEvent, onSetupChanged } from "../shared/server.mjs";
import { check, keptText, orderingNodes, priceText, problems, reports, usedText } from "./check.mjs";
import { allNodes, apiPrompt, executionId, isActive, isOurs } from "./graph.mjs";
import { keepPlayersOut } from "./run.mjs";
import { nameSockets } from "./sockets.mjs";
import { SubgraphSums } from "./sums.mjs";
import { isCheck, writeBack } from "./write_back.mjs";

const DEBOUNCE_MS = 350;
/** Requests at once. Each may decode a clip, and the browser has six connections for all of the page. */
const LANES = 3;
/** How long an answer counts for an unchanged graph; a file may be replaced under the same name. */
const FRESH_MS = 5_000;
/** States of a job after which a node may have another price. */
const ENDINGS = ["kept", "ended", "forgotten", "hold"];

/** @typedef {{ text: string, freshUntil: number, aborting: AbortController }} Question the prompt as text */

/**
 * @typedef {object} Strip
 * @property {HTMLElement} element
 * @property {() => void} fit gives the node the height that the strip needs
 * @property {NodeCheck | "checking" | null} found the newest answer
 * @property {Question | null} asked the newest question
 * @property {string} report what the last run of a node that reports has found
 * @property {string} failure why the last run failed, until the next one begins
 */

export class NodeStrips {
  /** @param {Remedies} remedies what buttons do */
  constructor(remedies) {
    this.remedies = remedies;
    this.sums = new SubgraphSums((node) => this.checked(node));
    /** @type {WeakMap<LGraphNode, Strip>} */
    this.strips = new WeakMap();
    /** Each node's request follows the one before it in its lane; the next lane is the first. */
    this.lanes = Array.from({ length: LANES }, () => Promise.resolve());
    this.timer = 0;
    onJobEvent(({ state }) => ENDINGS.includes(state) && this.expire());
    onSetupChanged(() => this.expire());
    api.addEventListener("reconnected", () => this.expire());
    api.addEventListener("executed", ({ detail: { node, output } }) => this.report(String(node), output));
    api.addEventListener("execution_start", () => this.forgetFailures());
    api.addEventListener("execution_error", ({ detail: { node_id, exception_message } }) =>
      this.fail(String(node_id), exception_message.trim()),
    );
  }

  /** Ask again even if the graph has not changed: a key, a file or the ledger has. */
  expire() {
    for (const { node } of orderingNodes()) {
      const question = this.strips.get(node)?.asked;
      if (question) question.freshUntil = 0;
    }
    this.schedule();
  }

  /**
   * Give a node its strip.
   * @param {LGraphNode} node
   */
  add(node) {
    if (this.strips.has(node)) return;
    const element = h("div", { class: "kling-once-strip", role: "status" });
    this.strips.set(node, { element, fit: addStrip(node, element), found: null, asked: null, report: "", failure: "" });
    this.schedule();
  }

  /** Ask as soon as nothing has called this for a moment. */
  schedule() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.askAll(), DEBOUNCE_MS);
  }

  /** Ask now about every node that has changed. */
  askAll() {
    clearTimeout(this.timer);
    keepPlayersOut();
    /** @type {Set<LGraphNode>} a node of a subgraph that is used twice is checked in its first place */
    const seen = new Set();
    for (const placed of orderingNodes()) {
      const strip = this.strips.get(placed.node);
      if (!strip || seen.has(placed.node)) continue;
      if (!isActive(placed)) {
        strip.asked?.aborting.abort();
        strip.asked = null;
        this.show(placed, strip, null);
        continue;
      }
      seen.add(placed.node);
      const prompt = apiPrompt(placed);
      const text = JSON.stringify(prompt);
      const before = strip.asked;
      if (before?.text === text && performance.now() < before.freshUntil) continue;
      before?.aborting.abort();
      if (before?.text !== text) this.show(placed, strip, "checking"); // the price may be another now
      const question = { text, freshUntil: Infinity, aborting: new AbortController() };
      strip.asked = question;
      const lane = this.lanes.shift() ?? Promise.resolve();
      this.lanes.push(lane.then(() => this.ask(placed, strip, prompt, question)));
    }
    for (const { node } of allNodes()) if (isOurs(node)) nameSockets(node);
    this.sums.show();
  }

  /**
   * @param {PlacedNode} placed
   * @param {Strip} strip
   * @param {ApiPrompt} prompt
   * @param {Question} question
   */
  async ask(placed, strip, prompt, question) {
    const { signal } = question.aborting;
    if (signal.aborted) return;
    const found = await check(placed, prompt, signal).catch(() => null);
    if (signal.aborted) return;
    const expired = question.freshUntil === 0; // something has changed since the request
    question.freshUntil = found && !expired ? performance.now() + FRESH_MS : 0;
    this.show(placed, strip, found);
  }

  /**
   * Show a report on its node.
   * @param {string} id of execution
   * @param {object | null} output of the node
   */
  report(id, output) {
    const [report] = /** @type {{ text?: string[] }} */ (output ?? {}).text ?? [];
    if (report) this.note(id, ({ node }) => reports(node) && { report: sayText(report) });
  }

  /**
   * Say on a node why it failed.
   * @param {string} id of execution
   * @param {string} failure
   */
  fail(id, failure) {
    this.note(id, () => ({ failure: sayText(failure) }));
  }

  forgetFailures() {
    for (const placed of allNodes()) {
      const strip = this.strips.get(placed.node);
      if (!strip?.failure) continue;
      strip.failure = "";
      this.show(placed, strip, strip.found);
    }
  }

  /**
   * @param {string} id of execution
   * @param {(placed: PlacedNode) => Partial<Strip> | false} change
   */
  note(id, change) {
    const placed = allNodes().find((one) => executionId(one) === id);
    const strip = placed && this.strips.get(placed.node);
    const changed = strip && change(placed);
    if (!changed) return;
    Object.assign(strip, changed);
    this.show(placed, strip, strip.found);
  }

  /**
   * @param {PlacedNode} placed
   * @param {Strip} strip
   * @param {NodeCheck | "checking" | null} found
   */
  show(placed, strip, found) {
    strip.found = found;
    setChildren(strip.element, ...this.lines(placed, strip));
    strip.fit();
    placed.node.setDirtyCanvas(true, true);
    if (placed.path.length) this.sums.show();
  }

  /**
   * @param {PlacedNode} placed
   * @param {Strip} strip
   * @returns {HTMLElement[]}
   */
  lines({ node }, { found, report, failure }) {
    const reported = report ? [h("pre", { class: "kling-once-report", tabIndex: 0 }, report)] : [];
    const failed = failure ? [line("trouble", failure)] : [];
    if (found === "checking") return [...failed, line("wait", t("badge.checking"))];
    if (!found?.known) return [...failed, ...reported];
    const { kind, text, live } = priceText(found);
    const lines = [...failed, line(kind, text)];
    if (live) lines.push(line("note", live));
    if (found.used) lines.push(line("note", usedText(found.used)));
    if (found.kept) lines.push(line("note", keptText(found.kept, found.service)));
    for (const problem of problems(found)) {
      const remedy = this.remedies.of(problem, node);
      const control = remedy && button(remedy.label, remedy.act, { class: "kling-once-small" });
      lines.push(line("trouble", problem.text, control, problem.message));
    }
    const notes = found.notes.map((note) => line("note", say(note.said)));
    const write = isCheck(node) ? [button(t("remedy.write"), () => writeBack(node))] : [];
    return [...lines, ...notes, ...reported, ...write];
  }

  /**
   * @param {LGraphNode} node
   * @returns {string | null} the task of its kept video
   */
  taskOf(node) {
    return this.checked(node)?.kept?.task_id ?? null;
  }

  /**
   * @param {LGraphNode} node
   * @returns {CheckedNode | null} the newest answer, if it is one
   */
  checked(node) {
    const found = this.strips.get(node)?.found;
    return found && found !== "checking" && found.known ? found : null;
  }
}

/**
 * @param {"price" | "free" | "trouble" | "note" | "wait"} kind
 * @param {string} text
 * @param {HTMLElement | null} [control]
 * @param {string} [title] what the server says, where that is more
 */
function line(kind, text, control, title) {
  const said = h("span", { title: title === text ? undefined : title }, text);
  return h("div", { class: `kling-once-strip-line kling-once-${kind}` }, said, control);
}
