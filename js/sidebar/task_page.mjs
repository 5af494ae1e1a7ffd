// @ts-check
/** The page of one task: its video, its facts, and what can be done with it. */

/**
 * @import { Job } from "../../types/server.ts"
 * @import { Child } from "../shared/dom.mjs"
 */

import { withErrorToast, withOneTimeCode } from "../shared/dialogs.mjs";
import { button, h, setChildren } from "../shared/dom.mjs";
import { formatClock, t } from "../shared/i18n.mjs";
import { forgetJob, getJob, onJobEvent, onReconnect, urlOf } from "../shared/server.mjs";
import {
  addFetchTask,
  addLoadVideo,
  collect,
  copyElementId,
  copyTaskId,
  makeTaskDraggable,
  makeVideoDraggable,
  openWorkflow,
  taskOf,
} from "./job_actions.mjs";
import {
  canCollect,
  costText,
  isOver,
  isUnsent,
  nameText,
  stateText,
  timeText,
  troubleText,
} from "./job_text.mjs";

export class TaskPage {
  /**
   * @param {Job} job
   * @param {object} options
   * @param {boolean} options.plays whether the video starts at once
   * @param {boolean} options.mayChange whether forgetting needs no one-time code
   * @param {() => void} options.close goes back to the list
   * @param {AbortSignal} options.signal ends listeners and requests
   */
  constructor(job, { plays, mayChange, close, signal }) {
    this.job = job;
    this.plays = plays;
    this.mayChange = mayChange;
    this.close = close;
    this.signal = signal;
    this.body = h("div", { class: "kling-once-page" });
    /** @type {Map<string, { element: HTMLElement, value: string }>} parts of the page, and what they show */
    this.parts = new Map();
    this.back = button(t("action.back"), close, { class: "kling-once-back" });
    this.element = h(
      "section",
      { class: "kling-once-task", "aria-label": nameText(job) },
      this.back,
      this.body,
    );
    this.element.addEventListener("keydown", ({ key }) => key === "Escape" && close(), { signal });
    onJobEvent(({ job_key, state }) => {
      if (job_key === job.job_key && state !== "forgotten") void this.refresh();
    }, signal);
    onReconnect(() => this.refresh(), signal);
    this.draw();
    void this.refresh();
  }

  async refresh() {
    const job = await withErrorToast(() => getJob(this.job.job_key, this.signal));
    if (!job || this.signal.aborted) return;
    this.job = job;
    this.draw();
  }

  draw() {
    const { job } = this;
    const trouble = troubleText(job);
    const possible = [canCollect(job), job.file, job.task_id, job.has_workflow, job.made_element_id];
    this.drawPart("player", job.has_file, () => this.player());
    this.drawPart("name", nameText(job), () => h("h3", {}, nameText(job)));
    this.drawPart("state", [job.state, stateText(job)], () =>
      h("p", { class: "kling-once-state", "data-state": job.state, role: "status" }, stateText(job)),
    );
    this.drawPart("trouble", trouble, () => trouble && h("p", { class: "kling-once-trouble" }, trouble));
    this.drawPart("facts", this.facts(), () => this.factList());
    this.drawPart("actions", possible, () => this.actions());
    this.drawPart("forget", [this.canForget(), job.has_file], () => this.forgetForm());
  }

  /**
   * Draw a part again only if its value has changed, so that a video plays on and a ticked box stays ticked.
   * @param {string} name
   * @param {unknown} value what the part shows
   * @param {() => Child} make
   */
  drawPart(name, value, make) {
    const text = JSON.stringify(value);
    const known = this.parts.get(name);
    if (known?.value === text) return;
    const element = known?.element ?? h("div", { "data-part": name });
    if (!known) this.body.append(element);
    this.parts.set(name, { element, value: text });
    const hadFocus = element.contains(document.activeElement);
    const label = document.activeElement?.textContent;
    setChildren(element, make());
    if (!hadFocus) return;
    const same = [...element.querySelectorAll("button")].find((one) => one.textContent === label);
    (same ?? this.back).focus();
  }

  player() {
    if (!this.job.has_file) return null;
    const path = `/jobs/${this.job.job_key}`;
    return h("video", {
      class: "kling-once-video",
      src: urlOf(`${path}/video`),
      poster: urlOf(`${path}/poster`),
      controls: true,
      loop: true,
      playsInline: true,
      autoplay: this.plays,
      "aria-label": nameText(this.job),
    });
  }

  /** @returns {[name: string, value: string][]} facts that are known */
  facts() {
    const { job } = this;
    /** @type {[string, string][]} */
    const facts = [
      ["fact.when", timeText(job, Date.now())],
      ["fact.length", formatClock(job.result_seconds ?? job.seconds)],
      ["fact.cost", costText(job)],
      ["fact.project", job.project],
      ["fact.profile", job.profile],
      ["fact.model", [job.model, job.mode].filter(Boolean).join(" ")],
      ["fact.take", job.take ? String(job.take) : ""],
      ["fact.prompt", job.prompt ?? ""],
      ["fact.task", job.task_id ?? ""],
      ["fact.element", job.made_element_id ?? ""],
      ["fact.job", job.job_key.slice(0, 10)],
    ];
    return facts.filter(([, value]) => value);
  }

  factList() {
    return h(
      "dl",
      { class: "kling-once-facts" },
      ...this.facts().flatMap(([name, value]) => [h("dt", {}, t(name)), h("dd", {}, value)]),
    );
  }

  actions() {
    const { job } = this;
    const task = taskOf(job);
    const { made_element_id: element } = job;
    const loadVideo = job.file && button(t("action.load_video"), () => addLoadVideo(job));
    if (loadVideo) makeVideoDraggable(loadVideo, job);
    const fetchTask = task && button(t("action.fetch_task"), () => addFetchTask(task));
    if (fetchTask) makeTaskDraggable(fetchTask, task);
    return h(
      "div",
      { class: "kling-once-actions" },
      canCollect(job) && button(t("action.collect"), () => collect(job), { class: "kling-once-primary" }),
      loadVideo,
      fetchTask,
      job.has_workflow && button(t("action.workflow"), () => openWorkflow(job)),
      job.task_id && button(t("action.copy"), () => copyTaskId(job.task_id ?? "")),
      element && button(t("elements.copy"), () => copyElementId(element)),
    );
  }

  canForget() {
    return isOver(this.job) || isUnsent(this.job);
  }

  forgetForm() {
    if (!this.canForget()) return null;
    const withFile = h("input", { type: "checkbox" });
    return h(
      "fieldset",
      { class: "kling-once-forget" },
      h("legend", {}, t("forget.title")),
      h("p", {}, t("forget.explained")),
      this.job.has_file && h("label", {}, withFile, t("forget.file")),
      button(t("action.forget"), () => this.forget(withFile.checked), { class: "kling-once-danger" }),
    );
  }

  /** @param {boolean} deletesFile */
  async forget(deletesFile) {
    const done = await withOneTimeCode(this.mayChange, (code) =>
      forgetJob(this.job.job_key, { delete_file: deletesFile, code }),
    );
    if (done) this.close();
  }
}
