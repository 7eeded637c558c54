/** Elements, made and changed without touching what is the same already. */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {string} [classes] @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, classes = "", ...children) {
  const node = document.createElement(tag);
  if (classes) node.className = classes;
  node.append(...children);
  return node;
}

/** @param {string} classes @param {() => void} action @param {...(Node|string)} children */
export function button(classes, action, ...children) {
  const node = el("button", classes, ...children);
  node.type = "button";
  node.addEventListener("click", action);
  return node;
}

/** @param {Node} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @param {Element} node @param {string} name @param {boolean} on */
export function setClass(node, name, on) {
  if (node.classList.contains(name) !== on) node.classList.toggle(name, on);
}

/** @param {HTMLElement} node @param {boolean} shown */
export function show(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

/**
 * The element of index.html with this id.
 * @param {string} id @returns {HTMLElement}
 */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`index.html has no element with id ${id}`);
  return node;
}

/**
 * Make `parent`'s children be exactly `wanted`, in this order, moving as few as possible
 * (a moved video stops, a moved button loses its focus).
 * @param {Element} parent @param {Node[]} wanted
 */
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.childNodes]) if (!keep.has(child)) child.remove();
  wanted.forEach((child, index) => {
    const there = parent.childNodes[index] ?? null;
    if (there !== child) parent.insertBefore(child, there);
  });
}
