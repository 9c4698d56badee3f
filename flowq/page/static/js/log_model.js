// Blocks of a job's output as lines. A byte has the number that it was written with, so there may be gaps: what the server has not kept.

const encoder = new TextEncoder();

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} kB`;
  return `${(count / 1024 / 1024).toFixed(1)} MB`;
}

// Blocks of at most `most` bytes: the ones farthest from where one reads are dropped.
export function trimmed(blocks, fromEnd, most) {
  const kept = [...blocks];
  let size = kept.reduce((sum, block) => sum + block.data.length, 0);
  while (kept.length > 1 && size > most) size -= (fromEnd ? kept.pop() : kept.shift()).data.length;
  return kept;
}

// A block without the line that began before it.
export function fromLine(block) {
  if (!block.first) return block;
  const begin = block.data.indexOf(10) + 1;
  return begin ? { ...block, first: block.first + begin, data: block.data.subarray(begin) } : block;
}

// [{ key: number of the first byte, text }], with a line for each gap; `start`: the first byte that is kept, null if it is not known.
export function linesOfBlocks(blocks, start = null) {
  const lines = [];
  let end = start !== null && blocks[0]?.first === start ? 0 : blocks[0]?.first ?? 0;
  let rest = [];
  let begin = end;
  const flush = () => {
    const decoder = new TextDecoder();
    const text = rest.map((data) => decoder.decode(data, { stream: true })).join("") + decoder.decode();
    const plain = text.length === rest.reduce((sum, data) => sum + data.length, 0);
    const parts = text.split("\n");
    if (parts.at(-1) === "") parts.pop();
    let at = begin;
    for (const part of parts) {
      lines.push({ key: at, text: part });
      at += (plain ? part.length : encoder.encode(part).length) + 1;
    }
    rest = [];
  };
  for (const block of blocks) {
    if (block.first > end) {
      flush();
      lines.push({ key: end - 0.5, text: `[${bytes(block.first - end)} were not kept]`, note: true });
      begin = block.first;
    }
    rest.push(block.data);
    end = block.last;
  }
  flush();
  return lines;
}
