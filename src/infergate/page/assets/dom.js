// dom: elements are made of plain values. No text ever becomes markup, whoever wrote it; the page's
// policy (require-trusted-types-for) has the browser refuse it, too.

const SVG = 'http://www.w3.org/2000/svg';
const DRAWN = new Set(['svg', 'rect', 'line', 'path', 'title', 'g']);

// An element. What begins with "on" in properties is a listener, `class` and `data` and `style` are
// what they say, true is an attribute without a value, null or false none.
export function h(tag, properties, ...children) {
    const element = DRAWN.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(properties ?? {})) {
        if (value === null || value === undefined || value === false) {
            continue;
        }
        if (name.startsWith('on')) {
            element.addEventListener(name.slice(2), value);
        } else if (name === 'style') {
            Object.entries(value).forEach(([each, to]) => element.style.setProperty(each, to));
        } else if (name === 'value' && tag !== 'option') {
            element.value = value;
        } else {
            element.setAttribute(name, value === true ? '' : String(value));
        }
    }
    put(element, ...children);
    return element;
}

// Add to an element; what is null or false is nothing.
export function put(element, ...children) {
    for (const each of children.flat(Infinity)) {
        if (each !== null && each !== undefined && each !== false) {
            element.append(each instanceof Node ? each : document.createTextNode(String(each)));
        }
    }
    return element;
}

export function fill(element, ...children) {
    element.replaceChildren();
    return put(element, ...children);
}

const focusable = (element) => [...element.querySelectorAll('a, button, input, select')];

// Have a list's children be those of `items`, in this order. One whose item is as it was stays the
// element it was, with the focus that it may have: nothing moves that is not news.
export function keep(parent, items, name, make) {
    const known = parent.kept ?? new Map();
    const now = new Map();
    let before = null;
    for (const item of items) {
        const id = String(name(item));
        const old = known.get(id);
        const isSame = old !== undefined && (old.item === item || JSON.stringify(old.item) === JSON.stringify(item));
        const entry = isSame ? old : {item, element: make(item)};
        if (old !== undefined && old !== entry) {
            const held = focusable(old.element).indexOf(document.activeElement);
            old.element.replaceWith(entry.element);
            focusable(entry.element)[held]?.focus({preventScroll: true});
        }
        now.set(id, entry);
        const place = before === null ? parent.firstChild : before.nextSibling;
        if (entry.element !== place) {
            parent.insertBefore(entry.element, place);
        }
        before = entry.element;
    }
    for (const [id, old] of known) {
        if (!now.has(id)) {
            old.element.remove();
        }
    }
    parent.kept = now;
}
