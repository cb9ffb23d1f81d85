// blocks: what of a prompt a backend's prefix cache should have. An index of its beginnings.
//
// A body is cut into blocks of 8 kB from its messages on: what stands before them (parameters, a user) says
// nothing of the prompt. A block's key is a chained hash of the model and of samples of all blocks so far: md5 of
// all bytes would take 2.4 ns for each (docs/decisions/034). It is kept which backend's odometer (work.js) stood
// where when it got the block last; as long as no more than its capacity was sent there since, it should have it.
// Kept are depths 1, 2, 4, 8, … and the last: whoever shares an opening meets one of them.
//
// ig_blocks   key → { backend: its odometer }
import crypto from 'crypto';
import * as memory from './memory.js';

const BLOCK = 8192;
// Of each block so many bytes at so many places count.
const SAMPLE = 128, PLACES = 4;
const KEY = 16;
// Blocks of a body beyond these are not looked at: 4 MB.
const MOST = 512;
// Where the prompt may begin, and how far it is searched for Claude Code's line, which is another one each time
// (anthropic.js) and does not go to the engine.
const ATTRIBUTION = 'x-anthropic-billing-header:', NEAR = 512;

function wordOf(uri) {
    return uri.indexOf('chat') !== -1 || uri.indexOf('messages') !== -1 ? '"messages"'
        : uri.indexOf('completions') !== -1 || uri === '/api/generate' ? '"prompt"' : '"input"';
}

// Where the prompt begins in the body.
function startIn(buffer, uri) {
    const start = Math.max(0, buffer.indexOf(wordOf(uri)));
    const line = buffer.slice(start, start + NEAR).indexOf(ATTRIBUTION);
    if (line === -1) {
        return start;
    }
    const end = buffer.indexOf('\\n', start + line);
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

// tokens: of the prompt, about.
function open(r, model, request, bytesPerToken) {
    const bytes = request.bytes || 0;
    const buffer = bytes >= BLOCK && request.text !== undefined ? request.buffer || r.requestBuffer : undefined;
    const start = buffer === undefined ? 0 : startIn(buffer, r.uri);
    const tokens = Math.ceil((bytes - start - (bytes > 65536 && buffer !== undefined ? mediaIn(request) : 0)) / bytesPerToken);
    const keys = buffer === undefined ? [] : keysOf();
    const entries = [];   // by depth: what is kept of the block; undefined if nothing is, or it was not looked for

    function keysOf() {
        const found = [];
        let last = model;
        for (let at = start; at + BLOCK <= buffer.length && found.length < MOST; at += BLOCK) {
            const hash = crypto.createHash('md5');
            hash.update(last);
            for (let place = at; place < at + BLOCK; place += BLOCK / PLACES) {
                hash.update(buffer.slice(place, place + SAMPLE));
            }
            last = hash.digest('base64').slice(0, KEY);
            found.push(last);
        }
        return found;
    }

    function entryAt(depth) {
        if (entries[depth] === undefined) {
            const text = ngx.shared.ig_blocks.get(keys[depth]);
            entries[depth] = text === undefined ? null : JSON.parse(text);
        }
        return entries[depth];
    }

    // Tokens of the prompt that the backend should have: its deepest block that is young enough.
    function matched(name, odometer, capacity) {
        let stands;
        for (let depth = keys.length - 1; depth >= 0; depth--) {
            const entry = entryAt(depth);
            if (entry !== null && entry[name] !== undefined) {
                stands = stands === undefined ? odometer(name) : stands;
                const age = stands - entry[name];
                if (age >= 0 && age <= capacity) {
                    return (depth + 1) * BLOCK / bytesPerToken;
                }
            }
        }
        return 0;
    }

    // The backend gets this prompt.
    function keep(name, stands) {
        for (let depth = 1; depth < keys.length; depth *= 2) {
            keepAt(depth - 1, name, stands);
        }
        if (keys.length !== 0) {
            keepAt(keys.length - 1, name, stands);
        }
    }

    function keepAt(depth, name, stands) {
        const entry = entryAt(depth) || {};
        entry[name] = stands;
        memory.perhaps(() => ngx.shared.ig_blocks.set(keys[depth], JSON.stringify(entry)));
    }

    return { tokens, matched, keep };
}

export { open };
