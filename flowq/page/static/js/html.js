// Preact and htm under one name. Templates become text nodes and properties; none of it is ever parsed as HTML.
import { Fragment, h, render } from "../vendor/preact.mjs";
import htm from "../vendor/htm.mjs";

export { Fragment, render };
export { useCallback, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useReducer, useRef, useState } from "../vendor/hooks.mjs";
export const html = htm.bind(h);
