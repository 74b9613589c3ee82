"use strict";

// Shows the queues, jobs, schedules and processes of a job queue and keeps them up to date. Names, tags, arguments and
// errors are inserted as text, never as HTML.

const states = {
  waiting: { label: "Waiting", time: "createdAt", column: "Waiting for", style: "elapsed",
    empty: "No waiting jobs. Jobs that need other jobs to finish first appear here." },
  available: { label: "Available", time: "runAt", column: "Due", style: "due",
    empty: "No available jobs. Jobs appear here until a process starts them." },
  running: { label: "Running", time: "attemptedAt", column: "Running for", style: "elapsed",
    empty: "No running jobs. All processes are idle." },
  completed: { label: "Completed", time: "finishedAt", column: "Completed", style: "relative",
    empty: "No completed jobs." },
  cancelled: { label: "Cancelled", time: "finishedAt", column: "Cancelled", style: "relative",
    empty: "No cancelled jobs." },
  discarded: { label: "Dead letters", time: "finishedAt", column: "Discarded", style: "relative",
    empty: "No dead letters. Jobs that fail in their last attempt appear here." },
};
const stateNames = Object.keys(states);
const filterNames = ["kind", "queue", "tag"];
const actions = {
  retry: { states: ["available", "completed", "cancelled", "discarded"], done: "The job is available again.",
    failed: "The job could not be retried." },
  cancel: { states: ["waiting", "available", "running"], done: "The job was cancelled.",
    failed: "The job could not be cancelled." },
  delete: { states: ["completed", "cancelled", "discarded"], done: "The job was deleted.",
    failed: "The job could not be deleted." },
};
const refreshInterval = 2000;
const pollInterval = 30_000;
const refreshedPages = 2;
const numberFormat = new Intl.NumberFormat("en");
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const byId = (id) => document.getElementById(id);

// Elements

function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

function clone(template) {
  return byId(template).content.firstElementChild.cloneNode(true);
}

// Text from data has its own direction, so that it does not reorder the text around it.
function data(text, className = "") {
  return element("bdi", { className, dir: "auto", title: text }, text);
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
  if (node.dir && node.title !== text) node.title = text;
}

// Sets the texts of the descendants that have the classes.
function fill(node, texts) {
  for (const [className, text] of Object.entries(texts)) setText(node.querySelector(`.${className}`), text);
}

function setCurrent(link, value) {
  if (value) link.setAttribute("aria-current", value); else link.removeAttribute("aria-current");
}

