// The output of one job: its end first, other places as one scrolls or jumps there, new lines as they come. Texts are found by the server.
import { get, getBytes, href } from "../api.js";
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../html.js";
import { useTopic } from "../live.js";
import { bytes, fromLine, linesOfBlocks, trimmed } from "../log_model.js";
import { LogView } from "../log_view.js";
import { Action, Button, Empty, Waiting } from "../parts.js";

const TAIL = 64 * 1024; // bytes
const BLOCK = 256 * 1024;
const MOST = 4 * 1024 * 1024; // bytes of text that are kept
const BEFORE = 4 * 1024; // bytes in front of a line that one jumps to

// `Flowq-Log-Range: first-last/total`: which bytes these are, `last` being behind the end.
function range(headers) {
  const [first, last, total] = headers.get("Flowq-Log-Range").split(/[-/]/).map(Number);
  return { first, last, total };
}

export function JobLog({ path, topic, status }) {
  const [state, setState] = useState({ blocks: null, total: 0, start: null, error: null });
  const [follow, setFollow] = useState(true);
  const [target, setTarget] = useState(null); // { key }: the line to scroll to
  const [found, setFound] = useState(null);
  const [place, setPlace] = useState(0); // number of the first byte in view
  const current = useRef(state);
  const following = useRef(true);
  following.current = follow;
  const busy = useRef(0); // 1: a reading is under way, 2: another one is wanted behind it
  const update = (changes) => { current.current = { ...current.current, ...changes }; setState(current.current); };

  const read = useCallback(async (params) => {
    const { data, headers } = await getBytes(`${path}/log`, params);
    return { data, ...range(headers) };
  }, [path]);

  // What comes behind the last block: one block, or in following all.
  const forward = useCallback(async () => {
    if (busy.current) { busy.current = 2; return; }
    do {
      busy.current = 1;
      try {
        const { blocks } = current.current;
        const block = blocks?.length ? await read({ offset: blocks.at(-1).last, limit: BLOCK }) : fromLine(await read({ tail: TAIL }));
        if (block.last > block.first || !blocks) update({ blocks: trimmed([...(blocks ?? []), block], false, MOST), total: block.total, error: null });
        else update({ total: block.total, error: null });
        if (following.current && block.first < block.last && block.last < block.total) busy.current = 2;
      } catch (error) { update({ error }); }
    } while (busy.current === 2);
    busy.current = 0;
  }, [read]);

  const backward = useCallback(async () => {
    const { blocks, start } = current.current;
    if (busy.current || !blocks?.length || blocks[0].first <= (start ?? 0)) return;
    busy.current = 1;
    try {
      const { first } = blocks[0];
      let block = await read({ offset: Math.max(0, first - BLOCK), limit: Math.min(first, BLOCK) });
      if (block.first >= first) block = await read({ offset: 0, limit: BLOCK }); // between is not kept: the first lines are
      if (block.first < first) update({ blocks: trimmed([block, ...current.current.blocks], true, MOST) });
      else update({ start: first });
    } catch (error) { update({ error }); }
    busy.current = 0;
  }, [read]);

  const jump = useCallback(async (offset) => {
    const { blocks } = current.current;
    if (!blocks?.some((block) => block.first <= offset && offset < block.last)) {
      let block = fromLine(await read({ offset: Math.max(0, offset - BEFORE), limit: TAIL }));
      if (block.last <= offset) block = fromLine(await read({ offset, limit: TAIL })); // what is between is not kept
      update({ blocks: [block], total: block.total, error: null });
    }
    setFollow(false);
    setPlace(offset);
    setTarget({ key: offset });
  }, [read]);

  const toEnd = useCallback(async () => {
    const block = fromLine(await read({ tail: TAIL }));
    update({ blocks: [block], total: block.total, error: null });
    setFollow(true);
  }, [read]);

  const atEnd = !state.blocks || (state.blocks.at(-1)?.last ?? 0) >= state.total;
  const open = useRef(true);
  open.current = follow || atEnd;
  const come = useCallback(() => { if (open.current) forward(); }, [forward]);
  const onward = useCallback(() => { if (!busy.current) forward(); }, [forward]);
  useEffect(() => { come(); }, [come, status]);
  useTopic(topic, come, [come]);

  const lines = useMemo(() => linesOfBlocks(state.blocks ?? [], state.start), [state.blocks, state.start]);
  if (!state.blocks) return html`<${Waiting} error=${state.error} />`;
  const first = state.blocks[0]?.first ?? 0;
  const long = state.total > 2 * TAIL;
  return html`<div class="logtools"><span class="muted small">${bytes(state.total)}${state.error ? ` – ${state.error.message}` : ""}</span>
      ${long ? html`<${Button} small onClick=${() => jump(0)}>First lines<//><${Button} small onClick=${toEnd}>Last lines<//>
        <input type="range" class="grow" min="0" max=${state.total} step="1" value=${follow ? state.total : place} aria-label="Place in the output" aria-valuetext=${`${bytes(follow ? state.total : place)} of ${bytes(state.total)}`} onChange=${(event) => jump(Number(event.target.value))} />` : html`<span class="grow"></span>`}
      <label class="check"><input type="checkbox" checked=${follow} onChange=${() => (follow || atEnd ? setFollow(!follow) : toEnd())} /> follow</label>
      <a class="button button-small" href=${href(`${path}/log?download=true`)} download>Download</a></div>
    ${state.total ? html`<${Find} path=${path} jump=${jump} setFound=${setFound} />` : null}
    ${lines.length ? html`<${LogView} lines=${lines} follow=${follow && atEnd} setFollow=${(on) => setFollow(on && atEnd)} target=${target} onPlace=${(key) => setPlace(Math.max(0, Math.floor(key ?? 0)))} find=${found ?? ""} onTop=${first > (state.start ?? 0) ? backward : null} onBottom=${atEnd ? null : onward} label="Output of the job" />`
    : html`<${Empty}>It has written nothing.<//>`}`;
}

