"use strict";
/* Several methods on the same pictures: pictures to step through, panes that zoom together, values
 * of all methods under the pointer, boxes around the worst places, regions to single out. */

/* The bytes behind `encode_plane`: zlib, then sums along each row; 16 bits: low bytes, high bytes. */
async function decodePlane(bytes, columns, rows, bits) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = columns * rows;
  const codes = bits === 16 ? new Uint16Array(count) : new Uint8Array(count);
  for (let row = 0, i = 0; row < rows; row++) {
    let sum = 0;
    for (let column = 0; column < columns; column++, i++) {
      sum += bits === 16 ? raw[i] | (raw[count + i] << 8) : raw[i];
      codes[i] = sum; // typed arrays wrap around as the encoder does
      sum = codes[i];
    }
  }
  return codes;
}

/* Colours (canvas) of `values` on a scale; NaN dark, `pale` half white, `absent` light grey. */
function paintValues(values, scale, columns, rows, pale, absent) {
  const colors = bytesOf(scale.colors);
  const image = new ImageData(columns, rows);
  const factor = 255 / (scale.high - scale.low);
  for (let i = 0, to = 0; i < values.length; i++, to += 4) {
    const value = values[i];
    image.data[to + 3] = 255;
    if (absent && absent[i] !== absent[i]) {
      image.data[to] = 205; image.data[to + 1] = 206; image.data[to + 2] = 204;
      continue;
    }
    if (value !== value) {
      image.data[to] = image.data[to + 1] = image.data[to + 2] = 40;
      continue;
    }
    const at = 3 * Math.max(0, Math.min(255, Math.round((value - scale.low) * factor)));
    for (let c = 0; c < 3; c++) {
      const color = colors[at + c];
      image.data[to + c] = pale && pale[i] ? 255 - ((255 - color) >> 1) : color;
    }
  }
  const canvas = element("canvas", { width: columns, height: rows });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

class CompareViewer {
  constructor(figure) {
    const { data, blob } = dataOf(figure);
    this.data = data;
    this.blob = blob;
    this.photos = [...figure.querySelectorAll("img.photo")];
    this.at = null; // the pixel that is read out
    this.view = null; // zoom and place, shared by all panes: screen = scale * pixel + (x, y)
    this.layer = "Disparity";
    this.single = null; // the pane that is shown alone, or null for all of them
    this.boxes = true;
    this.region = -1;
    this.panes = [];
    this.build(figure);
    onWidth(this.grid, () => this.resize());
    this.open(0);
  }

  build(figure) {
    const { sheets } = this.data;
    this.photos.forEach((photo) => { photo.hidden = true; });
    this.title = element("div", { class: "sheet-title", "aria-live": "polite" });
    this.slider = element("input", { type: "range", min: "1", max: String(sheets.length), step: "1",
      value: "1", "aria-label": "Picture" });
    this.slider.addEventListener("input", () => this.open(Number(this.slider.value) - 1));
    const steps = element("div", { class: "toolbar", role: "toolbar", "aria-label": "Pictures" },
      button("‹", "Previous picture (key ←)", () => this.step(-1)),
      button("›", "Next picture (key →)", () => this.step(1)), this.slider, this.title);
    if (sheets.length === 1) steps.replaceChildren(this.title);
    this.layerBar = element("span", { class: "group" });
    this.paneBar = element("span", { class: "group" });
    this.boxButton = button("Boxes", "Boxes around each method's worst places (key b)",
      () => this.toggleBoxes());
    this.regionList = element("select", { "aria-label": "Region to single out" });
    this.regionList.addEventListener("change", () => {
      this.region = Number(this.regionList.value);
      this.dim = null;
      this.draw();
    });
    const tools = element("div", { class: "toolbar", role: "toolbar", "aria-label": "Map and zoom" },
      this.layerBar, element("span", { class: "space" }), this.boxButton, this.regionList,
      button("−", "Zoom out (key −)", () => this.zoom(1 / 1.5)),
      button("+", "Zoom in (key +)", () => this.zoom(1.5)),
      button("Reset", "Whole image (key 0)", () => this.reset()));
    const panes = element("div", { class: "toolbar", role: "toolbar", "aria-label": "Methods" },
      this.paneBar);
    this.grid = element("div", { class: "panes", tabindex: "0", role: "application", "aria-label":
      "Maps. Left and right arrow keys change the picture, up and down the method shown alone,"
      + " Enter shows all methods; digits choose the map, b the boxes; plus, minus and 0 zoom." });
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.legend = element("div", { class: "legend" });
    this.readout = element("div", { class: "values" });
    figure.prepend(steps, tools, panes, this.grid, this.legend, this.readout);
  }

  /* Shows picture `index`: decodes it, keeping zoom where the size is the same. */
  async open(index) {
    const sheet = this.data.sheets[index];
    this.index = index;
    this.slider.value = String(index + 1);
    const { columns, rows, step } = sheet;
    const reduced = step > 1 ? ` (shown at 1/${step} of its size)` : "";
    this.title.textContent =
      `${index + 1} of ${this.data.sheets.length}: ${sheet.title || sheet.name}${reduced}`;
    const plane = (i, bits) => decodePlane(this.blob(sheet.first + i), columns, rows, bits);
    const disparity = async (i) => Float32Array.from(await plane(i, 16),
      (code) => (code === 65535 ? NaN : sheet.offset + sheet.unit * code));
    const extra = async (name, i) => {
      const { low, high, levels } = this.data.extras[name];
      return Float32Array.from(await plane(i, 8),
        (code) => (code > levels ? NaN : low + ((high - low) * code) / levels));
    };
    let loaded;
    try {
      const truth = sheet.truth === null ? null : await disparity(sheet.truth);
      const maps = await Promise.all(sheet.panes.map(async (pane) => {
        const values = await disparity(pane.map);
        const layers = { Disparity: values };
        if (truth) layers.Error = values.map((v, i) => Math.abs(v - truth[i]));
        for (const [name, i] of Object.entries(pane.extras)) layers[name] = await extra(name, i);
        const filled = pane.filled === null ? null : await plane(pane.filled, 8);
        return { ...pane, layers, filled };
      }));
      const bits = sheet.regions ? await plane(sheet.regions.blob, 16) : null;
      loaded = { sheet, truth, maps, bits };
    } catch (error) {
      this.grid.replaceChildren(element("p", { class: "empty" },
        `This browser cannot unpack the maps (${error.name}); a current one can.`));
      return;
    }
    if (this.index !== index) return; // another picture was asked for in the meantime
    const same = this.shown && this.shown.sheet.columns === columns && this.shown.sheet.rows === rows;
    this.shown = loaded;
    this.at = null;
    this.dim = null;
    if (!same) this.view = null;
    this.fill();
    this.resize();
    this.photos[index].decode?.().then(() => this.draw(), () => {});
  }

  /* Panes, buttons and regions of the picture that was opened. */
  fill() {
    const { sheet, truth, maps } = this.shown;
    const names = Object.keys(maps[0].layers);
    if (!names.includes(this.layer)) this.layer = "Disparity";
    this.layerBar.replaceChildren(...names.map((name, i) =>
      button(name, `Show ${name} (key ${i + 1})`, () => this.show(name))));
    this.layerNames = names;
    const first = [{ label: "Left image", photo: this.photos[this.index] }];
    if (truth) first.push({ label: "Truth", layers: { Disparity: truth } });
    this.panes = [...first, ...maps].map((content) => this.pane(content));
    if (this.single !== null && this.single >= this.panes.length) this.single = null;
    this.paneBar.replaceChildren(button("All", "All side by side (Enter)", () => this.alone(null)),
      ...this.panes.map((pane, i) =>
        button(pane.label, `Only ${pane.label}, at the same place`, () => this.alone(i))));
    const regions = sheet.regions ? sheet.regions.names : [];
    this.regionList.replaceChildren(element("option", { value: "-1" }, "whole image"),
      ...regions.map((name, i) => element("option", { value: String(i) }, name)));
    this.regionList.hidden = regions.length === 0;
    if (this.region >= regions.length) this.region = -1;
    this.regionList.value = String(this.region);
    this.boxButton.hidden = !maps.some((map) => map.boxes.length);
    this.grid.replaceChildren(...this.panes.map((pane) => pane.element));
    this.press();
  }

  pane(content) {
    const canvas = element("canvas", {});
    const label = element("div", { class: "pane-label", title: content.caption ?? "" },
      element("b", {}, content.label), element("span", {}, content.caption ?? ""));
    const made = { ...content, canvas, pictures: {}, element: element("div", { class: "pane" }, label, canvas) };
    gestures(canvas, {
      hover: (x, y) => this.read(x, y),
      tap: (x, y) => this.read(x, y),
      touched: () => this.grid.focus({ preventScroll: true }),
      drag: (dx, dy) => { this.view.x += dx; this.view.y += dy; this.draw(); },
      zoom: (factor, x, y) => this.zoom(factor, x, y),
    });
    return made;
  }

  press() {
    const mark = (bar, chosen) =>
      [...bar.children].forEach((b, i) => b.setAttribute("aria-pressed", String(i === chosen)));
    mark(this.layerBar, this.layerNames.indexOf(this.layer));
    mark(this.paneBar, this.single === null ? 0 : this.single + 1);
    this.boxButton.setAttribute("aria-pressed", String(this.boxes));
    this.tellLegend();
  }

  show(name) { this.layer = name; this.press(); this.draw(); this.tell(); }
  toggleBoxes() { this.boxes = !this.boxes; this.press(); this.draw(); }
  alone(index) { this.single = index; this.press(); this.resize(); }

  step(by) {
    const count = this.data.sheets.length;
    this.open((this.index + by + count) % count);
  }

  visible() { return this.single === null ? this.panes : [this.panes[this.single]]; }

  fit() {
    const { columns, rows } = this.shown.sheet;
    const scale = Math.min(this.width / columns, this.height / rows);
    return { scale, x: (this.width - scale * columns) / 2, y: (this.height - scale * rows) / 2 };
  }

  /* All panes have one size, so one view serves them all. */
  resize() {
    if (!this.shown) return;
    const { columns, rows } = this.shown.sheet;
    const wide = this.grid.clientWidth;
    const least = columns > 2.2 * rows ? 480 : 300;
    const across = this.single === null
      ? Math.max(1, Math.min(this.panes.length, Math.floor((wide + 10) / (least + 10)))) : 1;
    this.grid.style.gridTemplateColumns = `repeat(${across}, minmax(0, 1fr))`;
    this.width = Math.floor((wide - 10 * (across - 1)) / across);
    const wanted = (this.width * rows) / columns;
    this.height = Math.round(Math.max(90, Math.min(wanted, 0.8 * window.innerHeight)));
    const dense = window.devicePixelRatio || 1;
    this.panes.forEach((pane, i) => {
      pane.element.hidden = this.single !== null && i !== this.single;
      pane.canvas.style.height = `${this.height}px`;
      pane.canvas.width = Math.round(this.width * dense);
      pane.canvas.height = Math.round(this.height * dense);
    });
    const whole = this.fit(), before = this.whole ?? whole, view = this.view ?? whole;
    const ratio = whole.scale / before.scale; // what was looked at stays in place
    this.view = this.view === null ? whole : { scale: view.scale * ratio,
      x: whole.x + (view.x - before.x) * ratio, y: whole.y + (view.y - before.y) * ratio };
    this.whole = whole;
    this.draw();
  }

  /* The picture of a pane in the layer that is shown; painted once. */
  picture(pane) {
    if (pane.photo) return pane.photo;
    const name = pane.layers[this.layer] ? this.layer : "Disparity";
    const { sheet, truth } = this.shown;
    pane.pictures[name] ??= paintValues(pane.layers[name], this.scale(name), sheet.columns, sheet.rows,
      name === "Disparity" ? pane.filled : null, name === "Error" ? truth : null);
    return pane.pictures[name];
  }

  scale(name) {
    if (name === "Disparity") return this.shown.sheet.scale;
    return name === "Error" ? this.data.error : this.data.extras[name];
  }

  /* A veil over everything outside the region that is singled out. */
  veil() {
    if (this.region < 0 || !this.shown.bits) return null;
    if (!this.dim) {
      const { columns, rows } = this.shown.sheet;
      const image = new ImageData(columns, rows);
      for (let i = 0; i < this.shown.bits.length; i++) {
        const inside = (this.shown.bits[i] >> this.region) & 1;
        image.data.set([16, 18, 22, inside ? 0 : 205], 4 * i);
      }
      this.dim = element("canvas", { width: columns, height: rows });
      this.dim.getContext("2d").putImageData(image, 0, 0);
    }
    return this.dim;
  }

  draw() {
    if (!this.view) return;
    for (const pane of this.visible()) this.drawPane(pane);
  }

  drawPane(pane) {
    const pen = pane.canvas.getContext("2d");
    const dense = pane.canvas.width / this.width;
    const { scale, x, y } = this.view;
    const { columns, rows, step } = this.shown.sheet;
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    pen.imageSmoothingEnabled = scale * dense < 1 || (Boolean(pane.photo) && scale < 3);
    const picture = this.picture(pane);
    if (picture instanceof HTMLCanvasElement || picture.complete) {
      pen.drawImage(picture, x, y, columns * scale, rows * scale);
    }
    const veil = this.veil();
    if (veil) pen.drawImage(veil, x, y, columns * scale, rows * scale);
    if (this.boxes) {
      for (const [bx, by, w, h, bad] of pane.boxes ?? []) {
        this.frame(pen, x + (bx / step) * scale, y + (by / step) * scale, (w / step) * scale,
          (h / step) * scale, `${Math.round(100 * bad)} %`);
      }
    }
    pane.canvas.style.touchAction = scale > this.whole.scale * 1.01 ? "none" : "manipulation";
    if (this.at) {
      const px = x + (this.at.column + 0.5) * scale, py = y + (this.at.row + 0.5) * scale;
      for (const [color, width] of [["#000", 3], ["#fff", 1]]) {
        pen.strokeStyle = color;
        pen.lineWidth = width;
        pen.beginPath();
        for (const [ax, ay] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
          pen.moveTo(px + 4 * ax, py + 4 * ay);
          pen.lineTo(px + 11 * ax, py + 11 * ay);
        }
        pen.stroke();
      }
    }
  }

  frame(pen, x, y, width, height, text) {
    for (const [color, thick] of [["#000", 4], ["#fff", 2]]) {
      pen.strokeStyle = color;
      pen.lineWidth = thick;
      pen.strokeRect(x, y, width, height);
    }
    pen.font = "600 12px system-ui, sans-serif";
    pen.lineWidth = 3;
    pen.strokeStyle = "#000";
    pen.fillStyle = "#fff";
    pen.strokeText(text, x + 4, y + 14);
    pen.fillText(text, x + 4, y + 14);
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    if (!this.view) return;
    const whole = this.fit();
    const scale = Math.min(Math.max(this.view.scale * factor, whole.scale), Math.max(40, whole.scale));
    const ratio = scale / this.view.scale;
    this.view = scale <= whole.scale ? whole
      : { scale, x: x - ratio * (x - this.view.x), y: y - ratio * (y - this.view.y) };
    this.draw();
  }

  reset() { this.view = this.fit(); this.at = null; this.tell(); this.draw(); }

  read(x, y) {
    if (!this.view) return;
    const { columns, rows } = this.shown.sheet;
    const column = Math.floor((x - this.view.x) / this.view.scale);
    const row = Math.floor((y - this.view.y) / this.view.scale);
    if (column < 0 || row < 0 || column >= columns || row >= rows) return;
    this.at = { column, row };
    this.tell();
    this.draw();
  }

  /* What every method says at the pixel under the pointer. */
  tell() {
    if (!this.at || !this.shown) {
      this.readout.replaceChildren(element("p", { class: "hint" },
        "Point at a picture to read all methods there; wheel zooms, drag moves."));
      return;
    }
    const { sheet, truth, maps, bits } = this.shown;
    const index = this.at.row * sheet.columns + this.at.column;
    const half = sheet.step >> 1;
    const where = `x ${this.at.column * sheet.step + half}, y ${this.at.row * sheet.step + half}`;
    const number = (value, unit) => (value !== value ? "unknown" : `${value.toFixed(2)}${unit}`);
    const head = ["", ...this.layerNames].map((text) => element("th", {}, text));
    const rows = maps.map((map) => element("tr", {}, element("th", {}, map.label),
      ...this.layerNames.map((name) => element("td", { class: "number" },
        number(map.layers[name][index], name === "Disparity" || name === "Error" ? " px" : "")
        + (name === "Disparity" && map.filled?.[index] ? " (filled)" : "")))));
    if (truth) {
      rows.push(element("tr", {}, element("th", {}, "Truth"),
        element("td", { class: "number" }, number(truth[index], " px"))));
    }
    const inside = bits ? sheet.regions.names.filter((_, i) => (bits[index] >> i) & 1) : [];
    this.readout.replaceChildren(
      element("p", { class: "hint" }, where + (inside.length ? `; ${inside.join(", ")}` : "")),
      element("table", {}, element("tr", {}, ...head), ...rows));
  }

  tellLegend() {
    const scale = this.scale(this.layer);
    const unit = ["Disparity", "Error", "Left-right"].includes(this.layer) ? " px" : "";
    const meaning = { Disparity: "x left − x right; the same colours for truth and all methods;"
        + " dark: unknown, paler: filled in",
      Error: `|disparity − truth|, ${this.data.error.limit} px and more in the darkest colour; dark`
        + " grey: unknown, light grey: no truth",
    }[this.layer] ?? scale.meaning;
    const colors = bytesOf(scale.colors);
    const stops = Array.from({ length: 33 }, (_, i) =>
      `rgb(${colors.subarray(3 * Math.min(255, 8 * i), 3 * Math.min(255, 8 * i) + 3).join(",")})`);
    const ramp = element("div", { class: "ramp" });
    ramp.style.background = `linear-gradient(90deg,${stops.join(",")})`;
    const ticks = element("div", { class: "ticks" });
    scale.ticks.forEach(([at, label], i, all) => {
      const mark = element("span", {}, i === all.length - 1 ? label + unit : label);
      mark.style.left = `${100 * at}%`;
      if (at > 0.94) mark.className = "end";
      if (at < 0.03) mark.className = "start";
      ticks.append(mark);
    });
    this.legend.replaceChildren(ramp, ticks, element("p", { class: "hint" },
      `${this.layer}: ${meaning}. One scale for all methods.`));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.grid) return;
    const count = this.panes.length;
    const turn = (by) => this.alone(((this.single ?? (by > 0 ? -1 : 0)) + by + count) % count);
    const actions = {
      ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1),
      ArrowUp: () => turn(-1), ArrowDown: () => turn(1), Enter: () => this.alone(null),
      b: () => this.toggleBoxes(), "+": () => this.zoom(1.5), "=": () => this.zoom(1.5),
      "-": () => this.zoom(1 / 1.5), 0: () => this.reset(),
    };
    const named = this.layerNames?.[Number(event.key) - 1];
    if (actions[event.key]) actions[event.key]();
    else if (named) this.show(named);
    else return;
    event.preventDefault();
  }
}

for (const figure of document.querySelectorAll(".compare-viewer")) new CompareViewer(figure);
