"use strict";
/* Maps over a photograph: layers to switch, values under the pointer, pins and their distance. */

/* Codes back to numbers: value = offset + step * code, or exp of it; the largest code is NaN. */
function decodeMap(header, bytes) {
  const codes = header.bits === 16 ? new Uint16Array(bytes.length / 2) : bytes;
  if (header.bits === 16) {
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < codes.length; i++) codes[i] = view.getUint16(2 * i, true);
  }
  const unknown = 2 ** header.bits - 1;
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) {
    const number = header.offset + header.step * codes[i];
    values[i] = codes[i] === unknown ? NaN : header.law === "log" ? Math.exp(number) : number;
  }
  return values;
}

function decodeLayers(data, blob) {
  const layers = [];
  for (const layer of data.layers) {
    let values;
    if (layer.inverse) {
      const { of, factor, shift } = layer.inverse;
      values = layers[of].values.map((v) => (v + shift > 0 ? factor / (v + shift) : NaN));
    } else {
      values = decodeMap(layer.map, blob(layer.map.blob));
    }
    let sigma = null;
    if (layer.sigma?.factor) sigma = values.map((z) => layer.sigma.factor * z * z);
    else if (layer.sigma) sigma = decodeMap(layer.sigma.map, blob(layer.sigma.map.blob));
    layers.push({ ...layer, values, sigma });
  }
  return layers;
}

