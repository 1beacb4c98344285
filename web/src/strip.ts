// The strip of dates: one bar each, as high as the date is clear at the threshold.

import type { Frame } from "./api";
import { DATED, type Store } from "./state";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function percent(share: number | null): string {
  return share === null ? "no data" : `${Math.round(100 * share)} % clear`;
}

export class Strip {
  private bars = new Map<string, HTMLElement>();

  constructor(private store: Store, private host: HTMLElement, private choose: (frame: string) => void) {
    let month = "";
    const { frames } = store.catalogue;
    for (const [number, frame] of frames.entries()) {
      const mine = frame.time.slice(0, 7);
      const roomy = frames[number + 1]?.time.slice(0, 7) === mine;
      host.append(this.bar(frame, mine === month ? "" : label(mine, month, roomy)));
      month = mine;
    }
    store.listen((_, changed) => {
      if (["threshold", "by", "frame", "show", "start", "end"].some((key) => changed.has(key as never))) this.update(changed.has("frame"));
    });
    this.update(true);
  }

  private bar(frame: Frame, month: string): HTMLElement {
    const bar = document.createElement("button");
    bar.type = "button";
    bar.className = "bar";
    bar.dataset["frame"] = frame.id;
    bar.tabIndex = -1;
    const fill = document.createElement("span");
    fill.className = "fill";
    const track = document.createElement("span");
    track.className = "track";
    track.append(fill);
    const text = document.createElement("span");
    text.className = "day";
    text.textContent = String(Number(frame.time.slice(8, 10)));
    const name = document.createElement("span");
    name.className = "month";
    name.textContent = month;
    bar.append(track, text, name);
    bar.addEventListener("click", () => this.choose(frame.id));
    this.bars.set(frame.id, bar);
    return bar;
  }

  private update(scroll: boolean): void {
    const { state } = this.store;
    for (const frame of this.store.catalogue.frames) {
      const bar = this.bars.get(frame.id) as HTMLElement;
      const share = this.store.clear(frame);
      const chosen = frame.id === state.frame;
      const day = frame.time.slice(0, 10);
      const shown = chosen && DATED.includes(state.show);
      (bar.querySelector(".fill") as HTMLElement).style.height = `${100 * (share ?? 0)}%`;
      bar.title = `${day}: ${percent(share)} at ${state.by} ≥ ${state.threshold.toFixed(2)}`;
      bar.setAttribute("aria-label", `${day}, ${percent(share)}`);
      bar.setAttribute("aria-pressed", String(shown));
      bar.tabIndex = chosen ? 0 : -1;
      bar.classList.toggle("chosen", shown);
      bar.classList.toggle("left-out", !this.store.takes(frame));
      if (chosen && scroll) this.reveal(bar);
    }
  }

  /** Scroll the strip, and nothing else. */
  private reveal(bar: HTMLElement): void {
    const { host } = this;
    const left = bar.offsetLeft - host.offsetLeft;
    if (left < host.scrollLeft || left + bar.offsetWidth > host.scrollLeft + host.clientWidth) {
      host.scrollLeft = left - host.clientWidth / 2;
    }
  }
}

/** The month's name; with the year where a year begins and there is room. */
function label(month: string, before: string, roomy: boolean): string {
  const name = MONTHS[Number(month.slice(5)) - 1] ?? "";
  return month.slice(0, 4) === before.slice(0, 4) || !roomy ? name : `${name} ’${month.slice(2, 4)}`;
}
