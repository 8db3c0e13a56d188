"use strict";
/* A coloured cloud in WebGL: drag turns, wheel zooms, right or shift drag moves.
 * World: x right, y down, z forward, metres. The eye orbits the target; yaw turns about the
 * vertical, pitch lifts it. */

const CLOUD_VERTEX = `
attribute vec3 code;
attribute vec3 color;
uniform mat4 toClip;
uniform vec3 offset;
uniform float unit, spacing, focal, perspective, largest;
varying vec3 shade;
void main() {
  vec3 point = offset + unit * code;
  gl_Position = toClip * vec4(point, 1.0);
  float apart = spacing * mix(1.0, max(point.z, 0.0), perspective);
  gl_PointSize = clamp(focal * apart / gl_Position.w, 1.0, largest);
  shade = color;
}`;
const CLOUD_FRAGMENT = `
precision mediump float;
varying vec3 shade;
void main() { gl_FragColor = vec4(shade, 1.0); }`;

const minus = (a, b) => a.map((v, i) => v - b[i]);
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) =>
  [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unitVector = (a) => a.map((v) => v / Math.hypot(...a));

class CloudViewer {
  constructor(figure) {
    const { data, blob } = dataOf(figure);
    this.data = data;
    this.size = 1.7;
    this.build(figure);
    this.gl = this.canvas.getContext("webgl", { antialias: false, alpha: true });
    if (!this.gl) {
      this.stage.replaceChildren(element("p", { class: "empty" },
        "This browser shows no WebGL, so there is no 3D view here; cloud.ply opens in any 3D viewer."));
      return;
    }
    this.upload(blob(0), blob(1));
    this.home();
    // Swaying shows the depth without being touched, and stops at the first touch.
    this.swaying = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.visible = false;
    onWidth(this.stage, () => this.resize());
    new IntersectionObserver(([seen]) => { this.visible = seen.isIntersecting; this.request(); })
      .observe(this.canvas);
  }

  build(figure) {
    this.canvas = element("canvas", { tabindex: "0", role: "application", "aria-label":
      "3D view of the cloud. Arrow keys turn it, with shift they move it; plus and minus zoom;"
      + " 0 resets." });
    this.stage = element("div", { class: "stage" }, this.canvas);
    const slider = element("input", { type: "range", min: "0.3", max: "4", step: "0.1", value: "1.7" });
    slider.addEventListener("input", () => { this.size = Number(slider.value); this.request(); });
    const bar = element("div", { class: "toolbar", role: "toolbar", "aria-label": "3D view" },
      element("label", {}, "Point size ", slider), element("span", { class: "space" }),
      button("−", "Zoom out (key −)", () => { this.stop(); this.zoom(1 / 1.25); }),
      button("+", "Zoom in (key +)", () => { this.stop(); this.zoom(1.25); }),
      button("Reset", "First view (key 0)", () => { this.stop(); this.home(); this.request(); }));
    figure.prepend(bar, this.stage);
    gestures(this.canvas, {
      touched: () => this.stop(),
      drag: (dx, dy, { pan }) => (pan ? this.move(dx, dy) : this.turn(dx, dy)),
      zoom: (factor) => this.zoom(factor),
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  }

  upload(points, colors) {
    const gl = this.gl;
    this.program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, CLOUD_VERTEX], [gl.FRAGMENT_SHADER, CLOUD_FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program);
    gl.useProgram(this.program);
    for (const [name, bytes, type, normal] of
      [["code", points, gl.SHORT, false], ["color", colors, gl.UNSIGNED_BYTE, true]]) {
      const at = gl.getAttribLocation(this.program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, 3, type, normal, 0, 0);
    }
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(0, 0, 0, 0);
  }

  home() {
    const { eye, target } = this.data.view;
    const away = minus(eye, target);
    this.target = [...target];
    this.distance = Math.hypot(...away);
    this.yaw = Math.atan2(away[0], -away[2]);
    this.pitch = Math.asin(-away[1] / this.distance);
  }

  axes() {
    const [cy, sy, cp, sp] =
      [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    const away = [sy * cp, -sp, -cy * cp];
    const forward = away.map((v) => -v);
    const right = unitVector(cross([0, 1, 0], forward));
    return { away, forward, right, down: cross(forward, right) };
  }

  stop() { this.swaying = false; }

  turn(dx, dy) {
    this.yaw -= dx * 0.006;
    this.pitch = Math.min(1.5, Math.max(-1.5, this.pitch + dy * 0.006));
    this.request();
  }

  move(dx, dy) {
    const { right, down } = this.axes();
    const metres = this.distance / this.focal();
    this.target = this.target.map((v, i) => v - metres * (dx * right[i] + dy * down[i]));
    this.request();
  }

  zoom(factor) {
    this.distance = Math.max(1e-4, this.distance / factor);
    this.request();
  }

  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = steps[event.key];
    if (step && event.shiftKey) this.move(-20 * step[0], -20 * step[1]);
    else if (step) this.turn(12 * step[0], 12 * step[1]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(1 / 1.25);
    else if (event.key === "0") { this.home(); this.request(); } else return;
    this.stop();
    event.preventDefault();
  }

  resize() {
    const width = this.stage.clientWidth;
    const height = Math.round(Math.max(240, Math.min(0.66 * width, 0.78 * window.innerHeight)));
    const dense = Math.min(2, window.devicePixelRatio || 1);
    this.canvas.style.height = `${height}px`;
    this.canvas.style.touchAction = "none";
    this.canvas.width = Math.round(width * dense);
    this.canvas.height = Math.round(height * dense);
    this.draw(performance.now());
  }

  /* Focal length in CSS pixels. */
  focal() {
    return this.canvas.clientHeight / 2 / Math.tan((this.data.view.fov * Math.PI) / 360);
  }

  /* World to clip space; y and z change sign, since WebGL looks along -z with y up. */
  toClip() {
    const { away, forward, right, down } = this.axes();
    const eye = this.target.map((v, i) => v + this.distance * away[i]);
    const near = this.distance * 0.01, far = this.distance * 200;
    const fy = (2 * this.focal()) / this.canvas.clientHeight;
    const fx = (2 * this.focal()) / this.canvas.clientWidth;
    const a = (far + near) / (far - near), b = (-2 * far * near) / (far - near);
    const row = (axis, scale) => [...axis.map((v) => v * scale), -dot(axis, eye) * scale];
    const x = row(right, fx), y = row(down, -fy), w = row(forward, 1), z = row(forward, a);
    z[3] += b;
    return new Float32Array([0, 1, 2, 3].flatMap((i) => [x[i], y[i], z[i], w[i]]));
  }

  request() {
    if (this.gl && !this.pending && this.visible) {
      this.pending = requestAnimationFrame((now) => { this.pending = 0; this.draw(now); });
    }
  }

  draw(now) {
    const gl = this.gl, data = this.data;
    const dense = this.canvas.width / this.canvas.clientWidth;
    if (this.swaying) {
      this.began ??= now;
      const start = this.yaw;
      this.yaw += 0.28 * Math.sin((now - this.began) / 1900);
      this.paint(gl, data, dense);
      this.yaw = start;
      this.request();
    } else {
      this.paint(gl, data, dense);
    }
  }

  paint(gl, data, dense) {
    const set = (name) => gl.getUniformLocation(this.program, name);
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix4fv(set("toClip"), false, this.toClip());
    gl.uniform3fv(set("offset"), data.offset);
    gl.uniform1f(set("unit"), data.step);
    gl.uniform1f(set("spacing"), this.size * data.view.spacing);
    gl.uniform1f(set("perspective"), data.view.perspective ? 1 : 0);
    gl.uniform1f(set("focal"), this.focal() * dense);
    gl.uniform1f(set("largest"), 48 * dense);
    gl.drawArrays(gl.POINTS, 0, data.count);
  }
}

for (const figure of document.querySelectorAll(".cloud-viewer")) new CloudViewer(figure);
