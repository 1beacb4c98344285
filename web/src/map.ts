// The map: two layers of pictures from the server, one on each side of a handle, over an optional basemap.

import Feature from "ol/Feature";
import OlMap from "ol/Map";
import type { MapBrowserEvent } from "ol";
import View from "ol/View";
import { defaults as defaultControls, ScaleLine } from "ol/control";
import { defaults as defaultInteractions } from "ol/interaction";
import Point from "ol/geom/Point";
import ImageTile from "ol/ImageTile";
import type Tile from "ol/Tile";
import TileState from "ol/TileState";
import TileLayer from "ol/layer/Tile";
import VectorLayer from "ol/layer/Vector";
import { fromLonLat, toLonLat, transformExtent } from "ol/proj";
import type RenderEvent from "ol/render/Event";
import { getRenderPixel } from "ol/render";
import OSM from "ol/source/OSM";
import VectorSource from "ol/source/Vector";
import XYZ from "ol/source/XYZ";
import { Circle, Fill, Stroke, Style } from "ol/style";
import { createXYZ } from "ol/tilegrid";

import { reason } from "./api";
import { BEFORE, DATED, rounded, type Show, type State, type Store } from "./state";

export interface MapEvents {
  busy(waiting: boolean): void;
  failed(message: string): void;
  picked(lon: number, lat: number): void;
}

/** One side: a layer whose pictures follow an address, old ones staying until the new ones are there. */
class Side {
  readonly source: XYZ;
  readonly layer: TileLayer<XYZ>;
  private address = "";
  private waiting = new Set<AbortController>();

  constructor(store: Store, private events: { failed(message: string): void }) {
    const { tile, deepest, bbox } = store.catalogue;
    this.source = new XYZ({
      tileGrid: createXYZ({ tileSize: tile, maxZoom: deepest - 1 }),
      tileSize: tile,
      transition: 0,
      tileLoadFunction: (picture, address) => void this.load(picture, address),
      url: "data:,",
    });
    this.layer = new TileLayer({ source: this.source, extent: transformExtent(bbox, "EPSG:4326", "EPSG:3857"), visible: false });
  }

  show(address: string | null): void {
    this.layer.setVisible(address !== null);
    if (address === null || address === this.address) return;
    this.address = address;
    // Pictures that nobody will look at any more keep the server busy for nothing.
    for (const request of this.waiting) request.abort();
    this.source.setTileUrlFunction(([z, x, y]) => address.replace("{z}", `${z}`).replace("{x}", `${x}`).replace("{y}", `${y}`), address);
  }

  private async load(picture: Tile, address: string): Promise<void> {
    const request = new AbortController();
    this.waiting.add(request);
    try {
      const response = await fetch(address, { signal: request.signal });
      if (!response.ok) throw new Error(await reason(response));
      const url = URL.createObjectURL(await response.blob());
      const image = (picture as ImageTile).getImage() as HTMLImageElement;
      image.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
      image.src = url;
    } catch (error) {
      if (request.signal.aborted) {
        // Nothing is wrong with it: whoever comes back to this address gets it, not a hole.
        picture.setState(TileState.ERROR);
        picture.setState(TileState.IDLE);
      } else {
        // Empty, for in the place of an error OpenLayers keeps on painting the picture of another threshold.
        picture.setState(TileState.EMPTY);
        this.events.failed(error instanceof TypeError ? "the server can't be reached; is clearsight view still running?" : (error as Error).message);
      }
    } finally {
      this.waiting.delete(request);
    }
  }
}

export class MapView {
  readonly map: OlMap;
  private before: Side;
  private after: Side;
  private basemap: TileLayer<OSM> | null = null;
  private marker = new VectorSource<Feature<Point>>();
  private drawn = false;

  constructor(private store: Store, target: HTMLElement, private events: MapEvents) {
    this.before = new Side(store, events);
    this.after = new Side(store, events);
    this.before.layer.on("prerender", (event) => this.clip(event, true));
    this.after.layer.on("prerender", (event) => this.clip(event, false));
    for (const side of [this.before, this.after]) {
      side.layer.on("postrender", (event) => (event.context as CanvasRenderingContext2D).restore());
    }
    const style = new Style({
      image: new Circle({ radius: 7, stroke: new Stroke({ color: "#fff", width: 3 }), fill: new Fill({ color: "rgba(15, 106, 98, .9)" }) }),
    });
    this.map = new OlMap({
      target,
      layers: [this.before.layer, this.after.layer, new VectorLayer({ source: this.marker, style })],
      // Arrow keys step dates.
      interactions: defaultInteractions({ keyboard: false, altShiftDragRotate: false, pinchRotate: false }),
      controls: defaultControls({ rotate: false, attribution: true }).extend([new ScaleLine()]),
      view: new View({ center: fromLonLat([store.state.lon, store.state.lat]), zoom: store.state.zoom, maxZoom: store.catalogue.deepest, minZoom: 3 }),
    });
    this.map.on("moveend", () => this.remember());
    this.map.on("loadstart", () => this.wait());
    this.map.on("movestart", () => this.wait());
    // Complete may also be said of the frame before a change: only one that was painted since then counts.
    this.map.on("postrender", () => (this.drawn = true));
    this.map.on("rendercomplete", () => {
      if (this.drawn) events.busy(false);
    });
    this.map.on("singleclick", (event: MapBrowserEvent) => {
      const [lon, lat] = toLonLat(event.coordinate);
      events.picked(lon as number, lat as number);
    });
    if (store.state.zoom === 0) this.home();
    store.listen((_, changed) => this.update(changed));
    this.update(null);
  }

