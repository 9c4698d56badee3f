// A launch form: from what is typed in the fields to the values that are sent, and what is wrong before the server says so.

// The kind of field for a param.
export function kindOf(param) {
  if (param.enum) return "select";
  return { boolean: "boolean", integer: "number", number: "number", date: "date", datetime: "datetime", list: "json", map: "json" }[param.type] ?? "text";
}

// { values, problems } of typed texts by param: an untouched field is not sent, so that the server takes the default.
export function read(params, typed) {
  const values = {};
  const problems = {};
  for (const param of params) {
    const text = typed[param.name];
    if (text === undefined || text === "") {
      if (param.required) problems[param.name] = "It needs a value.";
      continue;
    }
    const kind = kindOf(param);
    if (kind === "json") {
      try {
        const value = JSON.parse(text);
        const fits = param.type === "list" ? Array.isArray(value) : value !== null && typeof value === "object" && !Array.isArray(value);
        if (fits) values[param.name] = value;
        else problems[param.name] = param.type === "list" ? "A list is needed: [1, 2]" : 'A map is needed: {"key": "value"}';
      } catch (error) {
        problems[param.name] = `This is not JSON: ${error.message}`;
      }
    } else if (kind === "select") {
      values[param.name] = param.enum.find((value) => String(value) === text) ?? text;
    } else if (kind === "boolean") values[param.name] = text === "true";
    else if (kind === "number") {
      const value = Number(text);
      if (Number.isNaN(value)) problems[param.name] = "A number is needed.";
      else values[param.name] = value;
    } else values[param.name] = text;
  }
  return { values, problems };
}

// What a default looks like in a field that is left alone: as evaluated by the server, if it has been.
export function placeholder(param, evaluated) {
  const value = evaluated && param.name in evaluated ? evaluated[param.name] : param.default;
  if (value === null || value === undefined) return param.required ? "" : "none";
  return typeof value === "string" ? value : JSON.stringify(value);
}

// The text of a field for a value, as of an earlier run.
export const textOf = (value) => (value === null || value === undefined ? undefined : typeof value === "string" ? value : JSON.stringify(value));

// Labels are written as `key=value`, one a line.
export function readLabels(text) {
  const labels = {};
  for (const line of text.split(/[\n,]/).map((part) => part.trim()).filter(Boolean)) {
    const at = line.indexOf("=");
    if (at < 1) return { labels: {}, problem: `“${line}” is not key=value.` };
    labels[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return { labels, problem: null };
}
