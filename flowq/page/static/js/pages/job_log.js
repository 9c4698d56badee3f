// The output of one job: its end first, earlier blocks as one scrolls up, new ones as they come.
import { getBytes, href } from "../api.js";
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../html.js";
import { useTopic } from "../live.js";
import { LogView, linesOf } from "../log_view.js";
import { Empty, Waiting } from "../parts.js";

const TAIL = 64 * 1024; // bytes
const BLOCK = 256 * 1024;
const MOST = 8 * 1024 * 1024; // bytes of text that are kept

// `Flowq-Log-Range: first-last/total`: which bytes these are, `last` being behind the end.
function range(headers) {
  const [first, last, total] = headers.get("Flowq-Log-Range").split(/[-/]/).map(Number);
  return { first, last, total };
}

export function JobLog({ path, topic, status }) {
  const [state, setState] = useState({ blocks: null, dropped: 0, error: null });
  const [follow, setFollow] = useState(true);
  const current = useRef(state);
  const busy = useRef(0);
  const update = (changes) => { current.current = { ...current.current, ...changes }; setState(current.current); };

  const read = useCallback(async (params) => {
    const { data, headers } = await getBytes(`${path}/log`, params);
    return { data, ...range(headers), dropped: Number(headers.get("Flowq-Log-Dropped") ?? 0) };
  }, [path]);

  const forward = useCallback(async () => {
    if (busy.current) { busy.current = 2; return; }
    do {
      busy.current = 1;
      try {
        const { blocks } = current.current;
        const block = blocks?.length ? await read({ offset: blocks.at(-1).last, limit: BLOCK }) : await read({ tail: TAIL });
        if (block.last > block.first || !blocks) update({ blocks: trimmed([...(blocks ?? []), block], false), dropped: block.dropped, error: null });
        if (block.last < block.total && block.last > block.first) busy.current = 2;
      } catch (error) { update({ error }); }
    } while (busy.current === 2);
    busy.current = 0;
  }, [read]);

  const backward = useCallback(async () => {
    const { blocks } = current.current;
    if (busy.current || !blocks?.length || blocks[0].first <= 0) return;
    busy.current = 1;
    try {
      const { first } = blocks[0];
      const offset = Math.max(0, first - BLOCK);
      const block = await read({ offset, limit: first - offset });
      if (block.last > block.first) update({ blocks: trimmed([block, ...current.current.blocks], true) });
    } catch (error) { update({ error }); }
    busy.current = 0;
  }, [read]);

  useEffect(() => { forward(); }, [forward, status]);
  useTopic(topic, forward, [forward]);

  const lines = useMemo(() => {
    const text = decoded(state.blocks ?? []);
    const from = state.blocks?.[0]?.first ?? 0;
    let at = from;
    return linesOf(text).map((line) => { const key = at; at += line.length + 1; return { key, text: line }; });
  }, [state.blocks]);

  if (!state.blocks) return html`<${Waiting} error=${state.error} />`;
  const first = state.blocks[0]?.first ?? 0;
  return html`<div class="logtools"><span class="muted small">${state.dropped ? "the oldest output of the run was not kept; " : ""}${bytes(state.blocks.at(-1)?.total ?? 0)}${first ? `, shown from ${bytes(first)}` : ""}</span><span class="grow"></span>
      <label class="check"><input type="checkbox" checked=${follow} onChange=${() => setFollow(!follow)} /> follow</label>
      <a class="button button-small" href=${href(`${path}/log?download=true`)} download>Download</a></div>
    ${lines.length ? html`<${LogView} lines=${lines} follow=${follow} setFollow=${setFollow} onTop=${first ? backward : null} label="Output of the job" />` : html`<${Empty}>It has written nothing.<//>`}`;
}

// The text of blocks that follow each other: a character may begin in one and end in the next.
function decoded(blocks) {
  const decoder = new TextDecoder();
  return blocks.map((block) => decoder.decode(block.data, { stream: true })).join("") + decoder.decode();
}

// Blocks of at most MOST bytes: the ones farthest from where one reads are dropped.
function trimmed(blocks, fromEnd) {
  const kept = [...blocks];
  const size = () => kept.reduce((sum, block) => sum + block.last - block.first, 0);
  while (kept.length > 1 && size() > MOST) {
    if (fromEnd) kept.pop();
    else kept.shift();
  }
  return kept;
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} kB`;
  return `${(count / 1024 / 1024).toFixed(1)} MB`;
}
