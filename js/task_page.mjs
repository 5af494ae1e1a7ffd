// @ts-check
/** Everything about one task: its video, what is known of it, and what can be done with it. */

import { button, fill, h } from "./elements.mjs";
import { addAsFetch, addAsVideo, collect, copyTaskId, openWorkflow } from "./job_actions.mjs";
import { canCollect, costText, isOver, nameText, stateText, timeText, troubleText } from "./job_text.mjs";
import { hear } from "./news.mjs";
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
    this.body = h("div", { class: "kling-direct-page" });
    this.back = button(words("action.back"), close, { class: "kling-direct-back" });
    this.element = h(
      "section",
      { class: "kling-direct-task", "aria-label": nameText(job) },
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
    this.draw();
    void this.refresh();
  }

  async refresh() {
    const had = this.job.has_file;
    const job = await tried(() => ask(`/jobs/${this.job.job_key}`, {}, this.signal));
    if (!job || this.signal.aborted) return;
    this.job = job;
    this.draw(had && job.has_file);
  }

  /** @param {boolean} [keepsPlayer] the video is playing, perhaps */
  draw(keepsPlayer = false) {
    const { job } = this;
    const player = keepsPlayer ? this.body.querySelector("video") : this.player();
    fill(
      this.body,
      player,
      h("h3", {}, nameText(job)),
      h("p", { class: "kling-direct-state", "data-state": job.state, role: "status" }, stateText(job)),
      troubleText(job) && h("p", { class: "kling-direct-trouble" }, troubleText(job)),
      this.facts(),
      this.actions(),
      isOver(job) && this.forgetting(),
    );
  }

  player() {
    if (!this.job.has_file) return null;
    const path = `/jobs/${this.job.job_key}`;
    return h("video", {
      class: "kling-direct-video",
      src: addressOf(`${path}/video`),
      poster: addressOf(`${path}/poster`),
      controls: true,
      loop: true,
      playsInline: true,
      autoplay: this.plays,
      "aria-label": nameText(this.job),
    });
  }

  facts() {
    const { job } = this;
    const rows = [
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
    return h(
      "dl",
      { class: "kling-direct-facts" },
      ...rows.flatMap(([name, value]) => [h("dt", {}, words(name)), h("dd", {}, value)]),
    );
  }

  actions() {
    const { job } = this;
    return h(
      "div",
      { class: "kling-direct-actions" },
      canCollect(job) &&
        button(words("action.collect"), () => collect(job), { class: "kling-direct-primary" }),
      job.file && button(words("action.load_video"), () => addAsVideo(job)),
      job.task_id && button(words("action.fetch_task"), () => addAsFetch(job)),
      job.has_workflow && button(words("action.workflow"), () => openWorkflow(job)),
      job.task_id && button(words("action.copy"), () => copyTaskId(job)),
    );
  }

  forgetting() {
    const tick = h("input", { type: "checkbox" });
    return h(
      "fieldset",
      { class: "kling-direct-forget" },
      h("legend", {}, words("forget.title")),
      h("p", {}, words("forget.explained")),
      this.job.has_file && h("label", {}, tick, words("forget.file")),
      button(words("action.forget"), () => this.forget(tick.checked), { class: "kling-direct-danger" }),
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
