// editor: a text area for YAML, with line numbers, colours, what is wrong in its place, and what may
// stand where the cursor is. It stays a text area: what reads and writes those, works.

import {fill, h} from './dom.js';
import {placeIn, settingsAt, valuesAt} from './schema.js';

const MOST_OFFERED = 60;

export class Editor {
    // changed: called when the text is another. known: () → names for where the schema has none.
    constructor({text, schema, readonly, changed}) {
        this.schema = schema;
        this.problems = [];
        this.offered = [];
        this.chosen = 0;
        this.gutter = h('div', {class: 'gutter', 'aria-hidden': 'true'});
        this.colours = h('pre', {class: 'colours', 'aria-hidden': 'true'});
        this.list = h('ul', {class: 'offers', role: 'listbox', id: 'offers', hidden: true, 'aria-label': 'What may stand here'});
        this.area = h('textarea', {
            class: 'code', spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', wrap: 'off', readonly, 'aria-label': 'Configuration, YAML',
            'aria-controls': 'offers', 'aria-describedby': 'editor-keys', value: text,
            oninput: () => {
                this.draw();
                changed(this.area.value);
                this.offer(false);
            },
            onscroll: () => this.follow(), onkeydown: (event) => this.key(event), onblur: () => setTimeout(() => this.close(), 150), onclick: () => this.close(),
        });
        this.shown = h('div', {class: 'editor'}, this.gutter, h('div', {class: 'page'}, this.colours, this.area, this.list));
        this.draw();
    }

    get text() {
        return this.area.value;
    }

    set text(value) {
        this.area.value = value;
        this.draw();
    }

    // problems: [{line, column, message, isWarning}]
    mark(problems) {
        this.problems = problems;
        this.draw();
    }

    goTo(line, column = 1) {
        const lines = this.text.split('\n');
        const at = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
        this.area.focus();
        this.area.setSelectionRange(at, at);
        this.area.scrollTop = Math.max(0, (line - 6) * this.lineHeight);
        this.follow();
    }

    get lineHeight() {
        return parseFloat(getComputedStyle(this.area).lineHeight);
    }

    draw() {
        const lines = this.text.split('\n');
        const wrong = new Map(this.problems.map((each) => [each.line, each]));
        fill(this.gutter, h('div', {}, lines.map((_, index) => {
            const problem = wrong.get(index + 1);
            return h('span', {class: problem ? (problem.isWarning ? 'warned' : 'wrong') : null, title: problem?.message}, index + 1);
        })));
        fill(this.colours, lines.map((line, index) => h('span', {class: wrong.has(index + 1) ? (wrong.get(index + 1).isWarning ? 'line warned' : 'line wrong') : 'line'}, coloured(line), '\n')));
        this.follow();
    }

    follow() {
        this.gutter.firstChild.style.setProperty('transform', `translateY(${-this.area.scrollTop}px)`);
        this.colours.style.setProperty('transform', `translate(${-this.area.scrollLeft}px, ${-this.area.scrollTop}px)`);
    }

    key(event) {
        if (!this.list.hidden && ['ArrowDown', 'ArrowUp', 'Enter', 'Tab', 'Escape'].includes(event.key)) {
            event.preventDefault();
            if (event.key === 'Escape') {
                this.close();
            } else if (event.key.startsWith('Arrow')) {
                this.choose((this.chosen + (event.key === 'ArrowDown' ? 1 : this.offered.length - 1)) % this.offered.length);
            } else {
                this.take(this.chosen);
            }
        } else if (event.key === ' ' && event.ctrlKey) {
            event.preventDefault();
            this.offer(true);
        } else if (event.key === 'Enter' && !this.area.readOnly) {
            const line = this.text.slice(0, this.area.selectionStart).split('\n').at(-1);
            const indent = /^ */.exec(line)[0] + (/:\s*$/.test(line) ? '  ' : '');
            event.preventDefault();
            this.insert(`\n${indent}`);
        }
    }

    insert(text) {
        document.execCommand('insertText', false, text); // keeps what can be undone
    }

    offer(always) {
        if (this.area.readOnly || this.area.selectionStart !== this.area.selectionEnd) {
            return;
        }
        const position = this.area.selectionStart;
        const {path, begun, isValue} = placeIn(this.text, position);
        if ((!always && begun === '') || begun.startsWith('#')) {
            this.close();
            return;
        }
        const all = isValue ? valuesAt(this.schema, path) : settingsAt(this.schema, path);
        const wanted = begun.toLowerCase();
        this.offered = all.filter((each) => each.text.toLowerCase().startsWith(wanted) && each.text !== begun).slice(0, MOST_OFFERED);
        this.begun = begun;
        this.isValue = isValue;
        if (this.offered.length === 0) {
            this.close();
            return;
        }
        fill(this.list, this.offered.map((each, index) => h('li', {role: 'option', id: `offer-${index}`, onmousedown: (event) => {
            event.preventDefault();
            this.take(index);
        }}, h('strong', {}, each.text), each.what && h('span', {class: 'quiet'}, ` ${each.what}`))));
        this.list.hidden = false;
        this.choose(0);
        const lines = this.text.slice(0, position).split('\n');
        const wide = this.width('0'.repeat(100)) / 100;
        this.list.style.setProperty('top', `${lines.length * this.lineHeight - this.area.scrollTop + 10}px`);
        this.list.style.setProperty('left', `${Math.max(0, Math.min((lines.at(-1).length - begun.length) * wide - this.area.scrollLeft, this.area.clientWidth - 280))}px`);
    }

    width(text) {
        this.ruler ??= document.createElement('canvas').getContext('2d');
        this.ruler.font = getComputedStyle(this.area).font;
        return this.ruler.measureText(text).width;
    }

    choose(index) {
        this.chosen = index;
        [...this.list.children].forEach((each, at) => each.setAttribute('aria-selected', String(at === index)));
        this.list.children[index].scrollIntoView({block: 'nearest'});
        this.area.setAttribute('aria-activedescendant', `offer-${index}`);
    }

    take(index) {
        const {text} = this.offered[index];
        this.close();
        this.area.setSelectionRange(this.area.selectionStart - this.begun.length, this.area.selectionStart);
        this.insert(this.isValue ? text : `${text}: `);
        this.close();
    }

    close() {
        this.list.hidden = true;
        this.area.removeAttribute('aria-activedescendant');
    }
}

// One line of YAML: what is said of it by colour is also in the text.
function coloured(line) {
    const comment = /(^|\s)#.*$/.exec(line);
    const code = comment ? line.slice(0, comment.index) : line;
    const parts = [];
    let rest = 0;
    for (const found of code.matchAll(/([\w.*/@-]+|"[^"]*"|'[^']*')(?=\s*:(?:\s|$))|"[^"]*"|'[^']*'|\$\{\w+\}/g)) {
        parts.push(code.slice(rest, found.index), h('span', {class: found[1] ? 'key' : 'text'}, found[0]));
        rest = found.index + found[0].length;
    }
    return [...parts, code.slice(rest), comment && h('span', {class: 'comment'}, line.slice(comment.index))];
}
