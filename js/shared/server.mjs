// @ts-check
/**
 * Client of the pack's own routes, and its events over ComfyUI's web socket.
 *
 * A request rejects with the server's message if the server refuses, and with an `AbortError` once its signal
 * is aborted. `types/server.ts` describes the answers.
 */

/**
 * @import { AccountTasks, Account, ApiPrompt, Job, JobEvent, JobsPage, JobsQuery, Keys, KeyTest, LimitName,
 *   Limits, NewKey, NodeCheck, Status, Totals } from "../../types/server.ts"
 */

import { api } from "./host.mjs";

const PREFIX = "/kling_once";
const JOB_EVENT = "kling_once.job";
/** Sent within the page when a key was saved or removed: prices depend on the region of a profile's key. */
const KEYS_EVENT = "kling_once.keys";

/**
 * @param {AbortSignal} signal
 * @returns {Promise<Status>}
 */
export function getStatus(signal) {
  return get("/status", {}, signal);
}

/**
 * @param {JobsQuery} query
 * @param {AbortSignal} signal
 * @returns {Promise<JobsPage>} newest first
 */
export function listJobs(query, signal) {
  return get("/jobs", query, signal);
}

/**
 * @param {string} jobKey
 * @param {AbortSignal} signal
 * @returns {Promise<Job>}
 */
export function getJob(jobKey, signal) {
  return get(`/jobs/${jobKey}`, {}, signal);
}

/**
 * @param {string} jobKey
 * @returns {Promise<{ workflow: object }>} the workflow that ordered the job
 */
export function getWorkflow(jobKey) {
  return get(`/jobs/${jobKey}/workflow`);
}

/**
 * Start to fetch the result of a task that was paid; `onJobEvent` tells how it goes.
 * @param {string} jobKey
 */
export async function collectJob(jobKey) {
  await post(`/jobs/${jobKey}/collect`);
}

/**
 * Hide a job from the list.
 * @param {string} jobKey
 * @param {{ delete_file: boolean, code: string }} body
 * @returns {Promise<{ job_key: string }>}
 */
export function forgetJob(jobKey, body) {
  return post(`/jobs/${jobKey}/forget`, body);
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<Totals>} what was spent today and this month
 */
export function getTotals(signal) {
  return get("/totals", {}, signal);
}

/**
 * Switch live submissions off, or on again.
 * @param {boolean} held
 * @returns {Promise<Status>}
 */
export function setHold(held) {
  return post("/hold", { held });
}

/**
 * Change spending limits, in units. A limit that is left out stays.
 * @param {{ [Name in LimitName]?: number } & { code: string }} body
 * @returns {Promise<Limits>}
 */
export function setLimits(body) {
  return post("/limits", body);
}

/**
 * @param {AbortSignal} [signal]
 * @returns {Promise<Keys>}
 */
export function getKeys(signal) {
  return get("/keys", {}, signal);
}

/**
 * Store a key on the server. The key is never sent back.
 * @param {NewKey} body
 * @returns {Promise<object>}
 */
export function saveKey(body) {
  return post("/keys", body);
}

/**
 * Ask the account with a profile's key; free.
 * @param {string} profile
 * @returns {Promise<KeyTest>} the prepaid packs that are left
 */
export function testKey(profile) {
  return post("/keys/test", { profile });
}

/**
 * Remove a profile's key from the server.
 * @param {{ profile: string, code: string }} body
 * @returns {Promise<Keys>}
 */
export function removeKey(body) {
  return post("/keys/forget", body);
}

/**
 * @param {Account & { page: number, page_size: number }} query pages count from 1
 * @param {AbortSignal} signal
 * @returns {Promise<AccountTasks>} newest first
 */
export function listAccountTasks(query, signal) {
  return get("/account", query, signal);
}

/**
 * Take over a task of the account as a job, and start to fetch its result.
 * @param {Account & { task_id: string }} body
 * @returns {Promise<{ task_id: string }>}
 */
export function adoptTask(body) {
  return post("/account/adopt", body);
}

/**
 * Price and check a node before it runs; spends nothing.
 * @param {{ node_id: string, prompt: ApiPrompt }} body
 * @param {AbortSignal} [signal]
 * @returns {Promise<NodeCheck>}
 */
export function checkNode(body, signal) {
  return post("/node", body, signal);
}

/**
 * @param {string} path of a picture, a video or a download, such as `/totals.csv`
 * @returns {string} its URL
 */
export function urlOf(path) {
  return api.apiURL(PREFIX + path);
}

/**
 * Hear that a job has changed, until the signal is aborted.
 * @param {(event: JobEvent) => void} listener
 * @param {AbortSignal} [signal]
 */
export function onJobEvent(listener, signal) {
  /** @param {CustomEvent} event */
  const handle = (event) => listener(event.detail);
  api.addCustomEventListener(JOB_EVENT, handle);
  signal?.addEventListener("abort", () => api.removeCustomEventListener(JOB_EVENT, handle), { once: true });
}

/**
 * Hear that the web socket is back after a break, until the signal is aborted: events may have been missed.
 * @param {() => void} listener
 * @param {AbortSignal} signal
 */
export function onReconnect(listener, signal) {
  api.addEventListener("reconnected", listener);
  signal.addEventListener("abort", () => api.removeEventListener("reconnected", listener), { once: true });
}

/**
 * Hear that this page has saved or removed a key.
 * @param {() => void} listener
 */
export function onKeysChanged(listener) {
  api.addCustomEventListener(KEYS_EVENT, listener);
}

/** Tell the page that a key was saved or removed. */
export function announceKeysChanged() {
  /** @type {EventTarget} */ (api).dispatchEvent(new CustomEvent(KEYS_EVENT));
}

/**
 * @param {string} path
 * @param {object} [query] texts and numbers by name
 * @param {AbortSignal} [signal]
 */
function get(path, query = {}, signal) {
  const text = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  return send(text.size ? `${path}?${text}` : path, { signal });
}

/**
 * @param {string} path
 * @param {object} [body]
 * @param {AbortSignal} [signal]
 */
function post(path, body = {}, signal) {
  return send(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

/**
 * @param {string} path
 * @param {RequestInit} options
 * @returns {Promise<any>} JSON; the exported functions say what it holds
 */
async function send(path, options) {
  const response = await api.fetchApi(PREFIX + path, options);
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new Error([body.message, body.hint].filter(Boolean).join(" ") || "The server gave no answer.");
}
