// @ts-check
/** The virtual list of tasks: only visible rows are in the DOM, and only their pages are fetched. */

/**
 * @import { Job, JobEvent, JobFilter } from "../../types/server.ts"
 * @import { OpenJob } from "./task_row.mjs"
 */

import { withErrorToast } from "../shared/dialogs.mjs";
import { h, setChildren } from "../shared/dom.mjs";
import { t } from "../shared/i18n.mjs";
import { getJob, listJobs, onJobEvent, onReconnect } from "../shared/server.mjs";
import { isUnderWay } from "./job_text.mjs";
import { ROW_HEIGHT_PX, taskRow, updateTime } from "./task_row.mjs";

const PAGE_SIZE = 50;
/** Rows that are drawn above and below the visible ones. */
const OVERSCAN_ROWS = 4;
/** Events within this time lead to one update. */
const BATCH_MS = 120;
/** If more jobs have changed, the whole page is fetched and not each job. */
const MOST_SINGLE_FETCHES = 3;
const CLOCK_MS = 1_000;
const STEPS = new Map([
  ["ArrowDown", 1],
  ["ArrowUp", -1],
]);

export class TaskList {
  /**
   * @param {OpenJob} open
   * @param {HTMLElement[]} start what to begin with while there are no tasks
   * @param {AbortSignal} signal ends listeners and requests
   */
  constructor(open, start, signal) {
    this.open = open;
    this.start = start;
    this.signal = signal;
    this.search = "";
    /** @type {JobFilter} */
    this.shown = "all";
    /** Number of jobs that fit the search; -1 before the first answer. */
    this.total = -1;
    /** @type {Map<number, Job>} by index, as far as they are fetched */
    this.jobs = new Map();
    /** @type {Set<number>} pages that are fetched or under way */
    this.pages = new Set();
    /** Counts refreshes, so that answers to older questions are dropped. */
    this.round = 0;
    /** @type {Set<string>} keys of jobs that have changed since the last update */
    this.changed = new Set();
    /** @type {Map<number, HTMLElement>} drawn rows by index */
    this.rows = new Map();
    this.space = h("div", { class: "kling-once-space", role: "list", "aria-label": t("list.name") });
    this.empty = h("div", { class: "kling-once-empty", role: "status" });
    this.element = h("div", { class: "kling-once-list", tabIndex: 0 }, this.empty, this.space);
    this.element.addEventListener("scroll", () => this.draw(), { signal, passive: true });
    this.element.addEventListener("keydown", (event) => this.moveFocus(event), { signal });
    const resizing = new ResizeObserver(() => this.draw());
    resizing.observe(this.element);
    const clock = setInterval(() => this.updateTimes(), CLOCK_MS);
    const stop = () => {
      resizing.disconnect();
      clearInterval(clock);
    };
    signal.addEventListener("abort", stop, { once: true });
    onJobEvent((event) => this.noteChange(event), signal);
    onReconnect(() => this.refresh(), signal);
  }

  /** Fetch the visible page again and drop all others: rows may have moved. */
  async refresh() {
    this.round += 1;
    this.pages.clear();
    await this.fetchPage(Math.floor(this.firstDrawn() / PAGE_SIZE), true);
  }

  /**
   * @param {number} page from 0
   * @param {boolean} [alone] whether to drop all other pages
   */
  async fetchPage(page, alone = false) {
    if (this.pages.has(page)) return;
    this.pages.add(page);
    const { round } = this;
    const query = { offset: page * PAGE_SIZE, limit: PAGE_SIZE, search: this.search, shown: this.shown };
    const answer = await withErrorToast(() => listJobs(query, this.signal));
    if (round !== this.round) return;
    if (!answer) return void this.pages.delete(page);
    if (alone) {
      this.jobs.clear();
      this.pages = new Set([page]);
    }
    this.total = answer.total;
    for (const [place, job] of answer.jobs.entries()) this.jobs.set(answer.offset + place, job);
    this.removeRows();
    this.draw();
  }