// Makes the children of a parent show the items in their order. Nodes are reused by key, so that focus, selection and
// scroll positions survive.
function reconcile(parent, items, keyOf, create, update = () => {}) {
  const focused = document.activeElement;
  const old = new Map(Array.from(parent.children, (node) => [node.key, node]));
  const nodes = items.map((item) => {
    const key = keyOf(item);
    const node = old.get(key) ?? create(item);
    old.delete(key);
    node.key = key;
    update(node, item);
    return node;
  });
  const kept = new Set(nodes);
  for (const node of Array.from(parent.children)) if (!kept.has(node)) node.remove();
  let next = parent.firstElementChild;
  for (const node of nodes) {
    if (node === next) next = next.nextElementSibling; else parent.insertBefore(node, next);
  }
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

// Times are relative to the clock of the server, because the clock of the browser may be wrong.

const clock = { server: Date.now(), local: performance.now() };

function now() {
  return clock.server + performance.now() - clock.local;
}

function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${numberFormat.format(Math.floor(seconds / 86400))} d`;
}

function latency(milliseconds) {
  if (milliseconds < 1000) return `${Math.floor(milliseconds)} ms`;
  if (milliseconds < 10_000) return `${(Math.floor(milliseconds / 100) / 10).toFixed(1)} s`;
  return duration(milliseconds);
}

// Returns a duration in the largest unit that loses nothing.
function exactDuration(milliseconds) {
  const units = [[3_600_000, "h"], [60_000, "min"], [1000, "s"], [1, "ms"]];
  const [size, unit] = units.find(([size]) => milliseconds % size === 0) ?? [1, "ms"];
  return `${numberFormat.format(milliseconds / size)} ${unit}`;
}

const timeStyles = {
  relative: (age) => (Math.abs(age) < 1000 ? "now" : age > 0 ? `${duration(age)} ago` : `in ${duration(-age)}`),
  due: (age) => (age < 0 ? `in ${duration(-age)}` : `waiting ${duration(age)}`),
  elapsed: (age) => duration(Math.max(0, age)),
};

function showTime(node) {
  setText(node, node.dateTime ? timeStyles[node.dataset.style](now() - Date.parse(node.dateTime)) : "–");
}

function setTime(node, time = "", style = "relative") {
  node.dataset.style = style;
  if (node.dateTime !== time) {
    node.dateTime = time;
    node.title = time && dateFormat.format(new Date(time));
  }
  showTime(node);
  return node;
}

function showTimes() {
  if (document.visibilityState === "visible") document.querySelectorAll("time").forEach(showTime);
}

// Requests

class Problem extends Error {
  constructor(status, { title, detail } = {}) {
    super(detail || title || `The server answered with the status ${status}.`);
    this.status = status;
  }
}

// The address of the page may contain a user and a password. Requests must not repeat them; the history must.
function resolve(path) {
  const url = new URL(path, document.baseURI);
  url.username = url.password = "";
  return url.href;
}

async function call(path, { method = "GET", body, signal } = {}) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const request = { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store" };
  const response = await fetch(resolve(path), request).catch((error) => {
    throw signal?.aborted ? error : new Problem(0, { detail: "The server cannot be reached." });
  });
  if (!response.ok) throw new Problem(response.status, await response.json().catch(() => ({})));
  return response.status === 204 ? undefined : response.json();
}

// Requests for one part of the page. They run one after the other; those of a view that was left are aborted.
class Requests {
  controller = new AbortController();
  last = Promise.resolve();

  add(step, onError = () => {}) {
    const { signal } = this.controller;
    this.last = this.last.then(() => (signal.aborted ? undefined : step(signal))).catch((error) => {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) console.error(error);
      onError(error);
    });
    return this.last;
  }

  abort() {
    this.controller.abort();
    this.controller = new AbortController();
  }
}

// The route: the view that the address of the page names.

let route = readRoute();

function readRoute() {
  const query = new URLSearchParams(location.search);
  const names = [...filterNames, "job"];
  const values = Object.fromEntries(names.map((name) => [name, query.get(name) ?? ""]));
  return { state: stateNames.find((name) => name === query.get("state")) ?? "running", ...values };
}

function address(changes) {
  const values = Object.entries({ ...route, ...changes }).filter(([, value]) => value !== "");
  return `${location.pathname}?${new URLSearchParams(values)}`;
}

function setRoute(link, changes) {
  link.changes = changes;
  link.dataset.route = "";
  link.href = address(changes);
  return link;
}

function navigate(changes) {
  history.pushState(null, "", new URL(address(changes), document.URL));
  showRoute();
}

function showRoute() {
  const old = route;
  route = readRoute();
  document.querySelectorAll("a[data-route]").forEach((link) => { link.href = address(link.changes); });
  showStates();
  showFilters();
  markQueues();
  if (["state", ...filterNames].some((name) => route[name] !== old[name])) {
    loadList();
    revealList();
  }
  if (route.job !== old.job) showPanel(old.job);
}

function revealList() {
  const { top } = byId("states").getBoundingClientRect();
  if (top < 0 || top > innerHeight * .75) byId("states").scrollIntoView();
}

function isFiltered() {
  return filterNames.some((name) => route[name] !== "");
}

// The overview: queues, counts, schedules and processes.

let overview;
let overviewTime = 0;

async function loadOverview() {
  try {
    showOverview(await call("api/overview"));
  } catch (error) {
    if (!overview) return notify("The overview could not be loaded.", error);
    // A stream whose server is gone without a word looks open.
    if (!source) return;
    setConnection("reconnecting", "Reconnecting …");
    connect();
  }
}

function showOverview(value) {
  overview = value;
  overviewTime = performance.now();
  Object.assign(clock, { server: Date.parse(overview.time), local: overviewTime });
  setText(byId("updated"), `Updated ${clockFormat.format(clock.server)}`);
  byId("updated").title = dateFormat.format(clock.server);
  showStates();
  showSection("queues", overview.queues, (queue) => queue.name, updateQueue);
  showSection("schedules", overview.schedules, (schedule) => schedule.name, updateSchedule);
  showSection("processes", overview.processes, (process) => process.id, updateProcess);
  markQueues();
  showOptions("queue-names", overview.queues.map((queue) => queue.name));
  showTimes();
}

function showSection(id, items, keyOf, update) {
  const section = byId(id);
  reconcile(section.querySelector("tbody"), items, keyOf, () => clone(`${id}-row`), update);
  section.querySelector("table").hidden = items.length === 0;
  section.querySelector(".empty").hidden = items.length > 0;
  fill(section, { count: numberFormat.format(items.length), empty: `No ${id}.` });
}

function showOptions(id, values) {
  const options = [...new Set(values)].sort();
  reconcile(byId(id), options, (value) => value, (value) => element("option", { value }));
}

function countText(count) {
  return numberFormat.format(count) + (count >= overview.maximumCount ? "+" : "");
}

function showStates() {
  reconcile(byId("states"), stateNames, (name) => name, () => clone("state-link"), (link, name) => {
    setRoute(link, { state: name, job: "" });
    link.dataset.state = name;
    setCurrent(link, name === route.state && "page");
    fill(link, { label: states[name].label });
    if (overview) fill(link, { number: countText(overview.states[name] ?? 0) });
  });
}

function updateQueue(row, { name, isPaused, available, running, latencyMilliseconds }) {
  row.dataset.queue = name;
  row.classList.toggle("paused", isPaused);
  setRoute(row.querySelector(".name"), { queue: name, job: "" });
  fill(row, {
    name, available: numberFormat.format(available), running: numberFormat.format(running),
    latency: latencyMilliseconds === undefined ? "–" : latency(latencyMilliseconds), toggle: isPaused ? "Resume" : "Pause",
  });
  row.querySelector(".latency").classList.toggle("none", latencyMilliseconds === undefined);
  row.querySelector(".badge").hidden = !isPaused;
  const button = row.querySelector(".toggle");
  button.setAttribute("aria-label", `${button.textContent} the queue ${name}`);
  button.onclick = () => changeQueue(name, isPaused ? "resume" : "pause", button);
}

function markQueues() {
  for (const row of byId("queues").querySelector("tbody").rows) {
    const isSelected = row.dataset.queue === route.queue;
    row.classList.toggle("selected", isSelected);
    setCurrent(row.querySelector(".name"), isSelected && "true");
  }
}

function changeQueue(name, action, button) {
  return perform(button, `The queue could not be ${action}d.`, async () => {
    await call(`api/queues/${action}`, { method: "POST", body: { queue: name } });
    await loadOverview();
  });
}

function updateSchedule(row, { name, cron, nextAt, lastAt }) {
  fill(row, { name, cron });
  setTime(row.querySelector(".next"), nextAt);
  setTime(row.querySelector(".last"), lastAt);
}

function updateProcess(row, { host, processID, startedAt, seenAt, isLeader }) {
  fill(row, { name: host, process: `pid ${processID}` });
  row.querySelector(".badge").hidden = !isLeader;
  setTime(row.querySelector(".started"), startedAt, "elapsed");
  const seen = setTime(row.querySelector(".seen"), seenAt);
  seen.classList.toggle("late", now() - Date.parse(seenAt) > 60_000);
}

// The list of the jobs in a state.

const list = { jobs: [], next: undefined, pages: 0 };
const listRequests = new Requests();

function listPath(cursor) {
  const names = ["state", ...filterNames].filter((name) => route[name] !== "");
  const query = new URLSearchParams(names.map((name) => [name, route[name]]));
  query.set("limit", 50);
  if (cursor) query.set("cursor", cursor);
  return `api/jobs?${query}`;
}

function loadList() {
  listRequests.abort();
  byId("list").setAttribute("aria-busy", "true");
  return listRequests.add(async (signal) => {
    const page = await call(listPath(), { signal });
    setList(page.items, page.next, 1);
  }, (error) => setList([], undefined, 0, error));
}

function loadMore() {
  return listRequests.add(async (signal) => {
    if (!list.next) return;
    const page = await call(listPath(list.next), { signal });
    const known = new Set(list.jobs.map((job) => job.id));
    setList([...list.jobs, ...page.items.filter((job) => !known.has(job.id))], page.next, list.pages + 1);
  }, (error) => notify("More jobs could not be loaded.", error));
}

// Loads the first pages again. Jobs of further pages that were loaded stay.
async function refreshList(signal) {
  const fresh = new Map();
  let cursor;
  let pages = 0;
  do {
    const page = await call(listPath(cursor), { signal });
    page.items.forEach((job) => fresh.set(job.id, job));
    cursor = page.next;
    pages += 1;
  } while (cursor && pages < Math.min(list.pages, refreshedPages));
  const last = list.jobs.findLastIndex((job) => fresh.has(job.id));
  const keepsRest = cursor && list.pages > pages && last >= 0;
  if (keepsRest) setList([...fresh.values(), ...list.jobs.slice(last + 1)], list.next, list.pages);
  else setList([...fresh.values()], cursor, pages);
}

function setList(jobs, next, pages, error) {
  Object.assign(list, { jobs, next, pages });
  const isDeadLetters = route.state === "discarded";
  byId("list").removeAttribute("aria-busy");
  byId("list").dataset.state = route.state;
  setText(byId("list-title"), states[route.state].label);
  setText(byId("time-column"), states[route.state].column);
  const body = byId("jobs").tBodies[0];
  keepScroll(body, () => reconcile(body, jobs, (job) => job.id, () => clone("jobs-row"), updateJob));
  markJob();
  byId("jobs").hidden = jobs.length === 0;
  byId("list-end").hidden = !next;
  byId("retry-all").hidden = !isDeadLetters;
  byId("retry-all").disabled = jobs.length === 0 || route.tag !== "";
  byId("retry-all-hint").hidden = !isDeadLetters || route.tag === "";
  showEmptyList(error);
  showOptions("kinds", jobs.map((job) => job.kind));
}

function showEmptyList(error) {
  const [text, button] = byId("list-empty").children;
  const noun = route.state === "discarded" ? "dead letters" : `${route.state} jobs`;
  byId("list-empty").hidden = list.jobs.length > 0;
  button.hidden = !error && !isFiltered();
  button.onclick = error ? loadList : () => navigate({ kind: "", queue: "", tag: "" });
  setText(button, error ? "Try again" : "Clear the filters");
  if (error) setText(text, `The jobs could not be loaded. ${error.message}`);
  else if (list.next) setText(text, `None of the latest ${noun} match the filters. There are more to search.`);
  else setText(text, isFiltered() ? `No ${noun} match the filters.` : states[route.state].empty);
}

// Rows that come or go above the first visible one must not move it.
function keepScroll(body, change) {
  const top = document.querySelector("header").offsetHeight;
  const isScrolled = body.getBoundingClientRect().top < top;
  const anchor = isScrolled && Array.from(body.rows).find((row) => row.getBoundingClientRect().bottom > top);
  const before = anchor && anchor.getBoundingClientRect().top;
  change();
  if (anchor && anchor.isConnected) scrollBy(0, anchor.getBoundingClientRect().top - before);
}

function updateJob(row, job) {
  const { time, style } = states[route.state];
  row.dataset.id = job.id;
  setRoute(row.querySelector(".name"), { job: job.id });
  fill(row, {
    name: job.kind, priority: job.priority, "queue-name": job.queue, group: job.group ?? "",
    id: `…${job.id.slice(-8)}`, attempt: `${job.attempt}/${job.maxAttempts}`,
    error: route.state === "discarded" ? firstLine(job.lastError ?? "") : "",
  });
  row.querySelector(".id").title = job.id;
  row.querySelector(".attempt").title = `Attempt ${job.attempt} of at most ${job.maxAttempts}`;
  row.querySelector(".priority").hidden = job.priority === "normal";
  row.querySelector(".priority").classList.toggle("warning", job.priority === "urgent");
  showTags(row.querySelector(".tags"), job.tags ?? []);
  setTime(row.querySelector("time"), job[time], style);
}

function firstLine(text) {
  return text.trimStart().split(/\r?\n/, 1)[0].slice(0, 300);
}

function showTags(node, tags) {
  const create = (tag) => setRoute(element("a", { className: "chip", dir: "auto", title: tag }, tag), { tag, job: "" });
  reconcile(node, [...new Set(tags)], (tag) => tag, create);
}

function markJob() {
  for (const row of byId("jobs").tBodies[0].rows) row.classList.toggle("selected", row.dataset.id === route.job);
}

function showFilters() {
  for (const name of filterNames) {
    const input = byId(name);
    if (input.shown !== route[name]) input.value = input.shown = route[name];
    input.nextElementSibling.hidden = route[name] === "";
    input.parentElement.classList.toggle("active", route[name] !== "");
  }
}

async function retryAll(button) {
  const names = ["kind", "queue"].filter((name) => route[name] !== "");
  const body = Object.fromEntries(names.map((name) => [name, route[name]]));
  const scope = names.flatMap((name) => [name === "kind" ? " of the kind " : " in the queue ", data(body[name])]);
  const number = names.length || !overview ? "" : `${countText(overview.states.discarded)} `;
  const consequence = " become available and run again, including those that are not listed here.";
  const text = [`All ${number}dead letters`, ...scope, consequence];
  if (!await ask("Retry all dead letters?", text, "Retry all", "Cancel")) return;
  await perform(button, "The dead letters could not be retried.", async () => {
    let count = 0;
    let result;
    do {
      result = await call("api/jobs/retry", { method: "POST", body });
      count += result.count;
    } while (!result.isComplete && result.count > 0);
    notify(`${numberFormat.format(count)} ${count === 1 ? "job is" : "jobs are"} available again.`);
    await refreshAll();
  });
}

// The panel with the details of a job.

let job;
let isGone = false;
const panelRequests = new Requests();

function showPanel(oldId) {
  const isOpen = route.job !== "";
  panelRequests.abort();
  job = undefined;
  isGone = false;
  byId("panel").hidden = !isOpen;
  document.body.classList.toggle("with-panel", isOpen);
  updateInert();
  markJob();
  if (isOpen) openPanel();
  else document.querySelector(`#jobs tr[data-id="${CSS.escape(oldId)}"] a`)?.focus({ preventScroll: true });
}

