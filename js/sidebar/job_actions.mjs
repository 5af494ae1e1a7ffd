// @ts-check
/** What can be done with a job: collect it, copy its task id, open its workflow, put it into the graph. */

/**
 * @import { LGraphNode } from "../shared/host.mjs"
 * @import { Job } from "../../types/server.ts"
 */

import { showToast, showToCopy, withErrorToast, withOneTimeCode } from "../shared/dialogs.mjs";
import { api, app } from "../shared/host.mjs";
import { t } from "../shared/i18n.mjs";
import { collectJob, getStatus, getWorkflow, openResults } from "../shared/server.mjs";

/** The type under which ComfyUI's page drags a file of the server. */
const ASSET_TYPE = "application/x-comfy-asset-info";
const TASK_TYPE = "application/x-kling-once-task";
const VIDEO_TYPE = "application/x-kling-once-video";

/** @typedef {{ task_id: string, service: string, profile: string, project: string }} TaskRef */

/**
 * Start to fetch a result that was paid.
 * @param {Job} job
 */
export async function collect(job) {
  await withErrorToast(() => collectJob(job.job_key));
}

/**
 * Copy a task's id to the clipboard.
 * @param {string} taskId
 */
export async function copyTaskId(taskId) {
  await copyText(taskId, t("done.copied"), t("copy.by_hand"));
}

/**
 * Copy an element's id to the clipboard.
 * @param {string} elementId
 */
export async function copyElementId(elementId) {
  await copyText(elementId, t("elements.copied"), t("elements.by_hand"));
}

/**
 * @param {string} text
 * @param {string} done what to say afterwards
 * @param {string} byHand what to say where the browser does not copy
 */
async function copyText(text, done, byHand) {
  try {
    await navigator.clipboard.writeText(text);
    showToast("success", done);
  } catch {
    await showToCopy(byHand, text); // a page that came over plain HTTP has no clipboard
  }
}

/** Show the folder of results on the server's desktop, else its path. */
export async function openResultsFolder() {
  const status = await withErrorToast(() => getStatus());
  if (!status) return;
  const folder = await withOneTimeCode(status.may_change, (code) => openResults({ code }));
  if (folder && !folder.opened) await showToCopy(t("copy.folder"), folder.path);
}

/**
 * Open the workflow that ordered a job.
 * @param {Job} job
 */
export async function openWorkflow(job) {
  await withErrorToast(async () => {
    const { workflow } = await getWorkflow(job.job_key);
    await app.loadGraphData(workflow);
  });
}

/**
 * Add a Load Video node with a job's kept file.
 * @param {Pick<Job, "file">} job
 * @param {[number, number]} [place] in the graph's coordinates; the middle of the visible part by default
 */
export function addLoadVideo({ file }, place) {
  if (!file) return;
  const name = `${file.subfolder ? `${file.subfolder}/` : ""}${file.filename} [${file.type}]`;
  addNode("LoadVideo", (node) => {
    const widget = node.widgets?.find((one) => one.name === "file");
    if (!widget) return;
    const { options } = widget;
    const values = Array.isArray(options.values) ? options.values : [];
    if (!values.includes(name)) options.values = [...values, name];
    widget.value = name;
    widget.callback?.(name);
  }, place);
}

/**
 * Add a Kling Fetch Task node.
 * @param {TaskRef} task
 * @param {[number, number]} [place] in the graph's coordinates; the middle of the visible part by default
 */
export function addFetchTask({ task_id, service, profile, project }, place) {
  const values = new Map(Object.entries({ id: task_id, by: "task_id", service, profile, project }));
  const fit = (/** @type {LGraphNode} */ node) => {
    for (const widget of node.widgets ?? []) {
      if (values.has(widget.name)) widget.value = values.get(widget.name);
    }
  };
  addNode("KlingOnce_FetchTask", fit, place);
}

/**
 * Let an element be dragged as a job's video, else as its task.
 * @param {HTMLElement} element
 * @param {Job} job
 */
export function makeJobDraggable(element, job) {
  const task = taskOf(job);
  if (job.file) makeVideoDraggable(element, job);
  else if (task) makeTaskDraggable(element, task);
}

/**
 * Let an element be dragged as a job's kept file. On the canvas it becomes a Load Video node.
 * @param {HTMLElement} element
 * @param {Job} job
 */
export function makeVideoDraggable(element, { file }) {
  if (!file) return;
  const url = new URL(api.apiURL(`/view?${new URLSearchParams(file)}`), location.href).href;
  makeDraggable(element, {
    "text/uri-list": url,
    [ASSET_TYPE]: JSON.stringify({ ...file, display_name: file.filename }),
    [VIDEO_TYPE]: JSON.stringify(file),
  });
}

/**
 * Let an element be dragged as a task. On the canvas it becomes a Kling Fetch Task node.
 * @param {HTMLElement} element
 * @param {TaskRef} task
 */
export function makeTaskDraggable(element, task) {
  makeDraggable(element, { [TASK_TYPE]: JSON.stringify(task) });
}

/**
 * @param {Job} job
 * @returns {TaskRef | null} null if the job has no task yet, or makes no video
 */
export function taskOf({ kind, task_id, service, profile, project }) {
  return kind === "video" && task_id ? { task_id, service, profile, project } : null;
}

/**
 * Make nodes of the tasks and videos that are dropped on an empty place of the canvas.
 *
 * ComfyUI would open the graph that a kept video carries; to that, the page of a task has a button.
 */
export function acceptDroppedJobs() {
  const { canvas } = app.canvas;
  canvas.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes(TASK_TYPE)) event.preventDefault();
  });
  canvas.addEventListener("drop", (event) => {
    const task = event.dataTransfer?.getData(TASK_TYPE);
    const video = event.dataTransfer?.getData(VIDEO_TYPE);
    const place = app.clientPosToCanvasPos([event.clientX, event.clientY]);
    if (!task && (!video || app.canvas.graph?.getNodeOnPos(...place))) return;
    event.preventDefault();
    event.stopPropagation(); // or ComfyUI looks for a file in it
    if (task) addFetchTask(JSON.parse(task), place);
    else if (video) addLoadVideo({ file: JSON.parse(video) }, place);
  });
}

/**
 * @param {HTMLElement} element
 * @param {Record<string, string>} data by media type
 */
function makeDraggable(element, data) {
  element.draggable = true;
  element.addEventListener("dragstart", ({ dataTransfer }) => {
    if (!dataTransfer) return;
    for (const [type, text] of Object.entries(data)) dataTransfer.setData(type, text);
    dataTransfer.effectAllowed = "copy";
  });
}

/**
 * @param {string} type
 * @param {(node: LGraphNode) => void} fit sets the widgets
 * @param {[number, number]} [place]
 */
function addNode(type, fit, place) {
  const node = LiteGraph.createNode(type);
  if (!node) return showToast("error", t("failed.node", { type }));
  const { x, y, width, height } = app.canvas.visible_area;
  node.pos = place ?? [x + (width - node.size[0]) / 2, y + (height - node.size[1]) / 2];
  fit(node); // before the graph reads its values
  app.canvas.graph?.add(node);
  app.canvas.selectNode(node, false);
  app.canvas.setDirty(true, true);
  return showToast("success", t("done.added", { type: node.title }));
}
