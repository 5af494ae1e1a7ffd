// @ts-check
/** Ask the pack's own routes. */

import { api } from "../../scripts/api.js";

/** The server's refusal, in words for people. */
export class Refusal extends Error {
  /** @param {{ error?: string, message?: string, hint?: string | null }} body */
  constructor(body) {
    super([body.message, body.hint].filter(Boolean).join(" ") || "The server gave no answer.");
    this.kind = body.error ?? "";
  }
}

/**
 * @param {string} path
 * @param {Record<string, string | number>} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function ask(path, query = {}, signal = undefined) {
  const text = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  return send(`/kling_once${path}${text.size ? `?${text}` : ""}`, { signal });
}

/**
 * @param {string} path
 * @param {Record<string, any>} [body]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function tell(path, body = {}, signal = undefined) {
  return send(`/kling_once${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

/**
 * @param {string} path
 * @returns {string} the address of a picture, a video or a file to download
 */
export function addressOf(path) {
  return api.apiURL(`/kling_once${path}`);
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function send(path, options) {
  const answer = await api.fetchApi(path, options);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refusal(body);
  return body;
}