function openPanel() {
  setText(byId("job-kind"), list.jobs.find(({ id }) => id === route.job)?.kind ?? "Job");
  setText(byId("job-id"), route.job);
  byId("job").hidden = true;
  showJobMessage("Loading …");
  byId("panel").scrollTop = 0;
  byId("panel").focus({ preventScroll: true });
  loadJob();
}

// On a phone the panel covers the page, which must not be reachable behind it.
const phone = matchMedia("(max-width: 60rem)");

function updateInert() {
  byId("page").inert = phone.matches && route.job !== "";
}

function showJobMessage(text = "") {
  byId("job-message").hidden = text === "";
  setText(byId("job-message"), text);
}

function loadJob() {
  if (route.job === "" || isGone) return undefined;
  return panelRequests.add(async (signal) => {
    showJob(await call(`api/jobs/${encodeURIComponent(route.job)}`, { signal }));
  }, (error) => {
    isGone = error.status === 404;
    if (!job) showJobMessage(error.message);
    else if (isGone) showJobMessage("This job does not exist any more.");
    if (isGone) showActions(undefined);
  });
}

function showJob(value) {
  job = value.job;
  showJobMessage();
  byId("job").hidden = false;
  setText(byId("job-kind"), job.kind);
  setText(byId("job-state"), job.state === "discarded" ? "Dead letter" : states[job.state].label);
  byId("job-state").dataset.state = job.state;
  showActions(job.state);
  reconcile(byId("fields"), jobFields(job), ([name]) => name, createField, updateField);
  showNeeds(value.needs ?? []);
  showArguments(value.arguments ?? "");
  showErrors(value.errors ?? []);
}

