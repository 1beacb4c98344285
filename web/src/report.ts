// The report of `clearsight view --export`: everything it shows is in the page.

import "./report.css";

type Score = "cs" | "cs_cdf";
interface Day { id: string; day: string; clear: Record<Score, (number | null)[]>; scene?: string; cs: string; cs_cdf: string }
interface Left { clear: number | null; expected: number | null; never: number | null }
interface Content {
  title: string;
  palette: string[];
  thresholds: number[];
  dates: Day[];
  composites: Record<Score, string[]>;
  statistics: Record<Score, Left[]>;
}

const content = JSON.parse(document.getElementById("content")?.textContent ?? "{}") as Content;
let by: Score = "cs_cdf";
let step = content.thresholds.indexOf(0.6);

function make<K extends keyof HTMLElementTagNameMap>(name: K, text = "", attributes: Record<string, string> = {}): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const percent = (share: number | null | undefined): string => (share == null ? "–" : `${Math.round(100 * share)} %`);
const page = document.getElementById("report") as HTMLElement;
const [first, last] = [content.dates[0], content.dates[content.dates.length - 1]];
const figure = make("figure");
const image = make("img", "", { alt: "Composite", id: "composite" });
const caption = make("figcaption");
figure.append(image, caption);

const slider = make("input", "", { type: "range", min: "0", max: String(content.thresholds.length - 1), step: "1", id: "threshold" });
slider.value = String(step);
const output = make("output", "", { for: "threshold" });
const scores = make("fieldset");
scores.append(make("legend", "Score"));
for (const [value, title] of [["cs_cdf", "cs_cdf, the rank at its place"], ["cs", "cs, how clear it is"]] as const) {
  const label = make("label");
  const radio = make("input", "", { type: "radio", name: "by", value });
  radio.checked = value === by;
  radio.addEventListener("change", () => { by = value; update(); });
  label.append(radio, ` ${title}`);
  scores.append(label);
}
const controls = make("section", "", { class: "controls", "aria-label": "Controls" });
const name = make("label", "Keep pixels that score at least ", { for: "threshold" });
name.append(output);
const ramp = make("p", "0 ", { class: "ramp" });
const colours = make("i", "", { role: "img", "aria-label": "Palette of the scores" });
colours.style.background = `linear-gradient(90deg, ${content.palette.join(", ")})`;
ramp.append(colours, " 1 · colours of a score");
const facts = make("dl");
controls.append(name, slider, scores, facts, ramp);

const table = make("table");
table.createCaption().textContent = "What each threshold leaves";
const head = table.createTHead().insertRow();
for (const title of ["score at least", "clear", "clear dates per pixel", "never clear"]) head.append(make("th", title, { scope: "col" }));
const body = table.createTBody();

const days = make("section", "", { class: "days", "aria-label": "Dates" });
const cards = content.dates.map((day) => {
  const card = make("article");
  const told = make("span");
  const title = make("h3", `${day.day} `);
  title.append(told);
  card.append(title);
  if (day.scene) card.append(make("img", "", { src: day.scene, alt: `${day.day}, true colour`, loading: "lazy" }));
  const score = make("img", "", { alt: `${day.day}, score`, loading: "lazy" });
  card.append(score);
  days.append(card);
  return { day, told, score };
});

function update(): void {
  const left = content.statistics[by][step];
  output.textContent = (content.thresholds[step] ?? 0).toFixed(2);
  const shown = content.composites[by][step];
  figure.hidden = !shown;
  if (shown) image.src = shown;
  caption.textContent = `Median of what reaches ${by} ${output.textContent}; true colour, reflectance 0 to 0.25`;
  facts.replaceChildren();
  for (const [title, value] of [["clear", percent(left?.clear)], ["clear dates per pixel", left?.expected?.toFixed(1) ?? "–"], ["never clear", percent(left?.never)]] as const) {
    facts.append(make("dt", title), make("dd", value));
  }
  body.replaceChildren();
  for (const [number, row] of content.statistics[by].entries()) {
    const line = body.insertRow();
    line.className = number === step ? "chosen" : "";
    for (const text of [(content.thresholds[number] ?? 0).toFixed(2), percent(row.clear), row.expected?.toFixed(1) ?? "–", percent(row.never)]) {
      line.insertCell().textContent = text;
    }
  }
  for (const { day, told, score } of cards) {
    told.textContent = `${percent(day.clear[by][step])} clear`;
    if (score.src !== day[by]) score.src = day[by];
  }
}

slider.addEventListener("input", () => { step = Number(slider.value); update(); });
const header = make("header");
header.append(make("h1", content.title), make("p", `${content.dates.length} dates, ${first?.day ?? ""} to ${last?.day ?? ""} · made by Clearsight`));
const top = make("div", "", { class: "top" });
top.append(figure, controls);
page.append(header, top, table, make("h2", "Every date"), days);
update();
