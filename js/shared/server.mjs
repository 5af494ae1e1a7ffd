// @ts-check
/**
 * Client of the pack's own routes, and its events over ComfyUI's web socket.
 *
 * A request rejects with the server's message if the server refuses, and with an `AbortError` once its signal
 * is aborted. `types/server.ts` describes the answers.
 */

/**
 * @import { AccountTasks, Account, ApiPrompt, ElementsPage, ElementsQuery, Hosting, Job, JobEvent, JobsPage, JobsQuery,
 *   Keys, KeyTest, LimitName, Limits, NewBucket, NewKey, NewTunnel, NodeCheck, Status, Told, Totals }
 *   from "../../types/server.ts"
 */

import { api } from "./host.mjs";
import { say, t } from "./i18n.mjs";

const PREFIX = "/kling_once";
const JOB_EVENT = "kling_once.job";
/** Sent within the page when a key or a media host was saved or removed: prices and obstacles depend on them. */
const SETUP_EVENT = "kling_once.setup";

/** @type {(signal?: AbortSignal) => Promise<Status>} */
export const getStatus = (signal) => get("/status", {}, signal);

/**
 * Newest first; pages count from 1.
 * @type {(query: JobsQuery, signal: AbortSignal) => Promise<JobsPage>}
 */
export const listJobs = (query, signal) => get("/jobs", query, signal);

/** @type {(jobKey: string, signal: AbortSignal) => Promise<Job>} */
export const getJob = (jobKey, signal) => get(`/jobs/${jobKey}`, {}, signal);

/**
 * The workflow that ordered the job.
 * @type {(jobKey: string) => Promise<{ workflow: object }>}
 */
export const getWorkflow = (jobKey) => get(`/jobs/${jobKey}/workflow`);

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
 * What was spent today and this month.
 * @type {(signal: AbortSignal) => Promise<Totals>}
 */
export const getTotals = (signal) => get("/totals", {}, signal);

/**
 * Switch live submissions off, or on again.
 * @type {(held: boolean) => Promise<Status>}
 */
export const setHold = (held) => post("/hold", { held });

/**
 * Change spending limits, in units. A limit that is left out stays.
 * @type {(body: { [Name in LimitName]?: number } & { code: string }) => Promise<Limits>}
 */
export const setLimits = (body) => post("/limits", body);

/** @type {(signal?: AbortSignal) => Promise<Keys>} */
export const getKeys = (signal) => get("/keys", {}, signal);

/**
 * Store a key on the server. The key is never sent back.
 * @type {(body: NewKey) => Promise<object>}
 */
export const saveKey = (body) => post("/keys", body);

/**
 * Ask the account with a profile's key; free. The prepaid packs that are left.
 * @type {(profile: string) => Promise<KeyTest>}
 */
export const testKey = (profile) => post("/keys/test", { profile });

/**
 * Remove a profile's key from the server.
 * @type {(body: { profile: string, code: string }) => Promise<Keys>}
 */
export const removeKey = (body) => post("/keys/forget", body);

/**
 * Show the folder of results on the server's desktop.
 * @type {(body: { code: string }) => Promise<{ path: string, opened: boolean }>}
 */
export const openResults = (body) => post("/results/open", body);

/** @type {() => Promise<Hosting>} */
export const getHosting = () => get("/hosting");

/**
 * Put local clips into a bucket; it is tried first, and its keys are never sent back.
 * @type {(body: NewBucket) => Promise<Hosting>}
 */
export const useBucket = (body) => post("/hosting/bucket", body);

/**
 * Serve local clips from this server, through a tunnel; it is tried first.
 * @type {(body: NewTunnel) => Promise<Hosting>}
 */
export const useTunnel = (body) => post("/hosting/tunnel", body);

/**
 * Put a small file where local clips are put, and fetch it as Kling would.
 * @type {() => Promise<Hosting>}
 */
export const testHosting = () => post("/hosting/test");

/** @type {(body: { code: string }) => Promise<Hosting>} */
export const forgetHosting = (body) => post("/hosting/forget", body);

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
 * @type {(body: Account & { task_id: string }) => Promise<{ task_id: string }>}
 */
export const adoptTask = (body) => post("/account/adopt", body);

/**
 * Newest first.
 * @type {(query: ElementsQuery, signal?: AbortSignal) => Promise<ElementsPage>}
 */
export const listElements = (query, signal) => get("/elements", query, signal);

/**
 * @param {Account} account
 * @param {string} elementId
 * @returns {string} the URL of its small picture
 */
export function elementPictureUrl(account, elementId) {
  return urlOf(`/elements/${elementId}/picture?${new URLSearchParams(account)}`);
}

/**
 * Delete an element of the account at Kling.
 * @param {string} elementId
 * @param {Account & { code: string }} body
 * @returns {Promise<{ element_id: string }>}
 */
export function deleteElement(elementId, body) {
  return post(`/elements/${elementId}/delete`, body);
}

/**
 * Price and check a node before it runs; spends nothing.
 * @type {(body: { node_id: string, prompt: ApiPrompt }, signal?: AbortSignal) => Promise<NodeCheck>}
 */
export const checkNode = (body, signal) => post("/node", body, signal);

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
 * Hear in which sentences a text comes that ComfyUI shows of a node.
 * @param {(told: Told) => void} listener
 */
export function onWords(listener) {
  api.addCustomEventListener("kling_once.words", (/** @type {CustomEvent} */ { detail }) => listener(detail));
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
 * Hear that this page has changed a key or the media host.
 * @param {() => void} listener
 */
export function onSetupChanged(listener) {
  api.addCustomEventListener(SETUP_EVENT, listener);
}

/** Tell the page that a key or the media host has changed. */
export function announceSetupChanged() {
  /** @type {EventTarget} */ (api).dispatchEvent(new CustomEvent(SETUP_EVENT));
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
  throw new Error(body.said ? say(body.said) : t("failed.answer"));
}
