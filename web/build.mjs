// Bundles the page into src/clearsight/viewer/static, which the wheel holds and git keeps: nobody needs node to
// install or to run Clearsight. `sources.json` tells what it was built from, and a test compares.

import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "src", "clearsight", "viewer", "static");
mkdirSync(out, { recursive: true });

const built = await build({
  entryPoints: { app: join(here, "src", "main.ts"), report: join(here, "src", "report.ts") },
  outdir: out,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});
for (const file of ["index.html", "icon.svg"]) copyFileSync(join(here, "src", file), join(out, file));
writeFileSync(join(out, "LICENCES.txt"), licences(Object.keys(built.metafile.inputs)));
writeFileSync(join(out, "sources.json"), `${JSON.stringify(sources(), null, 2)}\n`);

/** Licence texts of the packages whose code is in the bundle. */
function licences(inputs) {
  const packages = new Set(inputs.map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(Boolean));
  const texts = [...packages].sort().map((name) => {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((found) => /^licen[cs]e/i.test(found));
    return `${name} ${version} (${license})\n\n${file ? readFileSync(join(folder, file), "utf8").trim() : ""}\n`;
  });
  return `The map's page holds code of these packages.\n\n${texts.join("\n----\n\n")}`;
}

/** SHA-256 of every file that decides about the bundle. */
function sources() {
  const files = ["package.json", "package-lock.json", "build.mjs", "tsconfig.json", ...readdirSync(join(here, "src")).sort().map((name) => `src/${name}`)];
  return Object.fromEntries(files.map((name) => [name, createHash("sha256").update(readFileSync(join(here, name))).digest("hex")]));
}
