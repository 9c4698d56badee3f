// The only place where times and durations become text.
import { html } from "./html.js";
import { remembered, useObservable } from "./store.js";

export const timeMode = remembered("times", "local"); // local, utc or schedule
export const timeModes = ["local", "utc", "schedule"];
export const LOCAL = ""; // the zone of the browser

// The first use of Intl takes tens of milliseconds, so the first view does without it: a date knows the browser's zone and UTC by itself.
export const zoneName = (zone) => zone || Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

const formats = new Map(); // zone -> Intl.DateTimeFormat
const two = (n) => String(n).padStart(2, "0");

function parts(moment, zone) {
  if (zone === LOCAL || zone === "UTC") {
    const part = (name) => moment[`get${zone}${name}`]();
    return { year: part("FullYear"), month: two(part("Month") + 1), day: two(part("Date")), hour: two(part("Hours")), minute: two(part("Minutes")), second: two(part("Seconds")) };
  }
  if (!formats.has(zone)) {
    formats.set(zone, new Intl.DateTimeFormat("en-CA", {
      timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
    }));
  }
  return Object.fromEntries(formats.get(zone).formatToParts(moment).map((part) => [part.type, part.value]));
}

// `2026-01-31 06:00:00`; the date is left out where it is today's.
function formatTime(iso, zone, { full = false } = {}) {
  const at = parts(new Date(iso), zone);
  const date = `${at.year}-${at.month}-${at.day}`;
  const clock = `${at.hour}:${at.minute}:${at.second}`;
  if (full) return `${date} ${clock}`;
  const now = parts(new Date(), zone);
  return date === `${now.year}-${now.month}-${now.day}` ? clock : `${date} ${clock}`;
}

// `06:00` at a place of an axis that names its day elsewhere.
export const formatHour = (ms, zone) => { const at = parts(new Date(ms), zone); return `${at.hour}:${at.minute}`; };
export const formatDay = (ms, zone) => { const at = parts(new Date(ms), zone); return `${at.month}-${at.day}`; };

// As the command line writes it: `0.12s`, `12.3s`, `2m05s`, `1h02m`, `3d04h`.
export function formatDuration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "";
  if (seconds < 9.995) return `${seconds.toFixed(2)}s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86400)}d${two(Math.floor((whole % 86400) / 3600))}h`;
}

export const zoneOf = (mode, scheduleZone) => (mode === "utc" ? "UTC" : mode === "schedule" ? scheduleZone || "UTC" : LOCAL);

// A moment. Slots (`slot`) are shown in the zone of their schedule, whatever the mode, because that is how they were written.
export function Time({ at, zone = null, slot = false, empty = "–" }) {
  const mode = useObservable(timeMode);
  if (!at) return html`<span class="muted">${empty}</span>`;
  const shownIn = slot && zone ? zone : zoneOf(mode, zone);
  const titles = [`${formatTime(at, "UTC", { full: true })} UTC`];
  if (zone && zone !== "UTC") titles.push(`${formatTime(at, zone, { full: true })} ${zone}`);
  return html`<time datetime=${at} title=${titles.join("\n")}>${formatTime(at, shownIn)}${slot && zone ? html` <span class="muted">${zone}</span>` : null}</time>`;
}

export function Took({ seconds, empty = "–" }) {
  const text = formatDuration(seconds);
  return text ? html`<span class="num">${text}</span>` : html`<span class="muted">${empty}</span>`;
}

// Seconds between two moments; up to now where there is no end.
export const isoAfter = (ms) => new Date(Date.now() + ms).toISOString(); // from now
export const secondsBetween = (from, to, now) => (from ? Math.max(0, ((to ? Date.parse(to) : now) - Date.parse(from)) / 1000) : null);
