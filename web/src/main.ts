// The page of `clearsight view`.

import "ol/ol.css";
import "./style.css";

import { catalogue, pixel } from "./api";
import { Chart } from "./chart";
import { MapView } from "./map";
import { find, Panel, showOf } from "./panel";
import { BEFORE, clamp, DATED, type Show, Store } from "./state";
import { Strip } from "./strip";

const NAMES: Record<Show | "all", string> = {
  composite: "Clear only",
  all: "Everything",
  masked: "Masked",
  scene: "As seen",
  score: "Score",
  count: "Clear dates",
};

let quiet = 0;

function tell(message: string): void {
  const toast = find("toast");
  toast.textContent = message.charAt(0).toUpperCase() + message.slice(1);
  toast.hidden = false;
  clearTimeout(quiet);
  quiet = setTimeout(() => (toast.hidden = true), 6000);
}

function cover(title: string, more: string): void {
  find("cover").hidden = title === "";
  find("cover-title").textContent = title;
  find("cover-more").textContent = more;
}

async function start(): Promise<void> {
  try {
    run(new Store(await catalogue()));
  } catch (error) {
    cover("The map can't be shown", (error as Error).message);
    document.body.classList.add("failed");
  }
}

function run(store: Store): void {
  cover("", "");
  document.title = `${store.catalogue.title} · Clearsight`;
  const choose = (frame: string): void =>
    store.set({ frame, ...(DATED.includes(store.state.show) ? {} : { show: store.catalogue.bands.length ? "scene" : "score" }) });
  let pending: AbortController | null = null;
  const chart = new Chart(store, find("pixel-plot"), choose);
  let seen: Awaited<ReturnType<typeof pixel>> | null = null;

  const view = new MapView(store, find("map"), {
    busy: (waiting) => {
      find("busy").hidden = !waiting;
      find("map").setAttribute("aria-busy", String(waiting));
    },
    failed: tell,
    picked: (lon, lat) => store.set({ pixel: `${lon.toFixed(6)},${lat.toFixed(6)}` }),
  });
  new Panel(store, { area: () => view.area(), home: () => view.home(), tell, choose });
  const strip = new Strip(store, find("strip"), choose);
  void strip;
  swipe(store);
  keys(store, view, choose);

  const ask = async (): Promise<void> => {
    pending?.abort();
    const [lon, lat] = store.state.pixel.split(",");
    find("pixel").hidden = !store.state.pixel;
    if (!lon || !lat) return;
    const request = (pending = new AbortController());
    find("pixel-place").textContent = `${Number(lat).toFixed(5)}°, ${Number(lon).toFixed(5)}°`;
    find("pixel-plot").setAttribute("aria-busy", "true");
    try {
      const query = new URLSearchParams({ lon, lat });
      if (store.state.bands) query.set("bands", store.state.bands);
      seen = await pixel(query, request.signal);
      if (seen.series.length) chart.draw(seen);
      else find("pixel-plot").textContent = "Nothing was ever measured here.";
    } catch (error) {
      if (!request.signal.aborted) find("pixel-plot").textContent = `It can't be shown: ${(error as Error).message}`;
    } finally {
      if (pending === request) find("pixel-plot").setAttribute("aria-busy", "false");
    }
  };
  find("close-pixel").addEventListener("click", () => store.set({ pixel: "" }));

  const show = (): void => {
    const { state } = store;
    const none = !DATED.includes(state.show) && store.taken().length === 0;
    find("empty").hidden = !none;
    find("before-name").textContent = NAMES[BEFORE[state.show]];
    find("after-name").textContent = NAMES[state.show];
    find("swipe").hidden = !state.compare;
  };
  store.listen((_, changed) => {
    show();
    if (changed.has("pixel") || changed.has("bands")) void ask();
    else if (seen?.series.length && store.state.pixel && ["threshold", "by", "frame"].some((key) => changed.has(key as never))) chart.draw(seen);
  });
  addEventListener("hashchange", () => {
    store.set(store.read(location.hash));
    view.go();
  });
  show();
  void ask();
  if (store.catalogue.notes.length) tell(`${store.catalogue.notes.length} scenes are shown without imagery: ${store.catalogue.notes[0]}`);
}

/** The handle between before and after: dragged, or moved with the arrow keys while it has the focus. */
function swipe(store: Store): void {
  const handle = find("swipe");
  const place = (): void => {
    const at = store.state.swipe;
    handle.style.left = `${100 * at}%`;
    find("handle").setAttribute("aria-valuenow", String(Math.round(100 * at)));
  };
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    event.preventDefault();
    find("handle").focus({ preventScroll: true });
  });
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const box = find("map").getBoundingClientRect();
    store.set({ swipe: clamp((event.clientX - box.left) / box.width, 0.02, 0.98) });
  });
  find("handle").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    store.set({ swipe: clamp(store.state.swipe + step, 0.02, 0.98) });
  });
  store.listen((_, changed) => {
    if (changed.has("swipe")) place();
  });
  place();
}

function keys(store: Store, view: MapView, choose: (frame: string) => void): void {
  const step = (by: number): void => {
    const { frames } = store.catalogue;
    const now = frames.findIndex((frame) => frame.id === store.state.frame);
    // The first key shows the date that is marked, the next ones step from there.
    const next = DATED.includes(store.state.show) ? clamp(now + by, 0, frames.length - 1) : now;
    const frame = frames[next];
    if (frame) choose(frame.id);
  };
  const threshold = (by: number): void => store.set({ threshold: clamp(Math.round(100 * (store.state.threshold + by)) / 100, 0, 1) });
  addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    const typing = target.matches("input:not([type=checkbox]):not([type=radio]), select, textarea") || target.closest("dialog") !== null;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "[" || event.key === "]") threshold(event.key === "[" ? -0.01 : 0.01);
    else if (typing || (target.matches("[type=radio]") && event.key.startsWith("Arrow"))) return;
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") step(event.key === "ArrowLeft" ? -1 : 1);
    else if (event.key === "+" || event.key === "-") view.zoom(event.key === "+" ? 1 : -1);
    else if (event.key === "Escape") store.set(store.state.pixel ? { pixel: "" } : { show: store.defaults.show });
    else if (showOf(event.key) && (store.catalogue.bands.length || Number(event.key) > 3)) store.set({ show: showOf(event.key) as Show });
    else return;
    event.preventDefault();
  });
}

void start();
