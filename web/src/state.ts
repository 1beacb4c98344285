// What is shown: one plain object, its place in the address, and who wants to know when it changes.

import type { Catalogue, Frame, Score } from "./api";

export type Show = "composite" | "masked" | "scene" | "score" | "count";

export interface State {
  show: Show;
  compare: boolean;
  frame: string;
  threshold: number;
  by: Score;
  method: string;
  start: string;
  end: string;
  bands: string;
  low: number;
  high: number;
  opacity: number;
  swipe: number;
  basemap: boolean;
  lon: number;
  lat: number;
  zoom: number;
  pixel: string;
}

export const SHOWS: Show[] = ["composite", "masked", "scene", "score", "count"];

/** Shows that need one date. */
export const DATED: Show[] = ["masked", "scene", "score"];

/** What stands left of the swipe handle; "all" is the composite of everything, unmasked. */
export const BEFORE: Record<Show, Show | "all"> = {
  composite: "all",
  masked: "scene",
  scene: "composite",
  score: "scene",
  count: "composite",
};

type Listener = (state: State, changed: Set<keyof State>) => void;

export class Store {
  readonly defaults: State;
  state: State;
  private listeners: Listener[] = [];

  constructor(readonly catalogue: Catalogue) {
    this.defaults = defaults(catalogue);
    this.state = this.read(location.hash);
  }

  listen(listener: Listener): void {
    this.listeners.push(listener);
  }

  set(part: Partial<State>): void {
    const changed = new Set<keyof State>();
    for (const [key, value] of Object.entries(part) as [keyof State, never][]) {
      if (this.state[key] !== value) {
        this.state[key] = value;
        changed.add(key);
      }
    }
    if (changed.size === 0) return;
    history.replaceState(null, "", this.hash());
    for (const listener of this.listeners) listener(this.state, changed);
  }

  /** The address that restores the view; only what differs from the beginning. */
  hash(): string {
    const parts = new URLSearchParams();
    for (const [key, value] of Object.entries(this.state) as [keyof State, State[keyof State]][]) {
      if (value === this.defaults[key]) continue;
      parts.set(key, typeof value === "number" ? String(rounded(key, value)) : String(value));
    }
    return `#${parts}`;
  }

  /** Read an address; what isn't understood keeps its default. */
  read(hash: string): State {
    const parts = new URLSearchParams(hash.replace(/^#/, ""));
    const state: State = { ...this.defaults };
    for (const [key, text] of parts) {
      if (!(key in state)) continue;
      const name = key as keyof State;
      const kind = typeof this.defaults[name];
      const value = kind === "number" ? Number(text) : kind === "boolean" ? text === "true" : text;
      if (kind === "number" && !Number.isFinite(value)) continue;
      (state as unknown as Record<string, unknown>)[name] = value;
    }
    return this.checked(state);
  }

  private checked(state: State): State {
    const known = this.catalogue;
    const names = new Set(known.bands.map((band) => band.name));
    if (!SHOWS.includes(state.show)) state.show = this.defaults.show;
    if (!known.frames.some((frame) => frame.id === state.frame)) state.frame = this.defaults.frame;
    if (state.by !== "cs" && state.by !== "cs_cdf") state.by = this.defaults.by;
    if (!known.methods.includes(state.method)) state.method = this.defaults.method;
    if (!state.bands.split(",").every((band) => names.has(band))) state.bands = this.defaults.bands;
    if (state.low >= state.high) [state.low, state.high] = known.display;
    state.threshold = clamp(state.threshold, 0, 1);
    state.opacity = clamp(state.opacity, 0, 1);
    state.swipe = clamp(state.swipe, 0, 1);
    state.zoom = clamp(state.zoom, 0, known.deepest);
    state.lon = clamp(state.lon, -180, 180);
    state.lat = clamp(state.lat, -85, 85);
    for (const key of ["start", "end"] as const) if (!/^(\d{4}-\d{2}-\d{2})?$/.test(state[key])) state[key] = "";
    const [lon, lat] = state.pixel.split(",").map((degrees) => (degrees.trim() ? Number(degrees) : NaN));
    if (!(Math.abs(lon ?? NaN) <= 180 && Math.abs(lat ?? NaN) <= 90)) state.pixel = "";
    if (known.bands.length === 0 && state.show !== "count") state.show = "score";
    return state;
  }

  frame(): Frame | undefined {
    return this.catalogue.frames.find((frame) => frame.id === this.state.frame);
  }

  /** Dates that the composite takes. */
  taken(): Frame[] {
    return this.catalogue.frames.filter((frame) => this.takes(frame));
  }

  takes(frame: Frame): boolean {
    const day = frame.time.slice(0, 10);
    const { start, end } = this.state;
    return (!start || day >= start) && (!end || day <= end);
  }

  clear(frame: Frame): number | null {
    const share = frame.clear[this.state.by][Math.round(this.state.threshold * 100)];
    return share == null ? null : share / 1000;
  }
}

/** A number as the address holds it: degrees and shares to well below a pixel. */
export function rounded(key: keyof State, value: number): number {
  return Number(value.toFixed(key === "zoom" ? 4 : 6));
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

function defaults(catalogue: Catalogue): State {
  const names = catalogue.bands.map((band) => band.name);
  const colour = ["B04", "B03", "B02"];
  const [west, south, east, north] = catalogue.bbox;
  const clearest = [...catalogue.frames].sort((a, b) => (b.clear.cs_cdf[60] ?? -1) - (a.clear.cs_cdf[60] ?? -1))[0];
  return {
    show: names.length ? "composite" : "score",
    compare: names.length > 0,
    frame: clearest?.id ?? "",
    threshold: 0.6,
    by: "cs_cdf",
    method: "median",
    start: "",
    end: "",
    bands: colour.every((name) => names.includes(name)) ? colour.join(",") : (names[0] ?? ""),
    low: catalogue.display[0],
    high: catalogue.display[1],
    opacity: 1,
    swipe: 0.5,
    basemap: false,
    lon: (west + east) / 2,
    lat: (south + north) / 2,
    zoom: 0,
    pixel: "",
  };
}