function showActions(state) {
  for (const button of byId("job-actions").querySelectorAll("button")) {
    const isHidden = !actions[button.dataset.action].states.includes(state);
    if (isHidden && button === document.activeElement) byId("panel").focus({ preventScroll: true });
    button.hidden = isHidden;
  }
}

// Returns for each field its name, its value, and a function that returns a node that shows the value.
function jobFields(job) {
  const text = (value) => data(String(value));
  const time = (value) => setTime(element("time"), value);
  const link = (name) => (value) => setRoute(element("a", { dir: "auto" }, value), { [name]: value, state: job.state });
  const tags = (value) => {
    const node = element("span", { className: "tags" });
    showTags(node, JSON.parse(value));
    return node;
  };
  const fields = [
    ["Queue", job.queue, link("queue")], ["Kind", job.kind, link("kind")],
    ["Attempt", `${job.attempt} of ${job.maxAttempts}`, text], ["Priority", job.priority, text],
    ["Group", job.group, text], ["Version", job.version, text],
    ["Timeout", job.timeoutMilliseconds && exactDuration(job.timeoutMilliseconds), text], ["Unique key", job.uniqueKey, text],
    ["Tags", job.tags?.length && JSON.stringify(job.tags), tags], ["Created", job.createdAt, time],
    ["Due", job.runAt, time], ["Last attempt", job.attemptedAt, time], ["Finished", job.finishedAt, time],
  ];
  return fields.filter(([, value]) => value);
}

