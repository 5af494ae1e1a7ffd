/**
 * What the pack's routes under `/kling_once` take and answer, as far as the page uses it; the routes are in
 * `docs/openapi.json`. Lengths are in seconds, points in time are ISO 8601 texts with an offset.
 */

export type Service = "sandbox" | "kling";

export type AttemptState =
  "intent" | "unknown" | "submitted" | "succeeded" | "kept" | "failed" | "expired" | "rejected";

/** A file in ComfyUI's output folder, as ComfyUI's `/view` names it. */
export type OutputFile = { filename: string; subfolder: string; type: string };

/** A job with its newest attempt, as a row of the list. */
export interface Job {
  job_key: string;
  service: Service;
  project: string;
  profile: string;
  kind: "video" | "element";
  /** Of the element that it makes; empty for a video. */
  element_name: string;
  /** Digits; null until the element is made. */
  made_element_id: string | null;
  model: string;
  mode: string;
  take: number;
  prompt: string;
  image_name: string;
  video_name: string;
  /** Whether the job is a task of the account that was taken over by its id. */
  adopted: boolean;
  state: AttemptState;
  /** The step that this server is working on; null while it does nothing for the job. */
  stage: string | null;
  /** Progress within the stage, out of `total`; both are 0 where it cannot be measured. */
  done: number;
  total: number;
  task_id: string | null;
  /** Length of the motion clip. */
  seconds: number | null;
  /** Length of the finished video. */
  result_seconds: number | null;
  units_estimated: number | null;
  units_charged: number | null;
  cash_charged: number | null;
  currency: string | null;
  /** What it was charged, else may cost, in `money_currency`. */
  money: number | null;
  money_currency: string | null;
  /** How long similar jobs have taken; null without history or while nothing is under way. */
  usual_seconds: number | null;
  started_at: string;
  submitted_at: string | null;
  /** Why the vendor made no video. */
  reason: string | null;
  /** That reason, and what to do about it. */
  ending: Said[];
  /** Why the last attempt to collect ended. */
  trouble: Told | null;
  /** The kept video, where ComfyUI can show it. */
  file: OutputFile | null;
  has_file: boolean;
  has_picture: boolean;
  has_workflow: boolean;
}

export type JobFilter = "all" | "under_way" | "kept" | "failed";
export interface JobsQuery {
  offset: number;
  limit: number;
  search: string;
  shown: JobFilter;
}

export interface JobsPage {
  total: number;
  offset: number;
  jobs: Job[];
}

export interface Limits {
  max_units_per_prompt: number;
  max_units_per_day: number;
  /** Names of the limits that the server's environment sets; they cannot be changed here. */
  from_environment: string[];
}

export type LimitName = "max_units_per_prompt" | "max_units_per_day";

export interface Status {
  /** Since when no live job is submitted; null while submissions are on. */
  held_since: string | null;
  /** Whether this page may change keys and limits without a one-time code. */
  may_change: boolean;
  limits: Limits;
}

export interface Spending {
  units_charged: number;
  /** Units of tasks whose charge is not known yet. */
  units_open: number;
  /** Amounts by currency. */
  cash_charged: Record<string, number>;
}

export interface TotalsRow {
  service: Service;
  project: string;
  profile: string;
  /** Of a unit, by the list; null where the profile's address is not known. */
  price: number | null;
  currency: string | null;
  today: Spending;
  month: Spending;
}
export type Totals = { rows: TotalsRow[] };

/** Where a profile's key comes from, never a part of the key. */
export interface KeyState {
  profile: string;
  source: "environment" | "file" | "missing";
  region: "global" | "china" | "other" | null;
  /** The origin that the key is sent to. */
  address: string | null;
  /** Which of the vendor's two APIs gets new tasks. */
  api: "legacy" | "standard" | null;
  problem: Told | null;
  /** How many tasks can be collected with this key alone. */
  unfinished: number;
}

export interface Keys {
  profiles: KeyState[];
  may_change: boolean;
  /** Names of the environment variables that hold a key, in a sentence. */
  variables: string;
  /** Whether the server names an address of its own, for the default profile without a region. */
  has_address: boolean;
}