  /** @param {JobEvent} event */
  noteChange({ job_key }) {
    if (!job_key) return;
    if (!this.changed.size) setTimeout(() => this.catchUp(), BATCH_MS);
    this.changed.add(job_key);
  }

  /** Fetch the jobs that have changed. A job that is not in the list yet moves all others. */
  async catchUp() {
    const keys = [...this.changed];
    this.changed.clear();
    if (this.signal.aborted) return;
    const indices = new Map([...this.jobs].map(([index, job]) => [job.job_key, index]));
    const moved = this.shown !== "all" || keys.some((key) => !indices.has(key));
    if (moved || keys.length > MOST_SINGLE_FETCHES) return void this.refresh();
    for (const key of keys) {
      const job = await withErrorToast(() => getJob(key, this.signal));
      const index = indices.get(key) ?? -1;
      if (job && this.jobs.get(index)?.job_key === key) {
        this.jobs.set(index, job);
        this.drawRow(index);
      }
    }
  }

  firstDrawn() {
    return Math.max(0, Math.floor(this.element.scrollTop / ROW_HEIGHT_PX) - OVERSCAN_ROWS);
  }

  /** Draw the rows that are visible now, and remove all others. */
  draw() {
    if (this.total < 0) return;
    this.space.style.height = `${this.total * ROW_HEIGHT_PX}px`;
    const searches = this.search || this.shown !== "all";
    const start = searches ? [] : [h("p", { class: "kling-once-actions" }, ...this.start)];
    setChildren(this.empty, ...(this.total ? [] : [t(searches ? "list.none_found" : "list.none"), ...start]));
    this.empty.hidden = this.total > 0;
    const first = this.firstDrawn();
    const count = Math.ceil(this.element.clientHeight / ROW_HEIGHT_PX) + 2 * OVERSCAN_ROWS;
    const end = Math.min(this.total, first + count);
    for (const [index, row] of this.rows) {
      if (index < first || index >= end) {
        row.remove();
        this.rows.delete(index);
      }
    }
    for (let index = first; index < end; index += 1) {
      if (!this.jobs.has(index)) void this.fetchPage(Math.floor(index / PAGE_SIZE));
      if (!this.rows.has(index)) this.drawRow(index);
    }
  }

  /** @param {number} index */
  drawRow(index) {
    const old = this.rows.get(index);
    const row = taskRow(this.jobs.get(index) ?? null, index, this.total, this.open);
    this.rows.set(index, row);
    const hadFocus = old?.contains(document.activeElement);
    if (old) old.replaceWith(row);
    else this.space.append(row);
    if (hadFocus) row.focus();
  }

  /** Remove all rows. The next `draw` gives the focus back to the row that has it. */
  removeRows() {
    const index = this.space.contains(document.activeElement) ? this.focusedIndex() : -1;
    this.rows.clear();
    this.space.replaceChildren();
    if (index >= 0) queueMicrotask(() => this.rows.get(index)?.focus());
  }

  /** @returns {number} index of the row that holds the focus, -1 if none does */
  focusedIndex() {
    const row = document.activeElement?.closest(".kling-once-row");
    return Number(row?.getAttribute("data-index") ?? -1);
  }

  updateTimes() {
    for (const [index, row] of this.rows) {
      const job = this.jobs.get(index);
      if (job && isUnderWay(job)) updateTime(row, job);
    }
  }

  /** @param {KeyboardEvent} event */
  moveFocus(event) {
    const step = STEPS.get(event.key);
    if (!step) return;
    event.preventDefault();
    const index = Math.min(this.total - 1, Math.max(0, this.focusedIndex() + step));
    const top = index * ROW_HEIGHT_PX;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    if (top + ROW_HEIGHT_PX > scrollTop + clientHeight)
      this.element.scrollTop = top + ROW_HEIGHT_PX - clientHeight;
    this.draw();
    this.rows.get(index)?.focus();
  }
}
