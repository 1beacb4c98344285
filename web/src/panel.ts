// The controls: what they hold follows the state, and what is done to them changes it.

import { download, properties, type Score } from "./api";
import { DATED, SHOWS, type Show, type State, type Store } from "./state";
import { percent } from "./strip";

export function find<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

const COLOURS: [string, string][] = [
  ["True colour", "B04,B03,B02"],
  ["False colour (vegetation red)", "B08,B04,B03"],
  ["Short-wave infrared", "B12,B8A,B04"],
];

export interface Actions {
  area(): number[];
  home(): void;
  tell(message: string): void;
  choose(frame: string): void;
}

export class Panel {
  constructor(private store: Store, private actions: Actions) {
    const { catalogue } = store;
    find("title").textContent = catalogue.title;
    const days = catalogue.frames.map((frame) => frame.time.slice(0, 10));
    const levels = [...new Set(catalogue.frames.map((frame) => frame.level).filter(Boolean))].join(", ");
    const tiles = [...new Set(catalogue.frames.flatMap((frame) => frame.tiles))];
    find("about").textContent = [
      `${days.length} dates`,
      `${days[0]} – ${days[days.length - 1]}`,
      tiles.length > 3 ? `${tiles.length} tiles` : tiles.join(", "),
      levels || "scores only",
    ].join(" · ");
    this.fill();
    this.wire();
    store.listen(() => this.update());
    this.update();
  }

  private fill(): void {
    const { catalogue } = this.store;
    const names = catalogue.bands.map((band) => band.name);
    const colours = find<HTMLSelectElement>("bands");
    for (const [title, bands] of COLOURS) {
      if (bands.split(",").every((band) => names.includes(band))) colours.add(new Option(title, bands));
    }
    for (const band of catalogue.bands) colours.add(new Option(band.title, band.name));
    const method = find<HTMLSelectElement>("method");
    for (const name of catalogue.methods) method.add(new Option(name.replace("_", " "), name));
    find("ramp").style.background = `linear-gradient(90deg, ${catalogue.palette.join(", ")})`;
    for (const button of document.querySelectorAll<HTMLButtonElement>("#shows button")) {
      const show = button.dataset["show"] as Show;
      button.disabled = catalogue.bands.length === 0 && show !== "score" && show !== "count";
      if (button.disabled) button.title = "needs imagery: start with --imagery FOLDER";
    }
  }

  private wire(): void {
    const { store } = this;
    const number = (id: string, key: "threshold" | "opacity"): void =>
      find<HTMLInputElement>(id).addEventListener("input", (event) =>
        store.set({ [key]: Number((event.target as HTMLInputElement).value) } as Partial<State>),
      );
    number("threshold", "threshold");
    number("opacity", "opacity");
    const text = (id: string, key: "bands" | "method" | "start" | "end"): void =>
      find<HTMLInputElement>(id).addEventListener("change", (event) =>
        store.set({ [key]: (event.target as HTMLInputElement).value } as Partial<State>),
      );
    text("bands", "bands");
    text("method", "method");
    text("start", "start");
    text("end", "end");
    for (const id of ["low", "high"]) find(id).addEventListener("change", () => this.stretch());
    for (const input of document.querySelectorAll<HTMLInputElement>("input[name=by]")) {
      input.addEventListener("change", () => store.set({ by: input.value as Score }));
    }
    for (const button of document.querySelectorAll<HTMLButtonElement>("#shows button")) {
      button.addEventListener("click", () => store.set({ show: button.dataset["show"] as Show }));
    }
    const box = (id: string, key: "compare" | "basemap"): void =>
      find<HTMLInputElement>(id).addEventListener("change", (event) =>
        store.set({ [key]: (event.target as HTMLInputElement).checked } as Partial<State>),
      );
    box("compare", "compare");
    box("basemap", "basemap");
    find("home").addEventListener("click", () => this.actions.home());
    find("whole").addEventListener("click", () => store.set({ start: "", end: "" }));
    find("link").addEventListener("click", () => void this.copyLink());
    find("download").addEventListener("click", () => void this.download());
    find("facts").addEventListener("click", () => void this.facts());
    find("close-facts").addEventListener("click", () => find<HTMLDialogElement>("facts-box").close());
    find("more").addEventListener("click", () => {
      const open = find("panel").classList.toggle("open");
      find("more").setAttribute("aria-expanded", String(open));
    });
    for (const event of ["online", "offline"]) addEventListener(event, () => this.update());
  }

  private stretch(): void {
    const [low, high] = ["low", "high"].map((id) => Math.round(Number(find<HTMLInputElement>(id).value))) as [number, number];
    if (Number.isFinite(low) && Number.isFinite(high) && low < high) this.store.set({ low, high });
    else {
      this.actions.tell("the stretch needs a smaller number first and a larger one second, such as 0 and 2500");
      this.update();
    }
  }