function createField([name]) {
  const field = element("div", {}, element("dt", {}, name), element("dd"));
  field.dataset.field = name;
  return field;
}

function updateField(field, [, value, create]) {
  const details = field.lastChild;
  if (details.value === value) return;
  details.value = value;
  const content = create(value);
  details.replaceChildren(content);
  if (content.dateTime) details.append(element("span", { className: "detail" }, content.title));
}

function showNeeds(needs) {
  byId("job-needs").hidden = needs.length === 0;
  const create = (id) => element("li", {}, setRoute(element("a", { className: "code" }, id), { job: id }));
  reconcile(byId("job-needs").querySelector("ul"), needs, (id) => id, create);
}

function showArguments(text) {
  const node = byId("job-arguments").querySelector("pre");
  if (node.value === text) return;
  node.value = text;
  node.replaceChildren(...formatJSON(text));
}

// Returns nodes that show a JSON text with one value per line. The text is not parsed and printed again, because that
// would change large numbers.
function formatJSON(text) {
  try { JSON.parse(text); } catch { return [text]; }
  const tokens = text.match(/"(?:[^"\\]+|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g);
  const isColored = tokens.length < 5000;
  const parts = [];
  let depth = 0;
  const startLine = () => parts.push("\n" + "  ".repeat(Math.min(depth, 40)));
  tokens.forEach((token, index) => {
    const isFirst = ["{", "["].includes(tokens[index - 1]);
    const isEnd = token === "}" || token === "]";
    if (isEnd) depth -= 1;
    if (isEnd !== isFirst) startLine();
    if (token === "{" || token === "[") depth += 1;
    if (!isColored || "{}[],:".includes(token)) parts.push(token);
    else parts.push(element("span", { className: tokenClass(token, tokens[index + 1]) }, token));
    if (token === ",") startLine();
    if (token === ":") parts.push(" ");
  });
  return isColored ? parts : [parts.join("")];
}

