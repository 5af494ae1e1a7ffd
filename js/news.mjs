// @ts-check
/** What the server says of jobs: a key and a state, over the page's own socket. */

import { api } from "../../scripts/api.js";

export const EVENT = "kling_once.job";
/** What the page tells itself when a key was saved or forgotten: a profile may be of another region now. */
export const KEYS_CHANGED = "kling_once.keys";

/**
 * @typedef {{ job_key: string, state: string }} News
 */

/**
 * Hear news until the signal aborts.
 * @param {(news: News) => void} listener
 * @param {AbortSignal} signal
 */
export function hear(listener, signal) {
  /** @param {any} event */
  const handle = (event) => listener(event.detail);
  api.addEventListener(EVENT, handle);
  signal.addEventListener("abort", () => api.removeEventListener(EVENT, handle), { once: true });
}

/**
 * Hear that the socket came back after a break: news may have been missed.
 * @param {() => void} listener
 * @param {AbortSignal} signal
 */
export function hearReturn(listener, signal) {
  api.addEventListener("reconnected", listener);
  signal.addEventListener("abort", () => api.removeEventListener("reconnected", listener), { once: true });
}
