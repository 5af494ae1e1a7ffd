// @ts-check
/** What can be done with a job: collect it, put it into the graph, open its workflow, copy its task id. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { notice, tried } from "./notices.mjs";
import { ask, tell } from "./requests.mjs";
import { words } from "./words.mjs";

/** @typedef {import("./job_text.mjs").Job} Job */

/** @param {Job} job */
export async function collect(job) {
  await tried(() => tell(`/jobs/${job.job_key}/collect`));
}

/** @param {Job} job */
export async function openWorkflow(job) {
  const answer = await tried(() => ask(`/jobs/${job.job_key}/workflow`));
  if (answer) await tried(() => app.loadGraphData(answer.workflow));
}

/** @param {Job} job */
export async function copyTaskId(job) {
  await tried(async () => {
    await navigator.clipboard.writeText(job.task_id ?? "");
    notice("success", words("done.copied"));
  });
}

/**
 * Put the kept file into the graph, as a node that loads it.
 * @param {Job} job
 */
export function addAsVideo(job) {
  if (!job.file) return;
  const { filename, subfolder, type } = job.file;
  const name = `${subfolder ? `${subfolder}/` : ""}${filename} [${type}]`;
  addNode("LoadVideo", (/** @type {any} */ node) => {
    const widget = node.widgets?.find((/** @type {any} */ one) => one.name === "file");
    if (!widget) return;
    if (!widget.options.values?.includes?.(name)) {
      widget.options.values = [...(widget.options.values ?? []), name];
    }
    widget.value = name;
    widget.callback?.(name);
  });
}

/**
 * Put a node into the graph that fetches this task whenever it runs.
 * @param {{ task_id: string | null, service: string, profile: string, project: string }} task
 */
export function addAsFetch(task) {
  const values = {
    id: task.task_id,
    by: "task_id",
    service: task.service,
    profile: task.profile,
    project: task.project,
  };
  addNode("KlingDirect_FetchTask", (/** @type {any} */ node) => {
    for (const [name, value] of Object.entries(values)) {
      const widget = node.widgets?.find((/** @type {any} */ one) => one.name === name);
      if (widget) widget.value = value;
    }
  });
}

/**
 * Let a dragged row carry its video; dropped on the canvas it becomes a node that loads it.
 * @param {Job} job
 * @param {DragEvent} event
 */
export function drag(job, event) {
  if (!job.file || !event.dataTransfer) return event.preventDefault();
  const address = api.apiURL(`/view?${new URLSearchParams(job.file)}`);
  event.dataTransfer.setData("text/uri-list", new URL(address, location.href).href);
  event.dataTransfer.effectAllowed = "copy";
}

/**
 * @param {string} type
 * @param {(node: any) => void} fit
 */
function addNode(type, fit) {
  const litegraph = /** @type {any} */ (globalThis).LiteGraph;
  const node = litegraph.createNode(type);
  if (!node) return notice("error", words("failed.node", { type }));
  const area = app.canvas.visible_area;
  node.pos = [area[0] + area[2] / 2 - node.size[0] / 2, area[1] + area[3] / 2 - node.size[1] / 2];
  fit(node); // before the graph looks at its values
  app.graph.add(node);
  app.canvas.selectNode?.(node, false);
  app.graph.setDirtyCanvas(true, true);
  notice("success", words("done.added", { type: node.title }));
  return undefined;
}
