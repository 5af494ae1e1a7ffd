// @ts-check
/** A job in words. */

import { amountText, clockText, words } from "./words.mjs";

/**
 * @typedef {object} Job
 * @property {string} job_key
 * @property {string} service
 * @property {string} project
 * @property {string} profile
 * @property {string} model
 * @property {string} mode
 * @property {number} take
 * @property {string} image_name
 * @property {string} video_name
 * @property {boolean} adopted
 * @property {string} state
 * @property {string | null} stage
 * @property {number} done
 * @property {number} total
 * @property {string | null} task_id
 * @property {string} external_id
 * @property {number | null} seconds
 * @property {number | null} result_seconds
 * @property {number | null} units_estimated
 * @property {number | null} units_charged
 * @property {number | null} cash_charged
 * @property {string | null} currency
 * @property {number | null} usual_seconds
 * @property {string} started_at
 * @property {string | null} submitted_at
 * @property {string | null} ended_at
 * @property {string | null} reason
 * @property {string | null} advice
 * @property {{ message: string, hint: string | null } | null} trouble
 * @property {{ filename: string, subfolder: string, type: string } | null} file
 * @property {boolean} has_file
 * @property {boolean} has_picture
 * @property {boolean} has_workflow
 * @property {string} [prompt]
 */

const OVER = new Set(["kept", "failed", "expired", "rejected"]);

/** @param {Job} job */
export function isUnderWay(job) {
  return job.stage !== null && job.stage !== "kept";
}

/** @param {Job} job */
export function canCollect(job) {
  return !isUnderWay(job) && (["submitted", "succeeded", "unknown"].includes(job.state) || isFileGone(job));
}

/** @param {Job} job */
export function isFileGone(job) {
  return job.state === "kept" && !job.has_file;
}

/** @param {Job} job */
export function isOver(job) {
  return OVER.has(job.state);
}

/**
 * @param {Job} job
 * @returns {boolean} whether nothing was bought, and nobody is about to
 */
export function isUnsent(job) {
  return job.state === "intent" && !isUnderWay(job);
}

/**
 * @param {Job} job
 * @returns {string} where it stands
 */
export function stateText(job) {
  if (isUnderWay(job)) {
    const part = job.total > 0 ? ` ${Math.floor((100 * job.done) / job.total)} %` : "";
    return words(`stage.${job.stage}`) + part;
  }
  return words(`state.${job.state}`);
}

/**
 * @param {Job} job
 * @param {number} now in milliseconds
 * @returns {string} how long it has run, and how long such jobs usually run
 */
export function timeText(job, now) {
  if (isUnderWay(job)) {
    const elapsed = clockText((now - Date.parse(job.submitted_at ?? job.started_at)) / 1000);
    if (!job.usual_seconds) return elapsed;
    return words("time.of", { elapsed, usual: clockText(job.usual_seconds) });
  }
  return new Date(job.started_at).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });
}

/**
 * @param {Job} job
 * @returns {string} what it cost, or may cost
 */
export function costText(job) {
  if (job.service === "sandbox") return words("cost.free");
  if (job.units_charged !== null) return words("cost.paid", { units: amountText(job.units_charged) });
  if (job.cash_charged !== null) return `${amountText(job.cash_charged)} ${job.currency ?? ""}`;
  if (job.state === "rejected" || isUnsent(job) || job.units_estimated === null) return "";
  return words("cost.estimate", { units: amountText(job.units_estimated) });
}

/** @param {Job} job */
export function nameText(job) {
  return job.adopted
    ? `${words("job.task")} ${job.video_name}`
    : `${job.image_name} · ${job.video_name}`;
}

/**
 * @param {Job} job
 * @returns {string} what went wrong and what to do, empty where nothing did
 */
export function troubleText(job) {
  if (job.trouble) return [job.trouble.message, job.trouble.hint].filter(Boolean).join(" ");
  if (isOver(job) && job.state !== "kept") return [job.reason, job.advice].filter(Boolean).join(" ");
  if (isUnsent(job)) return words("job.unsent");
  return isFileGone(job) ? words("job.gone") : "";
}
