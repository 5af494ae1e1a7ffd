// @ts-check
/** One row of the list of tasks. */

import { button, h } from "./elements.mjs";
import { carry, collect, copyTaskId } from "./job_actions.mjs";
import { canCollect, costText, isUnderWay, nameText, stateText, timeText, troubleText } from "./job_text.mjs";
import { addressOf } from "./requests.mjs";
import { clockText, words } from "./words.mjs";

export const ROW_HEIGHT_PX = 92;

/** @typedef {import("./job_text.mjs").Job} Job */

/**
 * @param {Job | null} job null while it is being fetched
 * @param {number} index
 * @param {number} total
 * @param {(job: Job, plays: boolean) => void} open
 * @returns {HTMLElement}
 */
export function taskRow(job, index, total, open) {
  const row = h("div", {
    class: "kling-once-row",
    role: "listitem",
    tabIndex: -1,
    "data-index": String(index),
    "aria-setsize": String(total),
    "aria-posinset": String(index + 1),
  });
  row.style.top = `${index * ROW_HEIGHT_PX}px`;
  if (!job) {
    row.append(h("div", { class: "kling-once-waiting" }, words("list.loading")));
    return row;
  }
  row.dataset.key = job.job_key;
  row.dataset.state = isUnderWay(job) ? "under_way" : job.state;
  carry(row, job);
  row.addEventListener("click", () => open(job, false));
  row.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || event.target !== row) return;
    event.preventDefault(); // or the same key would press the button that gets the focus
    open(job, false);
  });
  row.append(pictures(job), texts(job), buttons(job, open));
  row.setAttribute("aria-label", `${nameText(job)}, ${stateText(job)}`);
  return row;
}

/**
 * Write the time anew; nothing else of a row changes by itself.
 * @param {HTMLElement} row
 * @param {Job} job
 */
export function tick(row, job) {
  const time = row.querySelector(".kling-once-time");
  if (time) time.textContent = timeText(job, Date.now());
}

/** @param {Job} job */
function pictures(job) {
  return h(
    "div",
    { class: "kling-once-pictures" },
    job.has_picture && picture(`/jobs/${job.job_key}/picture`),
    job.has_file && picture(`/jobs/${job.job_key}/poster`),
  );
}

/** @param {string} path */
function picture(path) {
  return h("img", {
    src: addressOf(path),
    alt: "",
    loading: "lazy",
    draggable: false,
    on: {
      error: (/** @type {Event} */ event) =>
        /** @type {HTMLElement} */ (event.target).classList.add("kling-once-none"),
    },
  });
}

/** @param {Job} job */
function texts(job) {
  const trouble = troubleText(job);
  const facts = [
    job.seconds !== null && clockText(job.result_seconds ?? job.seconds),
    costText(job),
    job.project,
  ].filter(Boolean);
  return h(
    "div",
    { class: "kling-once-texts" },
    h("div", { class: "kling-once-name", title: nameText(job) }, nameText(job)),
    h(
      "div",
      { class: "kling-once-line" },
      h("span", { class: "kling-once-state" }, stateText(job)),
      h("span", { class: "kling-once-time" }, timeText(job, Date.now())),
    ),
    trouble
      ? h("div", { class: "kling-once-trouble", title: trouble }, trouble)
      : h("div", { class: "kling-once-line" }, facts.join(" · ")),
    job.task_id &&
      h(
        "div",
        { class: "kling-once-line kling-once-id" },
        h("span", {}, job.task_id),
        button(words("action.copy"), () => copyTaskId(job), {
          icon: "pi pi-copy",
          class: "kling-once-small",
        }),
      ),
  );
}

/**
 * @param {Job} job
 * @param {(job: Job, plays: boolean) => void} open
 */
function buttons(job, open) {
  return h(
    "div",
    { class: "kling-once-buttons" },
    job.has_file && button(words("action.play"), () => open(job, true), { icon: "pi pi-play" }),
    canCollect(job) && button(words("action.collect"), () => collect(job), { icon: "pi pi-download" }),
    button(words("action.more"), () => open(job, false), { icon: "pi pi-chevron-right" }),
  );
}
