// Pointer and wheel on the map: drag to move, pinch or wheel to zoom, click to choose an agent.

const CLICK_MAX_PX = 6;
const WHEEL_STEP = 0.0016;

/**
 * @param {HTMLElement} canvas
 * @param {import("./stage.js").Stage} stage  Or whatever has its `camera`, `idAt`, `hovered`, `tracking` and `invalidate`.
 * @param {(id: string | null) => void} choose
 */
export function attachHands(canvas, stage, choose) {
  const { camera } = stage;
  const pointers = new Map();
  let travelled = 0;

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const settle = () => {
    // At rest a finger scrolls the page; close up it moves the map.
    canvas.classList.toggle("close", camera.isClose);
    stage.invalidate();
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (pointers.size === 0) travelled = 0;
    pointers.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = place(event);
    const before = pointers.get(event.pointerId);
    if (!before) {
      hover(stage.idAt(now.x, now.y));
      return;
    }
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const ratio = distance(now, other) / Math.max(1, distance(before, other));
      camera.zoomBy(ratio, (now.x + other.x) / 2, (now.y + other.y) / 2);
      camera.jump();
    } else if (camera.isClose && travelled > CLICK_MAX_PX) {
      stage.tracking = false;
      camera.panBy(now.x - before.x, now.y - before.y);
    }
    pointers.set(event.pointerId, now);
    settle();
  });
  canvas.addEventListener("pointerup", (event) => {
    const at = place(event);
    if (pointers.delete(event.pointerId) && pointers.size === 0 && travelled <= CLICK_MAX_PX) choose(stage.idAt(at.x, at.y));
  });
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => hover(null));
  canvas.addEventListener(
    "wheel",
    (event) => {
      // Where the page itself can scroll, the wheel is the page's, but for a pinch on a touchpad.
      if (document.documentElement.scrollHeight > window.innerHeight && !event.ctrlKey) return;
      event.preventDefault();
      const at = place(event);
      camera.zoomBy(Math.exp(-event.deltaY * WHEEL_STEP * (event.ctrlKey ? 4 : 1)), at.x, at.y);
      settle();
    },
    { passive: false },
  );

  function hover(id) {
    canvas.classList.toggle("over-agent", id !== null);
    if (stage.hovered === id) return;
    stage.hovered = id;
    stage.invalidate();
  }

  return settle;
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
