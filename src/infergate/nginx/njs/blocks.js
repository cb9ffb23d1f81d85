// blocks: what of a prompt a backend's prefix cache should have. An index of its beginnings.
//
// A body is cut into blocks of 8 kB from its messages on: what stands before them (parameters, a user) says
// nothing of the prompt. A block's key is the model and a chained hash of samples of all blocks so far: md5 of
// all bytes would take 2.4 ns for each (docs/decisions/034). It is kept which backend's odometer (work.js) stood
// where when it got the block last; as long as no more than its capacity was sent there since, it should have it.
// Kept are depths 1, 2, 4, 8, … and the last: whoever shares an opening meets one of them.
//
// ig_blocks   key → '\n<backend>=<odometer>\n<backend>=…\n'
import * as memory from './memory.js';
import * as owed from './owed.js' with { load: 'lazy' };

const BLOCK = 8192;
// Of each block so many bytes apart four count. Each such look takes 700 instructions, md5 of as few 15,000.
const APART = 1024;
// Blocks of a body beyond these are not looked at: 4 MB.
const MOST = 512;
// An entry is not written anew for less of the capacity than this.
const FRESH = 1 / 16;
// Claude Code's line, which is another one each time and does not go to the engine (anthropic.js).
const ATTRIBUTION = 'x-anthropic-billing-header:', NEAR = 512;

function wordOf(uri) {
    return uri.indexOf('chat') !== -1 || uri.indexOf('messages') !== -1 ? '"messages"'
        : uri.indexOf('completions') !== -1 || uri === '/api/generate' ? '"prompt"' : '"input"';
}

// Where the prompt begins in the body.
function startIn(buffer, request, uri) {
    const start = Math.max(0, buffer.indexOf(wordOf(uri)));
    const messages = request.parsed.messages;
    if (!Array.isArray(messages) || !messages[0] || messages[0].role === 'user') {
        return start;
    }
    const line = buffer.slice(start, start + NEAR).indexOf(ATTRIBUTION);
    const end = line === -1 ? -1 : buffer.indexOf('\\n', start + line);
    return end === -1 ? start : end;
}

// Bytes of pictures and sounds in base64, which are no text: of those that scan.js left out.
function mediaIn(request) {
    let bytes = 0;
    (request.cuts || []).forEach((cut) => {
        if (request.buffer.slice(cut[0], cut[0] + 5).toString() === 'data:') {
            bytes += cut[1] - cut[0];
        }
    });
    return bytes;
}

// Of each block from the first on.
function keysOf(buffer, start, model) {
    const found = [];
    const end = Math.min(buffer.length, start + MOST * BLOCK) - BLOCK;
    let one = 1;
    let other = 1;
    for (let at = start; at <= end; at += BLOCK) {
        for (let place = at; place < at + BLOCK; place += APART) {
            const word = buffer.readUInt32LE(place);
            one = (one * 31 + word) >>> 0;
            other = ((other << 7) ^ (other >>> 9) ^ word ^ one) >>> 0;
        }
        found.push(one + ',' + other + ' ' + model);
    }
    return found;
}

// tokens: of the prompt, about.
function open(r, model, request, bytesPerToken) {
    const bytes = request.bytes || 0;
    const buffer = bytes >= BLOCK && request.text !== undefined ? request.buffer || r.requestBuffer : undefined;
    const start = buffer === undefined ? 0 : startIn(buffer, request, r.uri);
    const tokens = bytes < owed.SMALL || request.text === undefined ? 0
        : Math.ceil((bytes - start - (bytes > 65536 && buffer !== undefined ? mediaIn(request) : 0)) / bytesPerToken);
    const zone = ngx.shared.ig_blocks;
    const keys = buffer === undefined ? [] : keysOf(buffer, start, model);
    const entries = [];   // by depth: what is kept of the block; undefined if it was not looked for

    function entryAt(depth) {
        if (entries[depth] === undefined) {
            entries[depth] = zone.get(keys[depth]) || '';
        }
        return entries[depth];
    }

    // Where the backend's odometer stood when it got the block; NaN if it did not.
    function stoodAt(depth, name) {
        const entry = entryAt(depth);
        const at = entry === '' ? -1 : entry.indexOf('\n' + name + '=');
        return at === -1 ? NaN : parseInt(entry.slice(at + name.length + 2), 10);
    }

    // Tokens of the prompt that the backend should have: its deepest block that is young enough.
    function matched(name, odometer, capacity) {
        let stands;
        for (let depth = keys.length - 1; depth >= 0; depth--) {
            const stood = entryAt(depth) === '' ? NaN : stoodAt(depth, name);
            if (stood >= 0) {
                stands = stands === undefined ? odometer() : stands;
                if (stands >= stood && stands - stood <= capacity) {
                    return (depth + 1) * BLOCK / bytesPerToken;
                }
            }
        }
        return 0;
    }

    // The backend gets this prompt.
    function keep(name, stands, capacity) {
        for (let depth = 1; depth < keys.length; depth *= 2) {
            keepAt(depth - 1, name, stands, capacity);
        }
        if (keys.length !== 0) {
            keepAt(keys.length - 1, name, stands, capacity);
        }
    }

    function keepAt(depth, name, stands, capacity) {
        const stood = stoodAt(depth, name);
        if (stands - stood >= 0 && stands - stood < capacity * FRESH) {
            return;
        }
        const others = entryAt(depth).split('\n').filter((each) => each !== '' && !each.startsWith(name + '='));
        const entry = '\n' + others.concat(name + '=' + stands).join('\n') + '\n';
        memory.perhaps(() => zone.set(keys[depth], entry));
    }

    return { tokens, matched, keep };
}

export { open };