  /** Show everything there is; on a small window, beside what covers the map. */
  home(): void {
    const extent = transformExtent(this.store.catalogue.bbox, "EPSG:4326", "EPSG:3857");
    const [panel, dates] = ["panel", "dates"].map((id) => document.getElementById(id)?.getBoundingClientRect());
    const beside = panel !== undefined && panel.width < innerWidth * 0.6;
    const right = beside ? innerWidth - panel.left : 0;
    const bottom = innerHeight - ((beside ? dates : panel)?.top ?? innerHeight);
    this.map.getView().fit(extent, { padding: [24, 24 + right, 24 + bottom, 24], maxZoom: 15 });
  }

  /** Move to where the state says, after somebody changed the address. */
  go(): void {
    const { lon, lat, zoom } = this.store.state;
    const view = this.map.getView();
    if (zoom === 0) return this.home();
    view.setCenter(fromLonLat([lon, lat]));
    view.setZoom(zoom);
  }

  zoom(step: number): void {
    const view = this.map.getView();
    this.wait();
    view.animate({ zoom: (view.getZoom() ?? 10) + step, duration: 150 });
  }

  /** West, south, east, north of what is seen, in degrees. */
  area(): number[] {
    const seen = transformExtent(this.map.getView().calculateExtent(this.map.getSize()), "EPSG:3857", "EPSG:4326");
    const [west, south, east, north] = this.store.catalogue.bbox;
    return [
      Math.max(seen[0] as number, west),
      Math.max(seen[1] as number, south),
      Math.min(seen[2] as number, east),
      Math.min(seen[3] as number, north),
    ];
  }

  /** Tell that pictures are awaited, until a frame with all of them is painted. */
  private wait(): void {
    this.drawn = false;
    this.events.busy(true);
    this.map.render();
  }

  /** Keep where the map is, and move it there: by less than a pixel, so that the address restores the same pixels. */
  private remember(): void {
    const view = this.map.getView();
    const [lon, lat] = toLonLat(view.getCenter() ?? [0, 0]).map((degrees) => rounded("lon", degrees)) as [number, number];
    const zoom = rounded("zoom", view.getZoom() ?? 10);
    const { state } = this.store;
    if (lon === state.lon && lat === state.lat && zoom === state.zoom) return;
    this.store.set({ lon, lat, zoom });
    this.go();
  }

  private update(changed: Set<keyof State> | null): void {
    const { state } = this.store;
    this.after.show(this.address(state.show));
    this.before.show(state.compare ? this.address(BEFORE[state.show]) : null);
    this.before.layer.setOpacity(state.opacity);
    this.after.layer.setOpacity(state.opacity);
    if (!changed || changed.has("basemap")) this.showBasemap(state.basemap);
    if (!changed || changed.has("pixel")) this.mark(state.pixel);
    this.wait();
  }

  private address(show: Show | "all"): string | null {
    const { state, catalogue } = this.store;
    const kind = show === "all" ? "composite" : show;
    const query = new URLSearchParams({ v: catalogue.version });
    if (DATED.includes(kind)) {
      if (!state.frame) return null;
      query.set("frame", state.frame);
    } else {
      if (this.store.taken().length === 0) return null;
      if (state.start) query.set("start", state.start);
      if (state.end) query.set("end", state.end);
    }
    if (kind === "composite") query.set("method", state.method);
    if (kind !== "scene") query.set("by", state.by);
    if (kind === "composite" || kind === "masked" || kind === "count") {
      query.set("threshold", (show === "all" ? 0 : state.threshold).toFixed(2));
    }
    if (kind === "composite" || kind === "masked" || kind === "scene") {
      query.set("bands", state.bands);
      query.set("low", `${state.low}`);
      query.set("high", `${state.high}`);
    }
    return `tiles/${kind}/{z}/{x}/{y}.png?${query}`;
  }

  /** Let each side paint only its part of the window. */
  private clip(event: RenderEvent, left: boolean): void {
    const context = event.context as CanvasRenderingContext2D;
    context.save();
    if (!this.store.state.compare) return;
    const [width, height] = this.map.getSize() as [number, number];
    const at = width * this.store.state.swipe;
    const corners = left ? [[0, 0], [at, 0], [at, height], [0, height]] : [[at, 0], [width, 0], [width, height], [at, height]];
    context.beginPath();
    for (const [number, corner] of corners.entries()) {
      const [x, y] = getRenderPixel(event, corner) as [number, number];
      if (number === 0) context.moveTo(x, y);
      else context.lineTo(x, y);
    }
    context.closePath();
    context.clip();
  }

  private showBasemap(on: boolean): void {
    if (on && !this.basemap && navigator.onLine) {
      this.basemap = new TileLayer({ source: new OSM({ transition: 0 }), className: "basemap" });
      this.basemap.getSource()?.once("tileloaderror", () => {
        this.events.failed("the background map can't be reached; it is left out");
        this.store.set({ basemap: false });
      });
      this.map.getLayers().insertAt(0, this.basemap);
    }
    this.basemap?.setVisible(on);
  }

  private mark(pixel: string): void {
    this.marker.clear();
    const [lon, lat] = pixel.split(",").map(Number);
    if (pixel && Number.isFinite(lon) && Number.isFinite(lat)) {
      this.marker.addFeature(new Feature(new Point(fromLonLat([lon as number, lat as number]))));
    }
  }
}
