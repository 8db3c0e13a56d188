"use strict";
/* Pointer, touch and wheel on a canvas, told to `on` as
 *   drag(dx, dy, {pan})  moved while pressed; pan: right button, shift, or two fingers
 *   zoom(factor, x, y)   wheel or pinch about the point (x, y)
 *   tap(x, y)            pressed and released in place
 *   hover(x, y), leave() moved without pressing
 *   touched()            any of these but hovering
 * Lengths are CSS pixels from the canvas's top left corner. */
function gestures(canvas, on) {
  const held = new Map();
  let moved = 0;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, place(event));
    moved = held.size > 1 ? Infinity : 0;
    try { canvas.setPointerCapture(event.pointerId); } catch { /* a synthetic pointer */ }
    on.touched?.();
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    const before = held.get(event.pointerId);
    if (!before) { on.hover?.(x, y); return; }
    const dx = x - before[0], dy = y - before[1];
    moved += Math.abs(dx) + Math.abs(dy);
    if (held.size === 2) {
      const other = [...held].find(([id]) => id !== event.pointerId)[1];
      const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      on.drag?.(dx / 2, dy / 2, { pan: true });
      on.zoom?.(apart([x, y]) / Math.max(1, apart(before)), (x + other[0]) / 2, (y + other[1]) / 2);
    } else if (moved > 4) {
      on.drag?.(dx, dy, { pan: event.shiftKey || (event.buttons & 6) !== 0 });
    }
    held.set(event.pointerId, [x, y]);
  });
  canvas.addEventListener("pointerup", (event) => {
    const at = place(event);
    if (held.delete(event.pointerId) && moved <= 4 && event.button === 0) on.tap?.(...at);
  });
  canvas.addEventListener("pointercancel", (event) => held.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => on.leave?.());
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    on.touched?.();
    const lines = event.deltaMode === 1 ? 16 : 1; // Firefox counts lines, the others pixels
    on.zoom?.(Math.exp(-event.deltaY * lines * 0.0016), ...place(event));
  }, { passive: false });
}

/* Calls `action` when the element's width changes, outside the observer, which the change of height
 * that follows would call again. */
function onWidth(watched, action) {
  let width = -1;
  new ResizeObserver(() => requestAnimationFrame(() => {
    if (watched.clientWidth === width) return;
    width = watched.clientWidth;
    action();
  })).observe(watched);
}

/* The bytes of base64 text. */
function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/* A viewer's settings and its blobs, as viewers.py wrote them into its element. */
function dataOf(figure) {
  const blobs = [...figure.querySelectorAll('script[type="text/plain"]')];
  return {
    data: JSON.parse(figure.querySelector('script[type="application/json"]').textContent),
    blob: (i) => bytesOf(blobs[i].textContent),
  };
}

/* An element with attributes and children, strings becoming text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function button(text, hint, action) {
  const made = element("button", { type: "button", title: hint }, text);
  made.addEventListener("click", action);
  return made;
}
