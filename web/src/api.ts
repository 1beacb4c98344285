// What the server tells, and how it is asked. Addresses are relative, so that the page works behind any prefix.

export type Score = "cs" | "cs_cdf";

export interface Frame {
  id: string;
  time: string;
  scenes: string[];
  tiles: string[];
  imagery: boolean;
  level: string | null;
  /** Share of clear pixels in thousandths, at every hundredth of the threshold. */
  clear: Record<Score, (number | null)[]>;
}

export interface Catalogue {
  title: string;
  version: string;
  bbox: [number, number, number, number];
  bands: { name: string; title: string }[];
  methods: string[];
  display: [number, number];
  palette: string[];
  tile: number;
  deepest: number;
  notes: string[];
  frames: Frame[];
}

export interface PixelRow {
  id: string;
  time: string;
  cs: number | null;
  cs_cdf: number | null;
  [band: string]: number | string | null;
}

export interface Pixel {
  lon: number;
  lat: number;
  bands: string[];
  series: PixelRow[];
}

export interface Properties {
  index: string;
  image: string | null;
  properties: Record<string, unknown>;
}

/** What went wrong, in the server's words where it has some. */
export async function reason(response: Response): Promise<string> {
  try {
    const told = (await response.json()) as { error?: string };
    return told.error ?? response.statusText;
  } catch {
    return `the server answered ${response.status} ${response.statusText}`;
  }
}

async function ask<T>(address: string, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(address, { signal: signal ?? null });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("the server can't be reached; is `clearsight view` still running?");
  }
  if (!response.ok) throw new Error(await reason(response));
  return (await response.json()) as T;
}

export const catalogue = (): Promise<Catalogue> => ask("api/catalogue");

export const pixel = (query: URLSearchParams, signal: AbortSignal): Promise<Pixel> => ask(`api/pixel?${query}`, signal);

export const properties = (index: string): Promise<Properties> => ask(`api/properties/${encodeURIComponent(index)}`);

export async function download(query: URLSearchParams): Promise<{ blob: Blob; name: string }> {
  const response = await fetch(`api/download?${query}`);
  if (!response.ok) throw new Error(await reason(response));
  const name = /filename="([\w.-]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1];
  return { blob: await response.blob(), name: name ?? "composite.tif" };
}
