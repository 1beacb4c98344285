// What one pixel did over time: its reflectance, its two scores, and the threshold as a line.

import type { Pixel, PixelRow } from "./api";
import type { Store } from "./state";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 420;
const LEFT = 34;
const RIGHT = 10;
const COLOURS: Record<string, string> = { B02: "#3b6fd4", B03: "#3c9a4c", B04: "#d2483f", B08: "#8a5bb5" };
const OTHERS = ["#b8862b", "#2b97a3", "#777"];

interface Panel {
  top: number;
  height: number;
  most: number;
}

export class Chart {
  private drawn: SVGSVGElement | null = null;

  constructor(private store: Store, private host: HTMLElement, private choose: (frame: string) => void) {}

  draw(pixel: Pixel): void {
    const { state } = this.store;
    const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${pixel.bands.length ? 246 : 136}`, class: "plot", role: "img" });
    svg.setAttribute("aria-label", summary(pixel, state.by, state.threshold));
    const times = pixel.series.map((row) => Date.parse(row.time));
    const [first, last] = [Math.min(...times), Math.max(...times)];
    const x = (row: PixelRow): number =>
      last > first ? LEFT + 6 + ((WIDTH - LEFT - RIGHT - 12) * (Date.parse(row.time) - first)) / (last - first) : WIDTH / 2;

    const scores: Panel = { top: 10, height: 90, most: 1 };
    axis(svg, scores, [0, 0.5, 1], (value) => value.toFixed(1));
    this.threshold(svg, scores);
    for (const name of ["cs", "cs_cdf"] as const) {
      line(svg, pixel.series, x, scores, name, `series ${name}`, name === state.by ? state.threshold : null);
    }
    if (pixel.bands.length) {
      const values = pixel.series.flatMap((row) => pixel.bands.map((band) => row[band])).filter((value) => typeof value === "number");
      const most = Math.max(0.1, Math.ceil(Math.max(...values) * 10) / 10);
      const reflectance: Panel = { top: 122, height: 90, most };
      axis(svg, reflectance, [0, most / 2, most], (value) => value.toFixed(2));
      for (const [number, band] of pixel.bands.entries()) {
        line(svg, pixel.series, x, reflectance, band, "series band", null, COLOURS[band] ?? OTHERS[number % OTHERS.length]);
      }
    }
    const bottom = pixel.bands.length ? 228 : 116;
    this.days(svg, pixel.series, x, bottom);
    this.columns(svg, pixel.series, x, bottom);
    this.drawn?.remove();
    this.drawn = svg;
    this.host.replaceChildren(svg, legend(pixel.bands), table(pixel));
  }

  private threshold(svg: SVGElement, panel: Panel): void {
    const y = panel.top + panel.height * (1 - this.store.state.threshold);
    svg.append(element("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, class: "threshold" }));
  }

  private days(svg: SVGElement, rows: PixelRow[], x: (row: PixelRow) => number, y: number): void {
    for (const row of [...new Set([rows[0], rows[rows.length - 1]])]) {
      if (!row) continue;
      const anchor = row === rows[0] ? "start" : "end";
      const text = element("text", { x: row === rows[0] ? LEFT : WIDTH - RIGHT, y: y + 8, "text-anchor": anchor });
      text.textContent = row.time.slice(0, 10);
      svg.append(text);
      if (rows.length === 1) text.setAttribute("x", String(x(row)));
    }
  }

  /** A column per date: shows which one is chosen, tells its values, and chooses it when clicked. */
  private columns(svg: SVGElement, rows: PixelRow[], x: (row: PixelRow) => number, bottom: number): void {
    const wide = Math.min(28, (WIDTH - LEFT - RIGHT) / Math.max(rows.length, 1));
    for (const row of rows) {
      const chosen = row.id === this.store.state.frame ? " chosen" : "";
      const column = element("rect", { x: x(row) - wide / 2, y: 6, width: wide, height: bottom - 8, class: `column${chosen}` });
      const title = element("title", {});
      title.textContent = Object.entries(row)
        .filter(([key]) => key !== "id")
        .map(([key, value]) => `${key} ${value ?? "no data"}`)
        .join("\n");
      column.append(title);
      column.addEventListener("click", () => this.choose(row.id));
      svg.append(column);
    }
  }
}

function element(name: string, attributes: Record<string, string | number>): SVGSVGElement {
  const made = document.createElementNS(SVG, name) as SVGSVGElement;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

function axis(svg: SVGElement, panel: Panel, ticks: number[], say: (value: number) => string): void {
  for (const tick of ticks) {
    const y = panel.top + panel.height * (1 - tick / panel.most);
    svg.append(element("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, class: "grid" }));
    const text = element("text", { x: LEFT - 6, y: y + 3.5, "text-anchor": "end" });
    text.textContent = say(tick);
    svg.append(text);
  }
}

function line(
  svg: SVGElement,
  rows: PixelRow[],
  x: (row: PixelRow) => number,
  panel: Panel,
  name: string,
  kind: string,
  threshold: number | null,
  colour?: string,
): void {
  const points = rows.flatMap((row) => {
    const value = row[name];
    return typeof value === "number" ? [{ at: x(row), y: panel.top + panel.height * (1 - Math.min(value / panel.most, 1)), value }] : [];
  });
  const path = element("polyline", { points: points.map(({ at, y }) => `${at.toFixed(1)},${y.toFixed(1)}`).join(" "), class: kind });
  if (colour) path.style.stroke = colour;
  svg.append(path);
  for (const { at, y, value } of points) {
    const kept = threshold === null || value >= threshold - 1e-6;
    const dot = element("circle", { cx: at, cy: y, r: kind.includes("band") ? 2 : 3, class: `${kind}${kept ? "" : " dropped"}` });
    if (colour) dot.style.fill = colour;
    svg.append(dot);
  }
}

function legend(bands: string[]): HTMLElement {
  const list = document.createElement("p");
  list.className = "key";
  for (const [number, name] of ["cs", "cs_cdf", ...bands].entries()) {
    const entry = document.createElement("span");
    entry.className = `swatch ${name}`;
    const mark = document.createElement("i");
    const colour = bands.includes(name) ? (COLOURS[name] ?? OTHERS[(number - 2) % OTHERS.length]) : undefined;
    if (colour) mark.style.background = colour;
    entry.append(mark, name);
    list.append(entry);
  }
  return list;
}

/** The same numbers for those who can't see the plot. */
function table(pixel: Pixel): HTMLElement {
  const names = ["time", "cs", "cs_cdf", ...pixel.bands];
  const made = document.createElement("table");
  made.className = "unseen";
  made.createCaption().textContent = "Scores and reflectance of this pixel";
  const head = made.createTHead().insertRow();
  for (const name of names) head.append(Object.assign(document.createElement("th"), { textContent: name, scope: "col" }));
  const body = made.createTBody();
  for (const row of pixel.series) {
    const line = body.insertRow();
    for (const name of names) line.insertCell().textContent = row[name] == null ? "no data" : String(row[name]);
  }
  return made;
}

function summary(pixel: Pixel, by: "cs" | "cs_cdf", threshold: number): string {
  const seen = pixel.series.filter((row) => row[by] !== null);
  const kept = seen.filter((row) => (row[by] as number) >= threshold - 1e-6);
  return `${kept.length} of ${seen.length} dates reach ${by} ${threshold.toFixed(2)} at this pixel; the table after the plot has the numbers`;
}
