// @ts-check
/** DOM from plain values. Texts are always text nodes, never markup. */

/** @typedef {Node | string | null | undefined | false} Child what is falsy is left out */

/**
 * @typedef {{ [Type in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Type]) => void }} Listeners
 */

/**
 * @typedef {{ class?: string, [name: `aria-${string}` | `data-${string}`]: string | undefined }} Attributes
 */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @typedef {Partial<HTMLElementTagNameMap[Tag]> & Attributes & { on?: Listeners }} Properties
 */

/**
 * Create an element. `class`, `role`, `aria-*` and `data-*` become attributes, `on` holds listeners by event
 * type, all others are properties of the element. What is undefined or null is left out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties<Tag>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null) continue;
    if (name === "on") {
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    } else if (/^(class|role|aria-.*|data-.*)$/.test(name)) {
      element.setAttribute(name, String(value));
    } else {
      Reflect.set(element, name, value);
    }
  }
  element.append(...present(children));
  return element;
}

/**
 * Replace all children of an element.
 * @param {Element} element
 * @param {...Child} children
 */
export function setChildren(element, ...children) {
  element.replaceChildren(...present(children));
}

/** @param {Child[]} children */
function present(children) {
  return children.flatMap((child) => child || []);
}

/**
 * Create a button. With an icon its label is the tooltip and the name that assistive technology reads.
 * @param {string} label
 * @param {(event: MouseEvent) => void} action the click does not reach the elements around the button
 * @param {{ icon?: string, class?: string, disabled?: boolean, pressed?: boolean }} [options] `icon` are the
 *   classes of an icon font
 * @returns {HTMLButtonElement}
 */
export function button(label, action, options = {}) {
  return h(
    "button",
    {
      type: "button",
      class: `kling-once-button ${options.class ?? ""}`,
      title: label,
      disabled: options.disabled ?? false,
      "aria-label": options.icon ? label : undefined,
      "aria-pressed": options.pressed === undefined ? undefined : String(options.pressed),
      on: {
        click: (event) => {
          event.stopPropagation();
          action(event);
        },
      },
    },
    options.icon ? h("i", { class: options.icon, "aria-hidden": "true" }) : label,
  );
}

/**
 * @param {Properties<"input">} [properties]
 * @returns {HTMLInputElement} an input of one line that no password manager fills
 */
export function textInput(properties = {}) {
  return h("input", { type: "text", autocomplete: "off", spellcheck: false, ...properties });
}

/** An input that hides what is typed, and that no password manager fills. */
export function secretInput() {
  return h("input", { type: "password", autocomplete: "new-password", spellcheck: false, maxLength: 512 });
}

/**
 * @param {string} label
 * @param {HTMLElement} control
 */
export function field(label, control) {
  return h("label", { class: "kling-once-field" }, h("span", {}, label), control);
}

/** Add the pack's style sheet to the page, once. */
export function addStyleSheet() {
  const { href } = new URL("../kling_once.css", import.meta.url);
  if (document.querySelector(`link[href="${href}"]`)) return;
  document.head.append(h("link", { rel: "stylesheet", href }));
}
