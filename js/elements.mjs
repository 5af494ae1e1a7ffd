// @ts-check
/** Build DOM from plain values. Texts are text, never markup. */

/**
 * @typedef {Node | string | null | undefined | false} Child
 * @typedef {Record<string, any>} Properties
 */

/**
 * Make an element. `class` and `data` and `aria-*` and `role` are set as attributes, `on` holds listeners,
 * the rest are properties.
 * @param {string} tag
 * @param {Properties} [properties]
 * @param {...Child} children
 * @returns {any}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "on") {
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    } else if (name === "class" || name === "role" || name === "for" || name.startsWith("aria-")) {
      element.setAttribute(name, value);
    } else if (name.startsWith("data-")) {
      element.setAttribute(name, value);
    } else {
      /** @type {any} */ (element)[name] = value;
    }
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/**
 * Put children in place of those that an element has.
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren(.../** @type {(Node | string)[]} */ (children.filter(Boolean)));
}

/**
 * Make a button with a text, or with an icon that is named for those who do not see it.
 * @param {string} label
 * @param {(event: Event) => void} action
 * @param {{ icon?: string, class?: string, disabled?: boolean, pressed?: boolean }} [options]
 * @returns {HTMLButtonElement}
 */
export function button(label, action, options = {}) {
  return h(
    "button",
    {
      type: "button",
      class: `kling-once-button ${options.class ?? ""}`,
      title: label,
      disabled: options.disabled,
      "aria-label": options.icon ? label : undefined,
      "aria-pressed": options.pressed === undefined ? undefined : String(options.pressed),
      on: {
        click: (/** @type {Event} */ event) => {
          event.stopPropagation();
          action(event);
        },
      },
    },
    options.icon ? h("i", { class: options.icon, "aria-hidden": "true" }) : label,
  );
}

/** Add our style sheet to the page, once. */
export function addStyles() {
  const href = new URL("./kling_once.css", import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return;
  document.head.append(h("link", { rel: "stylesheet", href }));
}
