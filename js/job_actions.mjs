// @ts-check
/** What can be done with a job: collect it, put it into the graph, open its workflow, copy its task id. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { notice, shownToCopy, tried } from "./notices.mjs";
import { ask, tell } from "./requests.mjs";
import { words } from "./words.mjs";

/** What ComfyUI's page calls a file that is dragged within it, and what we call a task. */
const ASSET = "application/x-comfy-asset-info";
const TASK = "application/x-kling-once-task";

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
  const text = job.task_id ?? "";
  try {
    await navigator.clipboard.writeText(text);
    notice("success", words("done.copied"));
  } catch {
    await shownToCopy(words("copy.by_hand"), text); // over plain http a browser has no clipboard for pages
  }
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

/** @typedef {{ task_id: string | null, service: string, profile: string, project: string }} Task */

/**
 * Put a node into the graph that fetches this task whenever it runs.
 * @param {Task} task
 * @param {[number, number] | undefined} [place] the middle of what is seen, if none is given
 */
export function addAsFetch(task, place = undefined) {
  const values = {
    id: task.task_id,
    by: "task_id",
    service: task.service,
    profile: task.profile,
    project: task.project,
  };
  const fit = (/** @type {any} */ node) => {
    for (const [name, value] of Object.entries(values)) {
      const widget = node.widgets?.find((/** @type {any} */ one) => one.name === name);
      if (widget) widget.value = value;
    }
  };
  addNode("KlingOnce_FetchTask", fit, place);
}

/**
 * Let what is dragged carry a job: its video where there is one, else its task.
 * @param {HTMLElement} element
 * @param {Job} job
 */
export function carry(element, job) {
  if (job.file) carryVideo(element, job);
  else if (job.task_id) carryTask(element, job);
}

/**
 * Let what is dragged carry a video; dropped on the canvas it becomes a node that loads it.
 * @param {HTMLElement} element
 * @param {Job} job
 */
export function carryVideo(element, job) {
  const { file } = job;
  if (!file) return;
  element.draggable = true;
  element.addEventListener("dragstart", ({ dataTransfer }) => {
    if (!dataTransfer) return;
    const address = api.apiURL(`/view?${new URLSearchParams(file)}`);
    dataTransfer.setData("text/uri-list", new URL(address, location.href).href);
    dataTransfer.setData(ASSET, JSON.stringify({ ...file, display_name: file.filename }));
    dataTransfer.effectAllowed = "copy";
  });
}

/**
 * Let what is dragged carry a task; dropped on the canvas it becomes a node that fetches it.
 * @param {HTMLElement} element
 * @param {Task} task
 */
export function carryTask(element, task) {
  const { task_id, service, profile, project } = task;
  element.draggable = true;
  element.addEventListener("dragstart", ({ dataTransfer }) => {
    if (!dataTransfer) return;
    dataTransfer.setData(TASK, JSON.stringify({ task_id, service, profile, project }));
    dataTransfer.effectAllowed = "copy";
  });
}

/** Take tasks that are dropped on the canvas. */
export function takeDroppedTasks() {
  const canvas = app.canvas.canvas;
  canvas.addEventListener("dragover", (/** @type {DragEvent} */ event) => {
    if (event.dataTransfer?.types.includes(TASK)) event.preventDefault();
  });
  canvas.addEventListener("drop", (/** @type {DragEvent} */ event) => {
    const text = event.dataTransfer?.getData(TASK);
    if (!text) return;
    event.preventDefault(); // or ComfyUI looks for a file in it
    event.stopPropagation();
    const { left, top } = canvas.getBoundingClientRect();
    const { scale, offset } = app.canvas.ds;
    addAsFetch(JSON.parse(text), [
      (event.clientX - left) / scale - offset[0],
      (event.clientY - top) / scale - offset[1],
    ]);
  });
}

/**
 * @param {string} type
 * @param {(node: any) => void} fit
 * @param {[number, number] | undefined} [place]
 */
function addNode(type, fit, place = undefined) {
  const litegraph = /** @type {any} */ (globalThis).LiteGraph;
  const node = litegraph.createNode(type);
  if (!node) return notice("error", words("failed.node", { type }));
  const area = app.canvas.visible_area;
  const middle = [area[0] + area[2] / 2 - node.size[0] / 2, area[1] + area[3] / 2 - node.size[1] / 2];
  node.pos = place ?? middle;
  fit(node); // before the graph looks at its values
  app.canvas.graph.add(node);
  app.canvas.selectNode?.(node, false);
  app.graph.setDirtyCanvas(true, true);
  notice("success", words("done.added", { type: node.title }));
  return undefined;
}