/** Empty texts are left as they are. */
export interface NewKey {
  profile: string;
  region: string;
  api: string;
  api_key: string;
  access_key: string;
  secret_key: string;
  /** Whether a key that the profile has may be overwritten. */
  replace: boolean;
  code: string;
}

export type KeyTest = { packs: { name: string; left: number }[] };

/** Where local clips are put. */
export interface Hosting {
  way: "none" | "bucket" | "tunnel";
  /** The variable of the server's environment that decides it; empty where the page may. */
  variable: string;
  /** The bucket with its prefix, or the public address. */
  address: string;
  endpoint: string;
  region: string;
  /** Whether a key of the bucket is saved. */
  has_key: boolean;
  /** The loopback port to which a tunnel must lead. */
  port: number;
  /** Whether somebody has set it up in the page. */
  is_saved: boolean;
  may_change: boolean;
}

/** Empty keys keep those that are saved for the endpoint. */
export type NewBucket = Record<
  "endpoint" | "bucket" | "prefix" | "region" | "access_key" | "secret_key" | "code",
  string
>;
export type NewTunnel = { public_url: string; port: number; code: string };

export type Account = { service: Service; profile: string };

/** A task as the vendor lists it. */
export interface AccountTask {
  task_id: string;
  status: "submitted" | "processing" | "succeed" | "failed";
  reason: string | null;
  created_at: string | null;
  units: number | null;
  /** The job that has this task; null where the ledger does not know it. */
  job_key: string | null;
}

export interface AccountTasks {
  tasks: AccountTask[];
  is_last: boolean;
  /** `own` where the server lists tasks of its own ledger only. */
  browse: "own" | "all";
}

/** An element of the library. Its id is digits, and longer than a number here can hold. */
export interface LibraryElement {
  element_id: string;
  name: string;
  description: string;
  is_preset: boolean;
  has_picture: boolean;
}

export type ElementsQuery = Account & {
  of: "own" | "presets";
  search: string;
  offset: number;
  limit: number;
  is_fresh: boolean;
};

export interface ElementsPage {
  total: number;
  offset: number;
  elements: LibraryElement[];
  /** `own` where the server lists elements of its own ledger only. */
  browse: "own" | "all";
}

export type Price = { units: number; cash: number; currency: string };

/** The part of a clip that is sent, in seconds; `of` is the length of the whole clip. */
export type UsedPart = { start: number; end: number; of: number };

/** A piece of a text: an English sentence, its id (empty where it has none), and the values in it. */
export type Said = { rule: string; message: string; values: (string | Said[])[] };

/** A text and its pieces. */
export type Told = { message: string; said: Said[] };

/** A documented limit that is broken, an English sentence about it, and the numbers in it. */
export type BrokenRule = { rule: string; message: string; values: string[] };

/** The newest video of a graph. */
export interface KeptResult {
  task_id: string | null;
  units: number | null;
  cash: number | null;
  currency: string | null;
  ended_at: string | null;
  path: string;
}

/** What running a node would cost, and what would keep it from running. */
export interface CheckedNode {
  known: true;
  service: Service;
  /** Whether every result of this graph is kept already. */
  paid: boolean;
  kept: KeptResult | null;
  price: Price | null;
  /** The price of a second, where the length is known at run only. */
  rate: Price | null;
  used: UsedPart | null;
  violations: BrokenRule[];
  /** What else keeps it from running: `key`, `hold`, `limit` or `ledger`. */
  obstacles: BrokenRule[];
  notes: Told[];
  report: Told[];
  /** Why the check could not be finished. */
  trouble: Told | null;
}

/** `known` is false for a node that the server does not take for one that orders a video. */
export type NodeCheck = CheckedNode | { known: false };

/** A graph in ComfyUI's API format, by execution id. */
export type ApiPrompt = Record<string, { class_type: string; inputs: Record<string, unknown> }>;

/** A job's state has changed, or with an empty key something of the whole server. */
export type JobEvent = { job_key: string; state: string };
