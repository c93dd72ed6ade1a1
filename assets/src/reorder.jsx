// Tabs that can be dragged to another place: the part of framer-motion that GraphiQL uses, without its 135 kB.
import { createContext, useContext, useRef } from 'react';

const DRAG_STARTS_AFTER_PX = 6;
const Dragging = createContext(null);

function moved(values, from, to) {
  const next = values.toSpliced(from, 1);
  next.splice(to, 0, values[from]);
  return next;
}

/** The place in the row that the pointer has reached, or the present one. */
function placeAt(list, x, from) {
  const middles = Array.from(list.children, (item) => {
    const { left, width } = item.getBoundingClientRect();
    return left + width / 2;
  });
  if (from > 0 && x < middles[from - 1]) return from - 1;
  if (from < middles.length - 1 && x > middles[from + 1]) return from + 1;
  return from;
}

function Group({ values, onReorder, axis: _axis, children, ...props }) {
  const drag = useRef(null);
  const start = (value, event) => {
    if (event.button === 0 && event.pointerType === 'mouse') drag.current = { from: values.indexOf(value), x: event.clientX };
  };
  const move = (event) => {
    const held = drag.current;
    if (!held || Math.abs(event.clientX - held.x) < DRAG_STARTS_AFTER_PX) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    held.x = Number.NEGATIVE_INFINITY; // the threshold counts once
    const to = placeAt(event.currentTarget, event.clientX, held.from);
    if (to === held.from) return;
    onReorder(moved(values, held.from, to));
    held.from = to;
  };
  const stop = () => {
    drag.current = null;
  };
  return (
    <Dragging.Provider value={start}>
      <ul {...props} onPointerMove={move} onPointerUp={stop} onPointerCancel={stop} onLostPointerCapture={stop}>
        {children}
      </ul>
    </Dragging.Provider>
  );
}

function Item({ value, children, ...props }) {
  const start = useContext(Dragging);
  return (
    <li {...props} onPointerDown={(event) => start(value, event)}>
      {children}
    </li>
  );
}

export const Reorder = { Group, Item };