function tokenClass(token, next) {
  if (!token.startsWith('"')) return "literal";
  return next === ":" ? "key" : "string";
}

function showErrors(errors) {
  byId("job-errors").hidden = errors.length === 0;
  const entries = errors.map((error, index) => ({ ...error, key: `${index} ${error.time}` })).reverse();
  reconcile(byId("job-errors").querySelector("ol"), entries, (entry) => entry.key, createError);
}

function createError({ attempt, time, description }) {
  const node = clone("error-item");
  const [text, button] = [node.querySelector("pre"), node.querySelector("button")];
  const isLong = description.length > 500 || description.split("\n").length > 8;
  const date = setTime(node.querySelector("time"), time).title;
  fill(node, { attempt: `Attempt ${attempt}`, date: `· ${date}` });
  setText(text, description);
  text.classList.toggle("folded", isLong);
  button.hidden = !isLong;
  button.onclick = () => {
    const isFolded = text.classList.toggle("folded");
    button.setAttribute("aria-expanded", String(!isFolded));
    setText(button, isFolded ? "Show all" : "Show less");
  };
  return node;
}

function isConfirmed(name, { kind, state }) {
  if (name === "delete") {
    const text = ["The job ", data(kind), ", its arguments and its errors are deleted for good."];
    return ask("Delete the job?", text, "Delete", "Keep", true);
  }
  if (name !== "cancel" || state !== "running") return true;
  const text = ["The job ", data(kind), " is running. It is told to stop and is not tried again."];
  return ask("Cancel the running job?", text, "Cancel the job", "Keep running", true);
}