  private update(): void {
    const { state, catalogue } = this.store;
    const set = (id: string, value: string | number): void => {
      const input = find<HTMLInputElement>(id);
      if (input.value !== String(value)) input.value = String(value);
    };
    set("threshold", state.threshold);
    set("opacity", state.opacity);
    set("bands", state.bands);
    set("method", state.method);
    set("start", state.start);
    set("end", state.end);
    set("low", state.low);
    set("high", state.high);
    find("threshold-value").textContent = state.threshold.toFixed(2);
    find("threshold").style.setProperty("--at", `${100 * state.threshold}%`);
    for (const input of document.querySelectorAll<HTMLInputElement>("input[name=by]")) input.checked = input.value === state.by;
    for (const button of document.querySelectorAll<HTMLButtonElement>("#shows button")) {
      button.setAttribute("aria-pressed", String(button.dataset["show"] === state.show));
    }
    find<HTMLInputElement>("compare").checked = state.compare;
    find<HTMLInputElement>("compare").disabled = catalogue.bands.length === 0;
    const basemap = find<HTMLInputElement>("basemap");
    basemap.checked = state.basemap;
    basemap.disabled = !navigator.onLine;
    find<HTMLButtonElement>("download").disabled = catalogue.bands.length === 0;
    find<HTMLButtonElement>("facts").disabled = !state.frame;
    const colours = state.compare || ["composite", "masked", "scene"].includes(state.show);
    find("legend").hidden = !["score", "count"].includes(state.show);
    find("legend-name").textContent = state.show === "score" ? state.by : "clear dates";
    find("legend-high").textContent = state.show === "score" ? "1" : String(this.store.taken().length);
    find("colour-controls").toggleAttribute("data-idle", !colours);
    find("composite-controls").toggleAttribute("data-idle", DATED.includes(state.show) && !state.compare);
    find("told").textContent = this.told();
  }

  /** One line: what is being looked at. */
  private told(): string {
    const { state } = this.store;
    const taken = this.store.taken();
    const frame = this.store.frame();
    if (DATED.includes(state.show)) return frame ? `${frame.time.slice(0, 10)} · ${percent(this.store.clear(frame))}` : "";
    const shares = taken.map((each) => this.store.clear(each)).filter((share) => share !== null);
    const mean = shares.length ? shares.reduce((a, b) => a + b, 0) / shares.length : null;
    return `${taken.length} dates · on average ${percent(mean)}`;
  }

  private async copyLink(): Promise<void> {
    const address = location.href;
    try {
      await navigator.clipboard.writeText(address);
      this.actions.tell("Link copied: it restores this view.");
    } catch {
      this.actions.tell("The address of this page restores this view; copy it from the address bar.");
    }
  }

  private async download(): Promise<void> {
    const { state } = this.store;
    const button = find<HTMLButtonElement>("download");
    const [west, south, east, north] = this.actions.area() as [number, number, number, number];
    if (!(west < east && south < north)) return this.actions.tell("There is no imagery in this window; move the map to it.");
    const query = new URLSearchParams({
      bbox: [west, south, east, north].map((degrees) => degrees.toFixed(6)).join(","),
      bands: state.bands,
      by: state.by,
      threshold: state.threshold.toFixed(2),
      method: state.method,
      ...(state.start && { start: state.start }),
      ...(state.end && { end: state.end }),
    });
    button.disabled = true;
    button.textContent = "Making the file …";
    try {
      const { blob, name } = await download(query);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      this.actions.tell(`${name}: ${(blob.size / 1e6).toFixed(1)} MB`);
    } catch (error) {
      this.actions.tell(`Nothing was downloaded: ${(error as Error).message}`);
    } finally {
      button.disabled = false;
      button.textContent = "Download COG";
    }
  }

  private async facts(): Promise<void> {
    const frame = this.store.frame();
    if (!frame) return;
    const body = find("facts-body");
    find("facts-title").textContent = `Scene of ${frame.time.slice(0, 10)}`;
    body.textContent = "Loading …";
    find<HTMLDialogElement>("facts-box").showModal();
    try {
      const told = await Promise.all(frame.scenes.map(properties));
      body.replaceChildren(
        ...told.map(({ index, image, properties: facts }) => {
          const table = document.createElement("table");
          table.createCaption().textContent = index;
          for (const [name, value] of Object.entries({ image: image ?? "not on this machine", ...facts })) {
            const row = table.insertRow();
            row.append(Object.assign(document.createElement("th"), { textContent: name, scope: "row" }));
            row.insertCell().textContent = typeof value === "object" ? JSON.stringify(value) : String(value);
          }
          return table;
        }),
      );
    } catch (error) {
      body.textContent = `They can't be shown: ${(error as Error).message}`;
    }
  }
}

/** Steps through what can be shown, for the keys 1 to 5. */
export function showOf(key: string): Show | undefined {
  return SHOWS[Number(key) - 1];
}
