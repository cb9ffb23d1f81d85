// blocks: what of a prompt a backend's prefix cache should have. An index of its beginnings.
//
// A body is cut into blocks of 8 kB from its messages on: what stands before them (parameters, a user) says
// nothing of the prompt. A block's key is the model and a chained hash of samples of all blocks so far: md5 of
// all bytes would take 2.4 ns for each (docs/decisions/034). It is kept which backend's odometer (work.js) stood
// where when it got the block last; as long as no more than its capacity was sent there since, it should have it.
// Kept are depths 1, 2, 4, 8, … and the last (went.js): whoever shares an opening meets one of them, and where depth
// 1 is not known, none is.
//
// ig_blocks   key → '\n<backend>=<DEPTHS times the odometer, and the depth>\n<backend>=…\n'
import * as contract from './contract.js';
import * as opening from './opening.js' with { load: 'lazy' };
import * as state from './state.js';

// Blocks of a body beyond these are not looked at: 4 MB.
const MOST = 512, DEPTHS = 1024;
// Of each block six bytes in the middle and six at its end count. Each such look takes 700 instructions, md5 of as few
// 15,000. What differs before them mostly moves them.
const APART = 4096, SAMPLE = 6;
// A prime below 2^48, so that 31 of them and a sample are exact.
const PRIME = 281474976710597;
// Pictures and sounds are looked for in bodies above this.
const LARGE = 65536;

// { tokens: of the prompt, about; known: what is kept of its blocks, the deepest first; hashes: theirs, by depth }
function open(r, model, request) {
    const buffer = request.buffer || r.requestBuffer;
    const start = startIn(request);
    const size = buffer.length;
    const zone = state.shared.ig_blocks;
    const hashes = [0];
    let known = '';
    let hash = 1, depth = 0;
    for (let end = start + contract.PROMPT_BLOCK; end <= size && depth < MOST; end += contract.PROMPT_BLOCK) {
        hash = (hash * 31 + buffer.readUIntLE(end - APART - SAMPLE, SAMPLE)) % PRIME;
        hash = (hash * 31 + buffer.readUIntLE(end - SAMPLE, SAMPLE)) % PRIME;
        hashes[++depth] = hash;
    }
    if (depth !== 0) {
        let common = 1;
        let entry = zone.get(hashes[1] + ' ' + model);
        while (entry !== undefined) {
            known = entry + known;
            common *= 2;
            entry = common > depth ? undefined : zone.get(hashes[common] + ' ' + model);
        }
        let deep = '';   // between the last of these and the last of all, each may be the last of an earlier turn
        for (common /= 2; depth > common && common >= 1; depth--) {
            deep += zone.get(hashes[depth] + ' ' + model) || '';
        }
        known = deep + known;
    }
    const bytes = size > LARGE ? size - start - opening.mediaIn(request) : size - start;
    return { tokens: Math.ceil(bytes / contract.BYTES_PER_TOKEN), known, hashes };
}

// Where the prompt begins, about: as if all before were ASCII. It is looked for in what scan.js left, because in a
// buffer a search takes 35 instructions a byte.
function startIn(request) {
    const text = request.text;
    let at = text.indexOf('"messages"');
    if (at === -1) {
        at = Math.max(0, text.indexOf('"prompt"'), text.indexOf('"input"'));
    }
    const cuts = request.cuts;
    if (cuts !== undefined && cuts[0] !== undefined && cuts[0][2] < at) {
        at = opening.offset(cuts, at);
    }
    const first = request.parsed.messages && request.parsed.messages[0];
    return !first || first.role === 'user' ? at : opening.startIn(request, first, at);
}

export { DEPTHS, open };
