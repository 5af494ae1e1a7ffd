// @ts-check
/** The list of tasks. It draws only the rows that can be seen, and fetches only the pages that hold them. */

import { fill, h } from "./elements.mjs";
import { isUnderWay } from "./job_text.mjs";
import { hear, hearReturn } from "./news.mjs";
import { tried } from "./notices.mjs";
import { ask } from "./requests.mjs";
import { ROW_HEIGHT_PX, taskRow, tick } from "./task_row.mjs";
import { words } from "./words.mjs";

const PAGE_SIZE = 50;
const SPARE_ROWS = 4;
const TOGETHER_MS = 120;
/** News that come within this are answered with one request. */
const TICK_MS = 1000;

/** @typedef {import("./job_text.mjs").Job} Job */

export class TaskList {
  /**
   * @param {(job: Job, plays: boolean) => void} open
   * @param {AbortSignal} signal
   */
  constructor(open, signal) {
    this.open = open;
    this.signal = signal;
    this.search = "";
    this.shown = "all";
    this.total = -1;
    /** @type {Map<number, Job>} */
    this.jobs = new Map();
    /** @type {Set<number>} */
    this.fetching = new Set();
    this.round = 0;
    /** @type {Set<string>} */
    this.changed = new Set();
    /** @type {Map<number, HTMLElement>} */
    this.rows = new Map();
    this.space = h("div", { class: "kling-once-space", role: "list", "aria-label": words("list.name") });
    this.empty = h("div", { class: "kling-once-empty", role: "status" });
    this.element = h("div", { class: "kling-once-list", tabIndex: 0 }, this.empty, this.space);
    this.element.addEventListener("scroll", () => this.draw(), { signal, passive: true });
    this.element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.move(event), {
      signal,
    });
    const resized = new ResizeObserver(() => this.draw());
    resized.observe(this.element);
    signal.addEventListener("abort", () => resized.disconnect(), { once: true });
    hear((news) => this.hear(news), signal);
    hearReturn(() => this.refresh(), signal);
    const ticking = setInterval(() => this.tick(), TICK_MS);
    signal.addEventListener("abort", () => clearInterval(ticking), { once: true });
  }

  /** Fetch everything anew that can be seen. */
  async refresh() {
    this.round += 1;
    this.fetching.clear();
    await this.fetch(Math.floor(this.firstSeen() / PAGE_SIZE), true);
  }

  /**
   * @param {number} page
   * @param {boolean} [anew] forget the other pages: rows may have moved
   */
  async fetch(page, anew = false) {
    if (this.fetching.has(page)) return;
    this.fetching.add(page);
    const round = this.round;
    const query = { offset: page * PAGE_SIZE, limit: PAGE_SIZE, search: this.search, shown: this.shown };
    const answer = await tried(() => ask("/jobs", query, this.signal));
    if (round !== this.round) return;
    if (!answer) return void this.fetching.delete(page);
    if (anew) {
      this.jobs.clear();
      this.fetching = new Set([page]);
    }
    this.total = answer.total;
    answer.jobs.forEach((/** @type {Job} */ job, /** @type {number} */ place) =>
      this.jobs.set(answer.offset + place, job),
    );
    this.clearRows();
    this.draw();
  }

  /** @param {import("./news.mjs").News} news */
  hear(news) {
    if (!news.job_key) return;
    if (!this.changed.size) setTimeout(() => this.catchUp(), TOGETHER_MS);
    this.changed.add(news.job_key);
  }

  /** Fetch the jobs that changed; one that is new here moves all others, so the list is fetched. */
  async catchUp() {
    const keys = [...this.changed];
    this.changed.clear();
    if (this.signal.aborted) return;
    const places = new Map([...this.jobs].map(([place, job]) => [job.job_key, place]));
    if (keys.length > 3 || keys.some((key) => !places.has(key)) || this.shown !== "all")
      return void this.refresh();
    for (const key of keys) {
      const job = await tried(() => ask(`/jobs/${key}`, {}, this.signal));
      const place = places.get(key) ?? -1;
      if (job && this.jobs.get(place)?.job_key === key) {
        this.jobs.set(place, job);
        this.redraw(place);
      }
    }
  }

  firstSeen() {
    return Math.max(0, Math.floor(this.element.scrollTop / ROW_HEIGHT_PX) - SPARE_ROWS);
  }

  draw() {
    if (this.total < 0) return;
    this.space.style.height = `${this.total * ROW_HEIGHT_PX}px`;
    const reason = this.search || this.shown !== "all" ? "list.none_found" : "list.none";
    fill(this.empty, this.total === 0 && words(reason));
    this.empty.hidden = this.total > 0;
    const first = this.firstSeen();
    const seen = Math.ceil(this.element.clientHeight / ROW_HEIGHT_PX) + 2 * SPARE_ROWS;
    const last = Math.min(this.total, first + seen);
    for (const [place, row] of this.rows) {
      if (place < first || place >= last) {
        row.remove();
        this.rows.delete(place);
      }
    }
    for (let place = first; place < last; place += 1) {
      if (!this.jobs.has(place)) void this.fetch(Math.floor(place / PAGE_SIZE));
      if (!this.rows.has(place)) this.redraw(place);
    }
  }

  /** @param {number} place */
  redraw(place) {
    const old = this.rows.get(place);
    const row = taskRow(this.jobs.get(place) ?? null, place, this.total, this.open);
    this.rows.set(place, row);
    const focused = old?.contains(document.activeElement);
    if (old) old.replaceWith(row);
    else this.space.append(row);
    if (focused) row.focus();
  }

  clearRows() {
    const place = Number(/** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.index ?? -1);
    const focused = this.space.contains(document.activeElement);
    this.rows.clear();
    this.space.replaceChildren();
    if (focused && place >= 0) queueMicrotask(() => this.rows.get(place)?.focus());
  }

  tick() {
    for (const [place, row] of this.rows) {
      const job = this.jobs.get(place);
      if (job && isUnderWay(job)) tick(row, job);
    }
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const now = Number(
      /** @type {HTMLElement} */ (document.activeElement)
        .closest(".kling-once-row")
        ?.getAttribute("data-index") ?? -1,
    );
    const place = Math.min(this.total - 1, Math.max(0, now + step));
    const top = place * ROW_HEIGHT_PX;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    if (top + ROW_HEIGHT_PX > scrollTop + clientHeight)
      this.element.scrollTop = top + ROW_HEIGHT_PX - clientHeight;
    this.draw();
    this.rows.get(place)?.focus();
  }
}
