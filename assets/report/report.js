"use strict";
// Without this script the page shows everything; with it charts answer to a pointer, the keyboard and zooming, and text can be copied.
(() => {
  const report = JSON.parse(document.getElementById("report").textContent);
  // A star stands for each element of a list.
  const pick = (value, [key, ...rest]) => {
    if (key === undefined || value == null) return value;
    return key === "*" ? value.map((element) => pick(element, rest)) : pick(value[key], rest);
  };
  const at = (path) => pick(report, path.split("."));
  const make = (tag, name, parent) => {
    const element = document.createElement(tag);
    element.className = name;
    parent.append(element);
    return element;
  };
  const minus = (text) => text.replaceAll("-", "\u2212");
  const show = (value) => minus(Number(value.toPrecision(7)).toString());

  class Axis {
    constructor({ label, log, low, high }) {
      this.label = label;
      this.log = log;
      this.ends = [low, high].map((value) => this.flat(value));
    }
    flat(value) { return this.log ? Math.log10(value) : value; }
    share(value) { return (this.flat(value) - this.ends[0]) / (this.ends[1] - this.ends[0]); }
    value(share) {
      const flat = this.ends[0] + share * (this.ends[1] - this.ends[0]);
      return this.log ? 10 ** flat : flat;
    }
    // Round numbers between two shares of the axis.
    ticks(from, to) {
      const [low, high] = [this.value(from), this.value(to)];
      const raw = (high - low) / 6;
      const power = 10 ** Math.floor(Math.log10(raw));
      const step = [1, 2, 5, 10].find((digit) => digit * power >= raw * (1 - 1e-9)) * power;
      const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
      const ticks = [];
      for (let index = Math.ceil(low / step); index * step <= high; index++) {
        const value = index * step;
        const plain = decimals <= 5 && Math.abs(value) < 1e6;
        ticks.push({ share: this.share(value), text: minus(plain ? value.toFixed(decimals) : value.toPrecision(3)) });
      }
      return ticks;
    }
  }

  class Chart {
    constructor(figure) {
      this.plot = figure.querySelector(".plot");
      this.svg = this.plot.querySelector("svg");
      this.upright = this.svg.querySelector(".up");
      this.labels = this.plot.querySelector(".x-ticks");
      this.x = new Axis(JSON.parse(figure.dataset.x));
      this.y = new Axis(JSON.parse(figure.dataset.y));
      this.layers = JSON.parse(figure.dataset.layers).map((layer) => {
        const y = layer.y.map(at);
        return { ...layer, y, x: layer.x ? at(layer.x) : y[0].map((_, index) => index) };
      });
      [this.from, this.to, this.pointed] = [0, 1, null];
      this.original = [this.upright.getAttribute("d"), [...this.labels.childNodes]];
      this.plot.classList.add("live");
      this.plot.tabIndex = 0;
      this.listen();
      this.addTools(figure);
    }

    addTools(figure) {
      const tools = document.createElement("div");
      tools.className = "tools";
      for (const [text, label, act] of [
        ["+", "Zoom in", () => this.scale(0.5)],
        ["\u2212", "Zoom out", () => this.scale(2)],
        ["Reset", "Show all", () => this.zoom(0, 1)],
      ]) {
        const button = make("button", "", tools);
        [button.type, button.textContent, button.ariaLabel] = ["button", text, label];
        button.addEventListener("click", act);
      }
      figure.querySelector("figcaption").prepend(tools);
    }

    listen() {
      const { plot } = this;
      let pressed = null;
      const place = (event) => {
        const box = plot.getBoundingClientRect();
        return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      };
      plot.addEventListener("pointermove", (event) => {
        this.point(place(event));
        if (pressed !== null) this.choose(pressed, place(event));
      });
      plot.addEventListener("pointerdown", (event) => {
        this.point(place(event));
        if (event.pointerType === "mouse" && event.button === 0) {
          pressed = place(event);
          plot.setPointerCapture(event.pointerId);
        }
      });
      plot.addEventListener("pointerup", (event) => {
        if (pressed !== null) {
          const [from, to] = [pressed, place(event)].sort((a, b) => a - b);
          this.choose(0, 0);
          if (to - from > 0.01) this.zoom(this.inside(from), this.inside(to));
        }
        pressed = null;
      });
      plot.addEventListener("pointercancel", () => { pressed = null; this.choose(0, 0); });
      plot.addEventListener("pointerleave", () => { if (pressed === null) this.leave(); });
      plot.addEventListener("blur", () => this.leave());
      plot.addEventListener("dblclick", () => this.zoom(0, 1));
      plot.addEventListener("keydown", (event) => {
        const step = event.shiftKey ? 0.1 : 0.01;
        const here = this.pointed ?? 0.5;
        const acts = {
          ArrowLeft: () => this.point(Math.max(0, here - step)),
          ArrowRight: () => this.point(Math.min(1, here + step)),
          "+": () => this.scale(0.5), "=": () => this.scale(0.5), "-": () => this.scale(2),
          Escape: () => this.zoom(0, 1),
        };
        const act = acts[event.key];
        if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { act(); event.preventDefault(); }
      });
    }

    // From a share of what is seen to a share of the axis, and back.
    inside(share) { return this.from + share * (this.to - this.from); }
    outside(share) { return (share - this.from) / (this.to - this.from); }

    scale(factor) {
      const centre = this.inside(this.pointed ?? 0.5);
      const width = Math.min(1, (this.to - this.from) * factor);
      const from = Math.min(1 - width, Math.max(0, centre - (centre - this.from) * factor));
      this.zoom(from, from + width);
    }

    zoom(from, to) {
      if (to - from < 1e-5) return;
      [this.from, this.to] = [from, to];
      this.leave();
      this.svg.setAttribute("viewBox", `${1000 * from} 0 ${1000 * (to - from)} 1000`);
      if (from === 0 && to === 1) {
        this.upright.setAttribute("d", this.original[0]);
        this.labels.replaceChildren(...this.original[1]);
        return;
      }
      const ticks = this.x.ticks(from, to);
      this.upright.setAttribute("d", ticks.map((tick) => `M${1000 * tick.share} 0v1000`).join(""));
      this.labels.replaceChildren();
      for (const tick of ticks) {
        const label = make("span", "", this.labels);
        label.textContent = tick.text;
        label.style.left = `${100 * this.outside(tick.share)}%`;
      }
    }

    choose(from, to) {
      this.band ??= make("div", "chosen", this.plot);
      this.band.style.left = `${100 * Math.min(from, to)}%`;
      this.band.style.width = `${100 * Math.abs(to - from)}%`;
    }

    leave() {
      this.pointed = null;
      for (const part of this.shown ?? []) part.remove();
      this.shown = [];
    }

    // The numbers nearest to a share of what is seen.
    point(share) {
      this.leave();
      this.pointed = share;
      const wanted = this.x.value(this.inside(share));
      const nearest = (list) => list.reduce((best, x, index) => (Math.abs(x - wanted) < Math.abs(list[best] - wanted) ? index : best), 0);
      const rows = [];
      let place = null;
      for (const layer of this.layers) {
        const index = nearest(layer.x);
        const x = layer.x[index];
        const seen = this.outside(this.x.share(x));
        if (layer.kind === "marks") {
          if (Math.abs(seen - share) * this.plot.clientWidth < 8) rows.push([layer.name, x]);
          continue;
        }
        if (place === null) { place = seen; rows.unshift([this.x.label, x]); }
        for (const list of layer.y) {
          const value = list?.[index];
          if (typeof value !== "number") continue;
          rows.push([layer.name || this.y.label, value]);
          const height = this.y.share(value);
          if (layer.kind !== "band" && height >= 0 && height <= 1 && seen >= 0 && seen <= 1) {
            const dot = make("div", `dot ${layer.hue}`, this.plot);
            [dot.style.left, dot.style.bottom] = [`${100 * seen}%`, `${100 * height}%`];
            this.shown.push(dot);
          }
        }
      }
      if (rows.length === 0) rows.push([this.x.label, wanted]);
      const cursor = make("div", "cursor", this.plot);
      cursor.style.left = `${100 * Math.min(1, Math.max(0, place ?? share))}%`;
      this.tip(rows, share);
      this.shown.push(cursor);
    }

    tip(rows, share) {
      const tip = make("div", "tip", this.plot);
      const table = make("table", "", tip);
      for (const [name, value] of rows) {
        const row = table.insertRow();
        make("th", "", row).textContent = name;
        row.insertCell().textContent = show(value);
      }
      const width = this.plot.clientWidth;
      const left = share < 0.5 ? share * width + 14 : share * width - tip.offsetWidth - 14;
      tip.style.left = `${Math.max(-44, Math.min(width - tip.offsetWidth, left))}px`;
      this.shown.push(tip);
    }
  }

  for (const figure of document.querySelectorAll("figure.chart")) new Chart(figure);

  for (const button of document.querySelectorAll("[data-copy]")) {
    const source = document.getElementById(button.dataset.copy);
    button.hidden = false;
    button.addEventListener("click", async () => {
      const said = button.textContent;
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        // A page from a file may not use the clipboard: what is selected can be copied by hand.
        getSelection().selectAllChildren(source);
        button.textContent = "Selected: copy with the keyboard";
      }
      setTimeout(() => { button.textContent = said; }, 2000);
    });
  }
  for (const button of document.querySelectorAll("[data-save]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      const name = String(report.schema ?? "report").replace("hesper.", "").replace(/\/.*/, "");
      link.href = URL.createObjectURL(new Blob([JSON.stringify(report, null, 2), "\n"], { type: "application/json" }));
      link.download = `${name}.json`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
})();
