// Opens reports in a headless Chromium and checks what no parser can: that nothing is loaded, that no error is logged, that no text runs
// out of the page at 400 and at 1400 pixels, in light and in dark, that pointing shows the document's numbers, and that zooming works.
//
//     node tests/report/browser.cjs [--shots DIR] REPORT.html...
//
// needs `npm install puppeteer-core` (found through NODE_PATH as well) and a Chromium: CHROMIUM, or `chromium` on the path.

"use strict";
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");

let puppeteer;
try {
  puppeteer = require("puppeteer-core");
} catch {
  console.log("SKIPPED: no puppeteer-core");
  process.exit(0);
}

function chromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  try {
    return execFileSync("sh", ["-c", "command -v chromium || command -v chromium-browser || command -v google-chrome"], { encoding: "utf8" }).trim();
  } catch {
    return null;
  }
}

const failures = [];
let checks = 0;
function check(holds, what) {
  checks += 1;
  if (!holds) failures.push(what);
}

async function look(browser, file, width, scheme, shots) {
  const name = `${path.basename(path.dirname(path.resolve(file)))}-${path.basename(file, ".html")}-${width}-${scheme}`;
  const page = await browser.newPage();
  const said = [];
  page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => said.push(String(error)));
  const loads = [];
  page.on("request", (request) => loads.push(request.url()));
  await page.setViewport({ width, height: 900, deviceScaleFactor: width < 600 ? 2 : 1 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(pathToFileURL(path.resolve(file)).href, { waitUntil: "load" });
  if (shots) await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true });

  check(loads.length === 1, `${name}: loads ${loads.slice(1)}`);
  const wide = await page.evaluate(() => {
    const beyond = [...document.querySelectorAll("body *")].filter((element) => {
      const box = element.getBoundingClientRect();
      const scrolls = element.closest(".scroll, .command, svg");
      return !scrolls && box.width > 0 && box.right > document.documentElement.clientWidth + 1;
    });
    return beyond.map((element) => `${element.tagName}.${element.className}`);
  });
  check(wide.length === 0, `${name}: runs out of the page: ${wide.slice(0, 5)}`);
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  check((scheme === "dark") === (Number(ground.match(/\d+/)[0]) < 128), `${name}: background is ${ground}`);
  await point(page, name);
  check(said.length === 0, `${name}: console: ${said}`);
  await page.close();
}

// Points at the first chart that has a line and zooms into it.
async function point(page, name) {
  const chosen = await page.evaluate(() => {
    const hasLine = (figure) => JSON.parse(figure.dataset.layers).some((layer) => layer.kind === "line" && layer.x !== "");
    return [...document.querySelectorAll("figure.chart")].find(hasLine)?.id;
  });
  if (!chosen) return;
  const selector = `#${chosen}`;
  const plot = await page.$(`${selector} .plot`);
  await plot.scrollIntoView();
  const box = await plot.boundingBox();
  const middle = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(...middle);
  const tip = await page.evaluate((selector) => {
    const figure = document.querySelector(selector);
    const tip = figure.querySelector(".tip");
    if (!tip) return null;
    const report = JSON.parse(document.getElementById("report").textContent);
    const pick = (value, [key, ...rest]) => {
      if (key === undefined || value == null) return value;
      return key === "*" ? value.map((element) => pick(element, rest)) : pick(value[key], rest);
    };
    const at = (path) => pick(report, path.split("."));
    const layers = JSON.parse(figure.dataset.layers).filter((layer) => layer.kind === "line");
    const shown = [...tip.querySelectorAll("td")].map((cell) => Number(cell.textContent.replaceAll("\u2212", "-")));
    const index = at(layers[0].x).findIndex((x) => Number(x.toPrecision(7)) === shown[0]);
    return { index, wanted: Number((at(layers[0].y[0])[index] ?? NaN).toPrecision(7)), shown };
  }, selector);
  check(tip !== null && tip.index >= 0 && tip.shown.slice(1).includes(tip.wanted), `${name}: pointing shows ${JSON.stringify(tip)}`);

  const state = () => page.$eval(selector, (figure) => [figure.querySelector("svg").getAttribute("viewBox"), figure.querySelector(".x-ticks").textContent]);
  const before = await state();
  await page.mouse.move(box.x + 0.25 * box.width, middle[1]);
  await page.mouse.down();
  await page.mouse.move(box.x + 0.5 * box.width, middle[1], { steps: 4 });
  await page.mouse.up();
  const [view, ticks] = await state();
  const [left, , width] = view.split(" ").map(Number);
  check(Math.abs(left - 250) < 10 && Math.abs(width - 250) < 10, `${name}: dragging shows ${view}`);
  check(ticks !== before[1] && ticks.length > 0, `${name}: ticks stay ${ticks}`);
  await page.$eval(`${selector} .tools button:last-child`, (button) => button.click());
  const after = await state();
  check(String(after) === String(before), `${name}: after a reset ${after}, before ${before}`);
  await plot.focus();
  await page.keyboard.press("ArrowRight");
  check((await page.$(".plot:focus .tip")) !== null, `${name}: the arrow keys show nothing`);
}

(async () => {
  const files = process.argv.slice(2);
  let shots = null;
  if (files[0] === "--shots") {
    shots = files[1];
    files.splice(0, 2);
    fs.mkdirSync(shots, { recursive: true });
  }
  const executablePath = chromium();
  if (!executablePath) {
    console.log("SKIPPED: no chromium");
    return;
  }
  const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  for (const file of files) {
    for (const width of [400, 1400]) {
      for (const scheme of ["light", "dark"]) await look(browser, file, width, scheme, shots);
    }
    if (shots) {
      const page = await browser.newPage();
      await page.goto(pathToFileURL(path.resolve(file)).href);
      await page.pdf({ path: path.join(shots, `${path.basename(file, ".html")}.pdf`), format: "A4", printBackground: true, preferCSSPageSize: true });
      await page.close();
    }
  }
  await browser.close();
  for (const failure of failures) console.error(`FAILED: ${failure}`);
  console.log(`${checks - failures.length} passed, ${failures.length} failed`);
  process.exitCode = failures.length === 0 ? 0 : 1;
})();
