// @ts-check
/** Everything about one task: its video, what is known of it, and what can be done with it. */

import { button, fill, h } from "./elements.mjs";
import { addAsFetch, addAsVideo, carryTask, carryVideo, collect, copyTaskId, openWorkflow } from "./job_actions.mjs";
import { canCollect, costText, isOver, isUnsent, nameText, stateText, timeText, troubleText } from "./job_text.mjs";
import { hear, hearReturn } from "./news.mjs";
import { trusted, tried } from "./notices.mjs";
import { addressOf, ask, tell } from "./requests.mjs";
import { clockText, words } from "./words.mjs";

/** @typedef {import("./job_text.mjs").Job} Job */

export class TaskPage {
  /**
   * @param {Job} job
   * @param {{ plays: boolean, mayChange: boolean, close: () => void, signal: AbortSignal }} options
   */
  constructor(job, { plays, mayChange, close, signal }) {
    this.job = job;
    this.plays = plays;
    this.mayChange = mayChange;
    this.close = close;
    this.signal = signal;
    this.body = h("div", { class: "kling-once-page" });
    /** @type {Map<string, { element: HTMLElement, shows: string }>} parts of the page, and what they show */
    this.parts = new Map();
    this.back = button(words("action.back"), close, { class: "kling-once-back" });
    this.element = h(
      "section",
      { class: "kling-once-task", "aria-label": nameText(job) },
      this.back,
      this.body,
    );
    this.element.addEventListener(
      "keydown",
      (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && close(),
      { signal },
    );
    hear(
      (news) => void (news.job_key === job.job_key && news.state !== "forgotten" && this.refresh()),
      signal,
    );
    hearReturn(() => void this.refresh(), signal);
    this.draw();
    void this.refresh();
  }

  async refresh() {
    const job = await tried(() => ask(`/jobs/${this.job.job_key}`, {}, this.signal));
    if (!job || this.signal.aborted) return;
    this.job = job;
    this.draw();
  }

  draw() {
    const { job } = this;
    const trouble = troubleText(job);
    const can = [canCollect(job), job.file, job.task_id, job.has_workflow];
    this.part("player", job.has_file, () => this.player());
    this.part("name", nameText(job), () => h("h3", {}, nameText(job)));
    this.part("state", [job.state, stateText(job)], () =>
      h("p", { class: "kling-once-state", "data-state": job.state, role: "status" }, stateText(job)),
    );
    this.part("trouble", trouble, () => trouble && h("p", { class: "kling-once-trouble" }, trouble));
    this.part("facts", this.factRows(), () => this.facts());
    this.part("actions", can, () => this.actions());
    this.part("forget", [isOver(job) || isUnsent(job), job.has_file], () => this.forgetting());
  }

  /**
   * Draw a part anew if it would show something else. What stays keeps the video playing, the keyboard's place
   * and a tick that was set.
   * @param {string} name
   * @param {any} value
   * @param {() => import("./elements.mjs").Child} make
   */
  part(name, value, make) {
    const shows = JSON.stringify(value);
    const known = this.parts.get(name);
    if (known?.shows === shows) return;
    const element = known?.element ?? h("div", { "data-part": name });
    if (!known) this.body.append(element);
    this.parts.set(name, { element, shows });
    const had = element.contains(document.activeElement);
    const label = document.activeElement?.textContent;
    fill(element, make());
    if (!had) return;
    const buttons = /** @type {HTMLElement[]} */ ([...element.querySelectorAll("button")]);
    (buttons.find((one) => one.textContent === label) ?? this.back).focus();
  }

  player() {
    if (!this.job.has_file) return null;
    const path = `/jobs/${this.job.job_key}`;
    return h("video", {
      class: "kling-once-video",
      src: addressOf(`${path}/video`),
      poster: addressOf(`${path}/poster`),
      controls: true,
      loop: true,
      playsInline: true,
      autoplay: this.plays,
      "aria-label": nameText(this.job),
    });
  }

  /** @returns {string[][]} names and values, without those that are not known */
  factRows() {
    const { job } = this;
    return [
      ["fact.when", timeText(job, Date.now())],
      ["fact.length", clockText(job.result_seconds ?? job.seconds)],
      ["fact.cost", costText(job)],
      ["fact.project", job.project],
      ["fact.profile", job.profile],
      ["fact.model", [job.model, job.mode].filter(Boolean).join(" ")],
      ["fact.take", job.take ? String(job.take) : ""],
      ["fact.prompt", job.prompt ?? ""],
      ["fact.task", job.task_id ?? ""],
      ["fact.job", job.job_key.slice(0, 10)],
    ].filter(([, value]) => value);
  }

  facts() {
    return h(
      "dl",
      { class: "kling-once-facts" },
      ...this.factRows().flatMap(([name, value]) => [h("dt", {}, words(name)), h("dd", {}, value)]),
    );
  }

  actions() {
    const { job } = this;
    return h(
      "div",
      { class: "kling-once-actions" },
      canCollect(job) &&
        button(words("action.collect"), () => collect(job), { class: "kling-once-primary" }),
      job.file && this.carrier("action.load_video", addAsVideo, carryVideo),
      job.task_id && this.carrier("action.fetch_task", addAsFetch, carryTask),
      job.has_workflow && button(words("action.workflow"), () => openWorkflow(job)),
      job.task_id && button(words("action.copy"), () => copyTaskId(job)),
    );
  }

  /**
   * Make a button that adds a node to the graph when it is pressed, and where it is dropped.
   * @param {string} name
   * @param {(job: Job) => void} add
   * @param {(element: HTMLElement, job: Job) => void} carries
   */
  carrier(name, add, carries) {
    const { job } = this;
    const control = button(words(name), () => add(job));
    carries(control, job);
    return control;
  }

  forgetting() {
    if (!isOver(this.job) && !isUnsent(this.job)) return null;
    const tick = h("input", { type: "checkbox" });
    return h(
      "fieldset",
      { class: "kling-once-forget" },
      h("legend", {}, words("forget.title")),
      h("p", {}, words("forget.explained")),
      this.job.has_file && h("label", {}, tick, words("forget.file")),
      button(words("action.forget"), () => this.forget(tick.checked), { class: "kling-once-danger" }),
    );
  }

  /** @param {boolean} deletesFile */
  async forget(deletesFile) {
    const body = { delete_file: deletesFile };
    const done = await trusted(this.mayChange, (code) =>
      tell(`/jobs/${this.job.job_key}/forget`, { ...body, code }),
    );
    if (done) this.close();
  }
}
