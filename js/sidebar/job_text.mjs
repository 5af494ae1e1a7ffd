// @ts-check
/** A job's state, cost, name and problems in short texts. */

/** @import { AttemptState, Job } from "../../types/server.ts" */

import { formatAmount, formatClock, formatMoment, say, t } from "../shared/i18n.mjs";

/** As many words of a prompt tell rows apart. */
const PROMPT_WORDS = 6;
/** @type {Set<AttemptState>} */
const FINAL = new Set(["kept", "failed", "expired", "rejected"]);
/** @type {Set<AttemptState>} */
const COLLECTABLE = new Set(["submitted", "succeeded", "unknown"]);

/**
 * Whether the server is working on it.
 * @type {(job: Job) => boolean}
 */
export const isUnderWay = (job) => job.stage !== null && job.stage !== "kept";

/**
 * Whether a result that was paid may be fetched now.
 * @type {(job: Job) => boolean}
 */
export const canCollect = (job) => !isUnderWay(job) && (COLLECTABLE.has(job.state) || isFileGone(job));

/**
 * Whether a video was kept, but its file is missing.
 * @type {(job: Job) => boolean}
 */
const isFileGone = (job) => job.kind === "video" && job.state === "kept" && !job.has_file;

/**
 * Whether its state is final.
 * @type {(job: Job) => boolean}
 */
export const isOver = (job) => FINAL.has(job.state);

/**
 * Whether nothing was submitted, and nothing is about to be.
 * @type {(job: Job) => boolean}
 */
export const isUnsent = (job) => job.state === "intent" && !isUnderWay(job);

/**
 * @param {Job} job
 * @returns {string} its state, or its stage and progress while it is under way
 */
export function stateText(job) {
  if (!isUnderWay(job)) return t(`state.${job.state}`);
  const progress = job.total > 0 ? ` ${Math.floor((100 * job.done) / job.total)} %` : "";
  return t(`stage.${job.stage}`) + progress;
}

/**
 * @param {Job} job
 * @param {number} now in milliseconds since 1970
 * @returns {string} how long it has run, and how long similar jobs take; when it began if it is not under way
 */
export function timeText(job, now) {
  if (isUnderWay(job)) {
    const elapsed = formatClock((now - Date.parse(job.submitted_at ?? job.started_at)) / 1000);
    if (!job.usual_seconds) return elapsed;
    return t("time.of", { elapsed, usual: formatClock(job.usual_seconds) });
  }
  return formatMoment(job.started_at);
}

/**
 * @param {Job} job
 * @returns {string} what it cost, or may cost; empty if nothing is known
 */
export function costText(job) {
  if (job.service === "sandbox") return t("cost.free");
  const money = job.money === null ? "" : `${formatAmount(job.money)} ${job.money_currency ?? ""}`;
  const inMoney = money && ` (${money})`;
  if (job.units_charged !== null) return t("cost.paid", { units: formatAmount(job.units_charged) }) + inMoney;
  if (job.cash_charged !== null) return money;
  if (job.state === "rejected" || isUnsent(job) || job.units_estimated === null) return "";
  return t("cost.estimate", { units: formatAmount(job.units_estimated) }) + inMoney;
}

/**
 * @param {Job} job
 * @returns {string} its take, and the first words of its prompt, else its inputs; its task if it was adopted,
 *   since nothing else is known
 */
export function nameText(job) {
  if (job.kind === "element") return `${t("job.element")} ${job.element_name}`;
  if (job.adopted) return `${t("job.task")} ${job.video_name}`;
  const take = job.take && t("job.take", { take: job.take });
  return [take, promptStart(job) || inputsText(job)].filter(Boolean).join(" · ");
}

/**
 * @param {Job} job
 * @returns {string} what it costs, its project, its inputs where its name says the prompt, and its length
 */
export function factsText(job) {
  const length = job.seconds === null ? "" : formatClock(job.result_seconds ?? job.seconds);
  const inputs = promptStart(job) && !job.adopted ? inputsText(job) : "";
  return [costText(job), job.project, inputs, length].filter(Boolean).join(" · ");
}

/** @param {Job} job */
const inputsText = ({ image_name, video_name }) => [image_name, video_name].filter(Boolean).join(" · ");

/** @param {Job} job */
const promptStart = ({ prompt }) => (prompt ?? "").trim().split(/\s+/).slice(0, PROMPT_WORDS).join(" ");

/**
 * @param {Job} job
 * @returns {string} what went wrong and what to do about it; empty if nothing did
 */
export function troubleText(job) {
  if (job.trouble) return say(job.trouble.said);
  if (isOver(job) && job.state !== "kept") return say(job.ending);
  if (isUnsent(job)) return t("job.unsent");
  return isFileGone(job) ? t("job.gone") : "";
}
