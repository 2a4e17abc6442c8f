// The last hour as graphs, each with its numbers in a table; the rest of the page is brought up to date in place.
// Without this script the page is the same in tables, and reloads itself.
"use strict";
(() => {
  const COLOURS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7"];
  // Lines differ by more than their colour.
  const DASHES = [[], [6, 3], [2, 2], [10, 4, 2, 4], [4, 6], [12, 3], [1, 4]];
  const ROWS = 30;
  const HEIGHT = 200;
  const box = document.getElementById("graphs");
  const note = document.getElementById("graphs-note");
  const shown = new Map();
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const element = (name, text, parent) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };

  const rounded = (value) => {
    if (value === 0) return "0";
    const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
    return value >= 0.01 ? String(Number(value.toFixed(digits))) : value.toPrecision(1);
  };

  // A number with its unit, as short as can be read.
  const words = (value, unit) => {
    if (value === null || value === undefined) return "-";
    if (unit === "B/s") {
      let step = 0;
      while (value >= 1024 && step < 4) { value /= 1024; step += 1; }
      return `${rounded(value)} ${["B", "KiB", "MiB", "GiB", "TiB"][step]}/s`;
    }
    if (unit === "s") return value < 1 ? `${rounded(value * 1000)} ms` : `${rounded(value)} s`;
    return unit === "" ? rounded(value) : `${rounded(value)} ${unit}`;
  };

  const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

  // Ten minutes at least, and nothing after now: of a single point the library makes a whole day.
  const timeRange = (_, low, high) => {
    const now = Date.now() / 1000;
    const last = Math.min(high || now, now);
    return [Math.min(low || last, last - 600), last];
  };

  const options = (graph, width) => {
    const axis = { stroke: () => colour("--quiet"), grid: { stroke: () => colour("--grid"), width: 1 }, ticks: { stroke: () => colour("--line"), width: 1 } };
    // Without a pointer in the graph, the newest values stand below it.
    const newest = (plot, of) => plot.data?.[of]?.at(-1);
    const series = [{ label: "at", value: (plot, at) => { const time = at ?? newest(plot, 0); return time ? clock(time) : "-"; } }];
    graph.lines.forEach((line, at) => series.push({
      label: line.label,
      stroke: () => colour(line.limit ? "--bad" : COLOURS[at % COLOURS.length]),
      dash: line.limit ? [] : DASHES[at % DASHES.length],
      width: 2,
      points: { show: graph.lines[at].values.length < 3 },
      value: (plot, value, of, cursor) => words(cursor === null ? newest(plot, of) : value, graph.unit),
    }));
    const y = graph.unit === "s"
      ? { distr: 3, range: (_, low, high) => [Math.max(1e-4, Math.min(low || 1e-3, 1e-3)), Math.max(high || 0, 10)] }
      : { range: (_, low, high) => [0, graph.unit === "%" ? 100 : Math.max(high || 0, 1) * 1.1] };
    // Powers of two for bytes; for times, tens and the limit.
    const steps = graph.unit === "B/s" ? { incrs: Array.from({ length: 45 }, (_, power) => 2 ** power) }
      : graph.unit === "s" ? { splits: () => [1e-3, 1e-2, 0.1, 1, 5], filter: (_, splits) => splits } : {};
    return {
      width, height: HEIGHT, series,
      scales: { x: { time: true, range: timeRange }, y },
      axes: [
        { ...axis, space: 60, values: (_, all) => all.map((at) => clock(at).slice(0, 5)) },
        { ...axis, ...steps, size: 80, values: (_, all) => all.map((value) => (value === null ? "" : words(value, graph.unit))) },
      ],
      hooks: { draw: [(plot) => graph.lines.some((line) => line.limit) && across(plot, 5)] },
      cursor: { drag: { x: false, y: false } },
    };
  };

  // A limit holds for all times, also those of which nothing is known.
  const across = ({ ctx, bbox, valToPos }, value) => {
    const y = Math.round(valToPos(value, "y", true));
    ctx.save();
    ctx.strokeStyle = colour("--bad");
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  };

  const frame = (graph) => {
    const figure = element("figure", undefined, box);
    figure.id = `graph-${graph.id}`;
    element("figcaption", graph.title, figure);
    element("p", graph.meaning, figure);
    const canvas = element("div", undefined, figure);
    canvas.setAttribute("aria-hidden", "true");
    const details = element("details", undefined, figure);
    element("summary", `${graph.title}: the numbers`, details);
    const scroll = element("div", undefined, details);
    scroll.className = "scroll";
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", `${graph.title}: the numbers`);
    const made = { canvas, details, scroll, plot: null, labels: "", graph: null, times: [] };
    details.addEventListener("toggle", () => table(made));
    new ResizeObserver(() => {
      if (made.plot && canvas.clientWidth > 0) made.plot.setSize({ width: canvas.clientWidth, height: HEIGHT });
    }).observe(canvas);
    return made;
  };

  // The newest first; made only while it is open.
  const table = (made) => {
    if (!made.details.open) return;
    const { graph, times } = made;
    const rows = document.createElement("table");
    const head = element("tr", undefined, element("thead", undefined, rows));
    for (const label of ["time", ...graph.lines.map((line) => line.label)]) element("th", label, head).scope = "col";
    const body = element("tbody", undefined, rows);
    for (let at = times.length - 1; at >= Math.max(0, times.length - ROWS); at -= 1) {
      const row = element("tr", undefined, body);
      element("th", clock(times[at]), row).scope = "row";
      for (const line of graph.lines) element("td", words(line.values[at], graph.unit), row);
    }
    made.scroll.replaceChildren(rows);
  };

  const draw = (history) => {
    note.textContent = history.times.length > 0 ? "" : `The first point appears ${history.interval_seconds} s after the start.`;
    for (const graph of history.graphs) {
      if (!shown.has(graph.id)) shown.set(graph.id, frame(graph));
      const made = shown.get(graph.id);
      made.graph = graph;
      made.times = history.times;
      const data = [history.times, ...graph.lines.map((line) => line.values)];
      const labels = graph.lines.map((line) => line.label).join("\n");
      // A new set of lines, or the first points that need no dots any more.
      const kind = `${labels}\n${history.times.length < 3}`;
      if (made.plot && made.labels === kind) {
        made.plot.setData(data);
        if (made.plot.cursor.idx === null) made.plot.setLegend({ idx: null });
      } else {
        if (made.plot) made.plot.destroy();
        made.plot = new uPlot(options(graph, made.canvas.clientWidth || 300), data, made.canvas);
        made.labels = kind;
      }
      table(made);
    }
    document.body.dataset.drawn = String(history.times.length);
  };

  const replace = (fresh, id) => {
    const [old, next] = [document.getElementById(id), fresh.getElementById(id)];
    // Whoever stands in it with the keyboard is not to be thrown out.
    if (old && next && !old.contains(document.activeElement)) old.replaceWith(next);
  };

  const refresh = async (tables) => {
    try {
      const answers = await Promise.all([fetch("/history"), tables ? fetch(location.href) : null]);
      if (!answers[0].ok) throw new Error(await answers[0].text());
      draw(await answers[0].json());
      if (answers[1] && answers[1].ok) {
        const fresh = new DOMParser().parseFromString(await answers[1].text(), "text/html");
        for (const id of ["state", "attention", "glance", "tables"]) replace(fresh, id);
        document.title = fresh.title;
      }
    } catch (error) {
      note.textContent = `Not up to date: ${error.message || error}`;
    }
  };

  dark.addEventListener("change", () => shown.forEach((made) => made.plot && made.plot.redraw(false, true)));
  refresh(false);
  if (document.body.dataset.refresh === "on") setInterval(() => { if (!document.hidden) refresh(true); }, 10000);
})();
