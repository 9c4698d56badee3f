// The REST API: addresses, calls, errors, and whether the server answers at all.
import { observable } from "./store.js";

export const prefix = document.querySelector('meta[name="flowq-prefix"]')?.content ?? "";
const base = `${prefix}/api/v1`;

// { since }: when the server last answered, while it does not; null while it does.
export const away = observable(null);
export const session = observable(undefined); // undefined: not known yet, null: not logged in, else the principal
let answered = Date.now();
const EARLY = 5000; // ms since the page was opened

export class ApiError extends Error {
  constructor(status, { code = "", message = "", details = null } = {}) {
    super(message || `the server answered ${status}`);
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

export const heard = () => { answered = Date.now(); away.set(null); };
export const missed = () => { if (!away.get()) away.set({ since: answered }); };

const escapes = { ":": "::", "/": ":" };
// A name as one part of a path: its slashes become colons, because proxies decode %2F. The twin of `flowq.serve.http.segments`.
export const segment = (name) => encodeURIComponent(String(name).replace(/[:/]/g, (found) => escapes[found])).replaceAll("%3A", ":");

export function query(params = {}) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value !== null && value !== undefined && value !== "") search.set(key, value);
  const text = search.toString();
  return text ? `?${text}` : "";
}

// A document that was asked for before this module was there (`early.js`), once, and as long as the stream tells what happened since.
function early(path) {
  const found = globalThis.early?.get(path);
  globalThis.early?.delete(path);
  return performance.now() < EARLY ? found : undefined;
}

async function request(method, path, { body, headers = {}, signal } = {}) {
  const options = { method, headers: { Accept: "application/json", ...headers }, credentials: "same-origin", signal };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  } else if (method !== "GET") {
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = (method === "GET" && !headers["If-None-Match"] && await early(path)) || await fetch(base + path, options);
  } catch (error) {
    if (error.name !== "AbortError") missed();
    throw error.name === "AbortError" ? error : new ApiError(0, { code: "away", message: "the server does not answer" });
  }
  if (response.status === 503 || response.status === 502 || response.status === 504) missed();
  else heard();
  if (response.status === 401) globalThis.early?.clear(); // those of a user who signs in now are others
  if (response.status === 401 && path !== "/session") session.set(null);
  return response;
}

async function failure(response) {
  let error = {};
  try { error = (await response.json()).error ?? {}; } catch { /* a proxy's own page */ }
  return new ApiError(response.status, error);
}

async function call(method, path, options) {
  const response = await request(method, path, options);
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? null : response.json();
}

// The document, or undefined where it has not changed since `tags` last saw it.
export async function getIfChanged(path, tags, signal) {
  const known = tags.get(path);
  const response = await request("GET", path, { signal, headers: known ? { "If-None-Match": known } : {} });
  if (response.status === 304) return undefined;
  if (!response.ok) throw await failure(response);
  const tag = response.headers.get("ETag");
  if (tag) tags.set(path, tag);
  return response.json();
}

export const get = (path, params, options) => call("GET", path + query(params), options);
export const post = (path, body = {}, options = {}) => call("POST", path, { ...options, body });
export const remove = (path) => call("DELETE", path);
export const href = (path) => base + path;

// Who is signed in here, and whether anything can be changed at all.
export async function whoami() {
  const [principal, info] = await Promise.all([get("/session"), get("/info")]);
  return { ...principal, info, readonly: info.readonly };
}

export async function getBytes(path, params) {
  const response = await request("GET", path + query(params), { headers: { Accept: "text/plain" } });
  if (!response.ok) throw await failure(response);
  return { data: new Uint8Array(await response.arrayBuffer()), headers: response.headers };
}