// Lines that have a text in them, one after the other: the server looks at a few megabytes at a time.
function Find({ path, jump, setFound }) {
  const [text, setText] = useState("");
  const [state, setState] = useState(null); // { text, hits: numbers of bytes, at, next }
  const search = async (wanted, before) => {
    let { hits, next } = before;
    const known = hits.length;
    do {
      const answer = await get(`${path}/log`, { find: wanted, offset: next });
      hits = [...hits, ...answer.hits.map(([offset]) => offset)];
      next = answer.next;
    } while (next !== null && hits.length === known);
    return { text: wanted, hits, next };
  };
  const show = async (found, at) => {
    setState({ ...found, at });
    setFound(found.text);
    if (found.hits.length) await jump(found.hits[at]);
  };
  const step = async (by) => {
    if (state?.text !== text) return text ? show(await search(text, { hits: [], next: 0 }), 0) : undefined;
    const at = state.at + by;
    if (at < state.hits.length) return at < 0 ? undefined : show(state, at);
    if (state.next === null) return undefined;
    const more = await search(text, state);
    return show(more, Math.min(at, more.hits.length - 1));
  };
  const current = state?.text === text && text ? state : null;
  return html`<form class="logtools" role="search" onSubmit=${(event) => event.preventDefault()}>
      <label class="grow">Text<input class="input" type="search" value=${text} onInput=${(event) => setText(event.target.value)} placeholder="part of a line" /></label>
      <${Action} small type="submit" role="viewer" disabled=${!text || (current && current.next === null && current.at >= current.hits.length - 1)} run=${() => step(1)}>${current?.hits.length ? "Next" : "Find"}<//>
      <${Action} small role="viewer" disabled=${!current || current.at < 1} run=${() => step(-1)}>Previous<//>
      <span class="muted small" role="status">${current ? (current.hits.length ? `${current.at + 1} of ${current.hits.length}${current.next === null ? "" : " or more"}` : "not found") : ""}</span>
    </form>`;
}