/* A layer as a canvas of its own size; filled pixels are paler, unknown ones dark. */
function paintLayer(layer, source, filledCode, columns, rows) {
  const colors = bytesOf(layer.scale.colors);
  const bend = layer.scale.law === "log" ? Math.log : (v) => v;
  const low = bend(layer.scale.low), span = bend(layer.scale.high) - low;
  const image = new ImageData(columns, rows);
  for (let i = 0; i < layer.values.length; i++) {
    const value = layer.values[i];
    const known = value === value;
    const at = known ? Math.min(1, Math.max(0, (bend(value) - low) / span)) : 0;
    const from = 3 * Math.round(255 * at);
    const pale = known && layer.unit && source && source[i] === filledCode;
    for (let c = 0; c < 3; c++) {
      const color = known ? colors[from + c] : 40;
      image.data[4 * i + c] = pale ? 255 - ((255 - color) >> 1) : color;
    }
    image.data[4 * i + 3] = 255;
  }
  const canvas = element("canvas", { width: columns, height: rows });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

class MapViewer {
  constructor(figure) {
    const { data, blob } = dataOf(figure);
    this.data = data;
    this.layers = decodeLayers(data, blob);
    this.source = data.source && blob(data.source.blob);
    this.filledCode = data.source
      && Number(Object.entries(data.source.names).find(([, name]) => name === "filled")[0]);
    this.photo = figure.querySelector("img.photo");
    this.pictures = [];
    this.shown = 1; // 0 is the photograph, then the layers
    this.pins = [];
    this.at = null; // the pixel that is read out
    this.view = null; // {scale, x, y}: canvas = scale * pixel + (x, y)
    this.build(figure);
    this.show(1);
    onWidth(this.stage, () => this.resize());
    this.photo.decode?.().then(() => this.draw(), () => {});
  }

  build(figure) {
    const names = [this.data.image, ...this.layers.map((layer) => layer.name)];
    this.tabs = names.map((name, i) => button(name, `Show ${name} (key ${i + 1})`, () => this.show(i)));
    const bar = element("div", { class: "toolbar", role: "toolbar", "aria-label": "Map and zoom" },
      ...this.tabs, element("span", { class: "space" }),
      button("−", "Zoom out (key −)", () => this.zoom(1 / 1.5)),
      button("+", "Zoom in (key +)", () => this.zoom(1.5)),
      button("Reset", "Whole image, no pins (key 0)", () => this.reset()));
    this.canvas = element("canvas", { tabindex: "0", role: "application", "aria-label":
      "Map. Arrow keys move the read-out by a pixel, with shift by ten; Enter pins it;"
      + " plus and minus zoom; 0 resets; digits choose the map." });
    this.stage = element("div", { class: "stage" }, this.canvas);
    this.legend = element("div", { class: "legend", "aria-hidden": "true" });
    this.readout = element("dl", { class: "readout" });
    this.pinned = element("div", { class: "pinned", "aria-live": "polite" });
    this.photo.hidden = true;
    figure.prepend(bar, this.stage, this.legend, this.readout, this.pinned);
    const metric = this.data.camera && this.layers.some((layer) => layer.depth);
    this.readout.append(element("div", { class: "hint" }, metric
      ? "Point at the image to read it; click two points for the distance between them."
      : "Point at the image to read it; click to pin a point."));
    gestures(this.canvas, {
      hover: (x, y) => this.read(this.pixel(x, y)),
      tap: (x, y) => { this.read(this.pixel(x, y)); this.pin(); },
      drag: (dx, dy) => { this.view.x += dx; this.view.y += dy; this.draw(); },
      zoom: (factor, x, y) => this.zoom(factor, x, y),
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /* The pixel of the (reduced) maps under a point of the canvas, null outside. */
  pixel(x, y) {
    const column = Math.floor((x - this.view.x) / this.view.scale);
    const row = Math.floor((y - this.view.y) / this.view.scale);
    const inside = column >= 0 && row >= 0 && column < this.data.columns && row < this.data.rows;
    return inside ? { column, row } : null;
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = Math.min(width / this.data.columns, height / this.data.rows);
    return { scale, x: (width - scale * this.data.columns) / 2, y: (height - scale * this.data.rows) / 2 };
  }

  resize() {
    const width = this.stage.clientWidth;
    const wanted = (width * this.data.rows) / this.data.columns;
    const height = Math.round(Math.max(120, Math.min(wanted, 0.78 * window.innerHeight)));
    const dense = window.devicePixelRatio || 1;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(width * dense);
    this.canvas.height = Math.round(height * dense);
    const whole = this.fit(), before = this.whole ?? whole, view = this.view ?? whole;
    const ratio = whole.scale / before.scale; // what was looked at stays in place
    this.view = {
      scale: view.scale * ratio,
      x: whole.x + (view.x - before.x) * ratio,
      y: whole.y + (view.y - before.y) * ratio,
    };
    this.whole = whole;
    this.draw();
  }

  show(index) {
    this.shown = index;
    this.tabs.forEach((tab, i) => tab.setAttribute("aria-pressed", String(i === index)));
    if (index > 0 && !this.pictures[index]) {
      this.pictures[index] = paintLayer(
        this.layers[index - 1], this.source, this.filledCode, this.data.columns, this.data.rows);
    }
    this.tellLegend();
    this.draw();
  }

  tellLegend() {
    this.legend.replaceChildren();
    const layer = this.layers[this.shown - 1];
    if (!layer) { this.legend.append(element("div", { class: "ticks" })); return; }
    const colors = bytesOf(layer.scale.colors);
    const stops = Array.from({ length: 33 }, (_, i) =>
      `rgb(${colors.subarray(3 * Math.min(255, 8 * i), 3 * Math.min(255, 8 * i) + 3).join(",")})`);
    const ramp = element("div", { class: "ramp" });
    ramp.style.background = `linear-gradient(90deg,${stops.join(",")})`;
    const ticks = element("div", { class: "ticks" });
    layer.scale.ticks.forEach(([at, label], i, all) => {
      const mark = element("span", {}, i === all.length - 1 ? `${label} ${layer.unit}` : label);
      mark.style.left = `${100 * at}%`;
      if (at > 0.94) mark.className = "end";
      if (at < 0.03) mark.className = "start";
      ticks.append(mark);
    });
    this.legend.append(ramp, ticks);
  }

  draw() {
    if (!this.view) return;
    const pen = this.canvas.getContext("2d");
    const dense = this.canvas.width / this.canvas.clientWidth;
    const { scale, x, y } = this.view;
    const { columns, rows } = this.data;
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    pen.imageSmoothingEnabled = scale * dense < 1 || (this.shown === 0 && scale < 3);
    const picture = this.shown === 0 ? this.photo : this.pictures[this.shown];
    if (picture instanceof HTMLCanvasElement || picture.complete) {
      pen.drawImage(picture, x, y, columns * scale, rows * scale);
    }
    this.canvas.style.touchAction = scale > this.fit().scale * 1.01 ? "none" : "manipulation";
    const middle = (p) => [x + (p.column + 0.5) * scale, y + (p.row + 0.5) * scale];
    if (this.pins.length === 2) this.line(pen, middle(this.pins[0]), middle(this.pins[1]));
    this.pins.forEach((p, i) => this.mark(pen, middle(p), "AB"[i]));
    if (this.at) this.mark(pen, middle(this.at), "");
  }

  line(pen, from, to) {
    for (const [color, width] of [["#000", 4], ["#fff", 1.5]]) {
      pen.strokeStyle = color;
      pen.lineWidth = width;
      pen.beginPath();
      pen.moveTo(...from);
      pen.lineTo(...to);
      pen.stroke();
    }
  }

  mark(pen, [x, y], name) {
    const arm = name ? 9 : 6;
    const gap = Math.max(2, this.view.scale / 2);
    for (const [ax, ay] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      this.line(pen, [x + ax * gap, y + ay * gap], [x + ax * (gap + arm), y + ay * (gap + arm)]);
    }
    if (!name) return;
    pen.font = "600 14px system-ui, sans-serif";
    pen.lineWidth = 4;
    pen.strokeStyle = "#000";
    pen.fillStyle = "#fff";
    pen.strokeText(name, x + 8, y - 8);
    pen.fillText(name, x + 8, y - 8);
  }

  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const whole = this.fit();
    const scale = Math.min(Math.max(this.view.scale * factor, whole.scale), Math.max(60, whole.scale));
    if (scale <= whole.scale) {
      this.view = whole;
    } else {
      const ratio = scale / this.view.scale;
      this.view = { scale, x: x - ratio * (x - this.view.x), y: y - ratio * (y - this.view.y) };
    }
    this.draw();
  }

  reset() {
    this.view = this.fit();
    this.pins = [];
    this.tellPins();
    this.draw();
  }

  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const { columns, rows } = this.data;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (steps[event.key]) {
      const far = event.shiftKey ? 10 : 1;
      const from = this.at ?? { column: columns >> 1, row: rows >> 1 };
      const [dx, dy] = steps[event.key];
      const within = (v, n) => Math.min(n - 1, Math.max(0, v));
      this.read({ column: within(from.column + far * dx, columns), row: within(from.row + far * dy, rows) });
    } else if (event.key === "Enter" || event.key === " ") this.pin();
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.reset();
    else if (this.tabs[Number(event.key) - 1]) this.show(Number(event.key) - 1);
    else return;
    event.preventDefault();
  }

  /* Everything known about a pixel of the (reduced) maps. */
  lookUp({ column, row }) {
    const { stepX, stepY, columns, camera, source } = this.data;
    const index = row * columns + column;
    const found = { index, x: column * stepX + (stepX >> 1), y: row * stepY + (stepY >> 1) };
    found.values = this.layers.map((layer) => layer.values[index]);
    found.source = source ? source.names[this.source[index]] ?? "?" : "";
    const depth = this.layers.findIndex((layer) => layer.depth);
    if (depth >= 0) {
      found.z = found.values[depth];
      found.sigma = this.layers[depth].sigma?.[index] ?? NaN;
    }
    if (camera && found.z > 0) {
      found.ray = [(found.x - camera.cx) / camera.fx, (found.y - camera.cy) / camera.fy, 1];
      found.point = found.ray.map((r) => r * found.z);
    }
    return found;
  }

  /* The value of layer `i` at a pixel that was looked up, with its unit. */
  written(i, found) {
    const layer = this.layers[i], value = found.values[i];
    if (value !== value) return "unknown";
    const sigma = layer.sigma ? ` ± ${layer.sigma[found.index].toFixed(layer.digits)}` : "";
    return `${value.toFixed(layer.digits)}${sigma} ${layer.unit}`;
  }

  read(pixel) {
    if (!pixel) return;
    this.at = pixel;
    const found = this.lookUp(pixel);
    const rows = [["Pixel", `x ${found.x}, y ${found.y}`]];
    this.layers.forEach((layer, i) => {
      rows.push([layer.name, this.written(i, found)]);
    });
    if (found.point) rows.push(["X, Y, Z", `${found.point.map((v) => v.toFixed(3)).join(", ")} m`]);
    if (found.source) rows.push(["Source", found.source]);
    this.readout.replaceChildren(...rows.map(([name, text]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, text))));
    this.draw();
  }

  pin() {
    if (!this.at) return;
    if (this.pins.length === 2) this.pins = [];
    this.pins.push({ ...this.at });
    this.tellPins();
    this.draw();
  }

  tellPins() {
    const found = this.pins.map((p) => this.lookUp(p));
    const lines = found.map((p, i) => {
      const where = p.point ? `X, Y, Z = ${p.point.map((v) => v.toFixed(3)).join(", ")} m`
        : this.written(0, p);
      const note = p.source && p.source !== "matched" ? ` (${p.source})` : "";
      return element("div", {}, element("b", {}, "AB"[i]), ` x ${p.x}, y ${p.y}: ${where}${note}`);
    });
    if (found.length === 2) lines.push(element("div", { class: "distance" }, this.distance(...found)));
    this.pinned.replaceChildren(...lines);
  }

  /* |A - B|, and its standard deviation from those of the two depths (independent, first order). */
  distance(a, b) {
    if (!a.point || !b.point) {
      const length = Math.hypot(a.x - b.x, a.y - b.y).toFixed(1);
      return `A to B: ${length} pixels in the image; no metres without depth at both points`;
    }
    const apart = a.point.map((v, i) => v - b.point[i]);
    const length = Math.hypot(...apart);
    const along = (p) => (p.ray.reduce((sum, r, i) => sum + r * apart[i], 0) / (length || 1)) * p.sigma;
    const sigma = Math.hypot(along(a), along(b));
    return `A to B: ${length.toFixed(3)}${sigma >= 0 ? ` ± ${sigma.toFixed(3)}` : ""} m`;
  }
}

for (const figure of document.querySelectorAll(".map-viewer")) new MapViewer(figure);
