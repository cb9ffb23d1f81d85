// members: the keys of a JSON object, and where their values stand, in a text that JSON.parse has accepted.

function isSpace(code) {
    return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function skipSpace(text, at) {
    while (isSpace(text.charCodeAt(at))) {
        at++;
    }
    return at;
}

// Index behind the string literal that opens at `at`.
function endOfString(text, at) {
    for (let end = text.indexOf('"', at + 1); ; end = text.indexOf('"', end + 1)) {
        let backslashes = 0;
        while (text.charCodeAt(end - 1 - backslashes) === 0x5c) {
            backslashes++;
        }
        if (backslashes % 2 === 0) {
            return end + 1;
        }
    }
}

// { key, named, start, end } of every key of the first object that spells `wanted` in any case and with any
// escapes; of every key, if that is undefined. It stands from `key` to `named`, and its value begins at
// `start`; `end` only where that is a string. It hops from quote to quote, so it costs by the number of strings
// and not by their length.
function find(text, wanted) {
    const found = [];
    let depth = 0;
    let at = 0;

    while (at < text.length) {
        const quote = text.indexOf('"', at);
        const stop = quote === -1 ? text.length : quote;
        for (; at < stop; at++) {
            const code = text.charCodeAt(at);
            if (code === 0x7b || code === 0x5b) {
                depth++;
            } else if ((code === 0x7d || code === 0x5d) && --depth === 0) {
                return found;
            }
        }
        if (quote === -1) {
            break;
        }
        const end = endOfString(text, quote);
        const colon = skipSpace(text, end);
        if (depth === 1 && text.charCodeAt(colon) === 0x3a) {
            if (wanted === undefined || spells(text, quote, end, wanted)) {
                const start = skipSpace(text, colon + 1);
                found.push({ key: quote, named: end, start, end: text.charCodeAt(start) === 0x22 ? endOfString(text, start) : start });
            }
            at = colon + 1;
        } else {
            at = end;
        }
    }
    return found;
}

// Whether this string is the word, in any case and with any escapes.
function spells(text, quote, end, wanted) {
    // A key is at most 6 characters a letter long when every letter is escaped.
    return end - quote - 2 <= wanted.length * 6 && JSON.parse(text.slice(quote, end)).toLowerCase() === wanted;
}

// Index behind the value that starts at `at`; of a number or a word, where its object goes on.
function endOfValue(text, at) {
    for (let depth = 0; ; at++) {
        const code = text.charCodeAt(at);
        if (code === 0x22) {
            at = endOfString(text, at) - 1;
        } else if (code === 0x7b || code === 0x5b) {
            depth++;
        } else if (code === 0x7d || code === 0x5d) {
            depth--;
        }
        if (depth === 0 && (code === 0x22 || code === 0x7d || code === 0x5d)) {
            return at + 1;
        }
        if (depth < 0 || (depth === 0 && code === 0x2c)) {
            return at;
        }
    }
}

// Whether a number stands there that njs takes and JSON does not have. The quote before it is that of a key.
const NO_NUMBER = /(?:"\s*:|,|\[)\s*(?:-?0\d|[-+]?\.|\+|-I|-?\d+\.(?!\d))/;

function hasNoNumber(text) {
    for (let end = 0; end !== -1; ) {
        const quote = text.indexOf('"', end);
        if (NO_NUMBER.test('"' + text.slice(end, quote === -1 ? text.length : quote))) {
            return true;
        }
        end = quote === -1 ? -1 : endOfString(text, quote);
    }
    return false;
}

// Whether a key that is there is there twice. Two looks at the text are all that most need: plain.js
// leaves no escape in which a letter could hide.
function isRepeated(text, name) {
    const quoted = '"' + name + '"';
    const first = text.indexOf(quoted);
    return (text.indexOf(quoted, first + 1) !== -1 || text.indexOf('\\u00') !== -1) && find(text, name).length > 1;
}

export { find, endOfValue, isRepeated, hasNoNumber };