async function act(name, button) {
  const { id } = job;
  if (!await isConfirmed(name, job)) return;
  await perform(button, actions[name].failed, async () => {
    const path = `api/jobs/${encodeURIComponent(id)}`;
    await (name === "delete" ? call(path, { method: "DELETE" }) : call(`${path}/${name}`, { method: "POST" }));
    notify(actions[name].done);
    if (name === "delete" && route.job === id) navigate({ job: "" });
  });
  await refreshAll();
}

// Actions, confirmations and notices.

// Runs an action of a button, which is ignored while the action runs.
async function perform(button, failure, action) {
  if (button.hasAttribute("aria-busy")) return;
  button.setAttribute("aria-busy", "true");
  try {
    await action();
  } catch (error) {
    notify(failure, error);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

function ask(title, text, confirmLabel, dismissLabel, isDangerous = false) {
  const dialog = byId("confirmation");
  setText(byId("confirmation-title"), title);
  byId("confirmation-text").replaceChildren(...text);
  setText(byId("confirm"), confirmLabel);
  setText(byId("dismiss"), dismissLabel);
  byId("confirm").classList.toggle("danger", isDangerous);
  dialog.returnValue = "";
  dialog.showModal();
  byId(isDangerous ? "dismiss" : "confirm").focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "confirmed"), { once: true });
  });
}

function notify(text, error) {
  const notice = clone("notice");
  fill(notice, { text, reason: error?.message ?? "" });
  notice.classList.toggle("failed", error !== undefined);
  notice.querySelector("button").onclick = () => notice.remove();
  byId("notices").append(notice);
  while (byId("notices").children.length > 4) byId("notices").firstElementChild.remove();
  setTimeout(() => notice.remove(), error ? 15_000 : 4000);
}

// Live updates.

let source;
let isStale = false;
let isRefreshing = false;
let refreshTime = -refreshInterval;
let refreshDelay = refreshInterval;

async function refresh() {
  refreshTime = performance.now();
  await Promise.all([listRequests.add(refreshList), loadJob()]);
  // A list that takes long is loaded less often.
  refreshDelay = Math.max(refreshInterval, 10 * (performance.now() - refreshTime));
}

function refreshAll() {
  return Promise.all([loadOverview(), refresh()]);
}

