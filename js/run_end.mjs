// @ts-check
/** Tell those who look elsewhere that a run is over. */

import { api } from "../../scripts/api.js";
import { notice } from "./notices.mjs";
import { words } from "./words.mjs";
import { isOrdering } from "./node_badge.mjs";
import { app } from "../../scripts/app.js";

/** Say when a run of ours ends while the page is in the background. */
export function tellEnds() {
  /** @type {Set<string>} */
  const ours = new Set();
  api.addEventListener("executed", (/** @type {any} */ event) => {
    const node = app.graph?.getNodeById?.(event.detail?.node);
    if (isOrdering(node)) ours.add(event.detail.prompt_id);
  });
  api.addEventListener("execution_success", (/** @type {any} */ event) => {
    if (ours.delete(event.detail?.prompt_id) && document.hidden) notice("success", words("end.done"));
  });
  api.addEventListener("execution_error", (/** @type {any} */ event) => {
    if (String(event.detail?.node_type ?? "").startsWith("KlingDirect_") && document.hidden) {
      notice("error", words("end.failed", { message: event.detail.exception_message ?? "" }));
    }
  });
}
