// @ts-check
/** One row of the task list. */

/** @import { Job } from "../../types/server.ts" */

import { button, h } from "../shared/dom.mjs";
import { t } from "../shared/i18n.mjs";
import { urlOf } from "../shared/server.mjs";
import { collect, copyTaskId, makeJobDraggable } from "./job_actions.mjs";
import { canCollect, factsText, isUnderWay, nameText, stateText, timeText, troubleText } from "./job_text.mjs";

/** As in the style sheet. */
export const ROW_HEIGHT_PX = 92;

/** @typedef {(job: Job, plays: boolean) => void} OpenJob shows a job's page; `plays` starts its video */

/**
 * @param {Job | null} job null while it is loading
 * @param {number} index its place in the whole list, from 0
 * @param {number} total length of the whole list
 * @param {OpenJob} open
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
    row.append(h("div", { class: "kling-once-waiting" }, t("list.loading")));
    return row;
  }
  row.dataset.key = job.job_key;
  row.dataset.state = isUnderWay(job) ? "under_way" : job.state;
  makeJobDraggable(row, job);
  row.addEventListener("click", () => open(job, false));
  row.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target !== row) return;
    event.preventDefault(); // or the same key would press the button that gets the focus
    open(job, false);
  });
  row.append(pictures(job), texts(job), buttons(job, open));
  row.setAttribute("aria-label", `${nameText(job)}, ${stateText(job)}`);
  return row;
}

/**
 * Update a row's time. Nothing else of a row changes without an event.
 * @param {HTMLElement} row
 * @param {Job} job
 */
export function updateTime(row, job) {
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
  const image = h("img", { src: urlOf(path), alt: "", loading: "lazy", draggable: false });
  image.addEventListener("error", () => image.classList.add("kling-once-none"));
  return image;
}

/** @param {Job} job */
function texts(job) {
  const trouble = troubleText(job);
  const { task_id } = job;
  const facts = factsText(job);
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
      : h("div", { class: "kling-once-facts-line", title: facts }, facts),
    task_id &&
      h(
        "div",
        { class: "kling-once-line kling-once-id" },
        h("span", {}, task_id),
        button(t("action.copy"), () => copyTaskId(task_id), {
          icon: "pi pi-copy",
          class: "kling-once-small",
        }),
      ),
  );
}

/**
 * @param {Job} job
 * @param {OpenJob} open
 */
function buttons(job, open) {
  return h(
    "div",
    { class: "kling-once-buttons" },
    job.has_file && button(t("action.play"), () => open(job, true), { icon: "pi pi-play" }),
    canCollect(job) && button(t("action.collect"), () => collect(job), { icon: "pi pi-download" }),
    button(t("action.more"), () => open(job, false), { icon: "pi pi-chevron-right" }),
  );
}