async function scheduleRefresh() {
  isStale = true;
  if (isRefreshing) return;
  isRefreshing = true;
  while (isStale && document.visibilityState === "visible") {
    await new Promise((resolve) => setTimeout(resolve, refreshTime + refreshDelay - performance.now()));
    isStale = false;
    await refresh();
  }
  isRefreshing = false;
}

function setConnection(connection, text) {
  byId("connection").dataset.connection = connection;
  setText(byId("connection"), text);
  byId("stopped").hidden = connection !== "stopped";
}

function connect() {
  source?.close();
  const stream = source = new EventSource(resolve("api/events"));
  stream.addEventListener("open", () => setConnection("live", "Live"));
  stream.addEventListener("overview", (event) => {
    showOverview(JSON.parse(event.data));
    scheduleRefresh();
  });
  stream.addEventListener("error", () => {
    if (stream !== source) return;
    setConnection("reconnecting", "Reconnecting …");
    if (stream.readyState === EventSource.CLOSED) reconnect(stream);
  });
}

// An EventSource gives up after any status but 200, and does not tell which one it was.
async function reconnect(stream) {
  const probe = new AbortController();
  const { status } = await fetch(resolve("api/events"), { signal: probe.signal }).catch(() => ({ status: 0 }));
  probe.abort();
  if (stream !== source) return;
  if ([401, 403, 404].includes(status)) stop(status);
  else setTimeout(() => { if (stream === source) connect(); }, 5000);
}

function stop(status) {
  source = undefined;
  const reason = status === 404 ? "The server does not offer this page any more."
    : "You are not signed in any more, or may not see this page.";
  setText(byId("stopped-text"), `${reason} What is shown is not up to date.`);
  setConnection("stopped", "Disconnected");
}

// A hidden page holds no connection: browsers allow only a few for each server.
function followVisibility() {
  if (document.visibilityState === "visible") {
    connect();
    refreshAll();
  } else {
    source?.close();
    source = undefined;
  }
}

function poll() {
  if (source && performance.now() - overviewTime > pollInterval) refreshAll();
}

// Events of the page.

function followLink(event) {
  const link = event.target.closest("a[data-route]");
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (!link || !isPlain) return;
  event.preventDefault();
  navigate(link.changes);
}

function openRow({ target }) {
  const row = target.closest("tr");
  if (row && !target.closest("a") && getSelection().isCollapsed) navigate({ job: row.dataset.id });
}

function closeOnEscape({ key }) {
  if (key === "Escape" && route.job !== "" && !byId("confirmation").open) navigate({ job: "" });
}

function applyFilter({ target }) {
  target.shown = target.value;
  navigate({ [target.id]: target.value });
}

function removeFilter({ target }) {
  if (target.type !== "button") return;
  const input = target.previousElementSibling;
  navigate({ [input.id]: "" });
  input.focus();
}

function listen() {
  const onClick = (id, action) => byId(id).addEventListener("click", action);
  document.addEventListener("click", followLink);
  document.addEventListener("keydown", closeOnEscape);
  document.addEventListener("visibilitychange", followVisibility);
  addEventListener("popstate", showRoute);
  phone.addEventListener("change", updateInert);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("change", applyFilter);
  onClick("filters", removeFilter);
  byId("jobs").tBodies[0].addEventListener("click", openRow);
  onClick("retry-all", () => retryAll(byId("retry-all")));
  onClick("more", () => perform(byId("more"), "", loadMore));
  onClick("reload", () => location.reload());
  onClick("close", () => navigate({ job: "" }));
  onClick("job-actions", ({ target }) => { if (target.dataset.action) act(target.dataset.action, target); });
  onClick("dismiss", () => byId("confirmation").close());
  onClick("confirm", () => byId("confirmation").close("confirmed"));
}

listen();
showStates();
showFilters();
loadList();
if (route.job !== "") showPanel("");
loadOverview();
if (document.visibilityState === "visible") connect();
setInterval(showTimes, 1000);
setInterval(poll, 5000);
