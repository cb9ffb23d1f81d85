// opening: what of a body is no prompt (blocks.js).
import * as anthropic from './anthropic.js' with { load: 'rare' };

const NEAR = 512;
const AN_X = 0x78;
// Stands for a string that was left out (scan.js).
const MARK = '@';

// Where in the body a place of scan.js's text is, as if all before were ASCII.
function offset(cuts, at) {
    let bytes = at;
    for (let i = 0; i < cuts.length && cuts[i][2] < at; i++) {
        bytes += cuts[i][1] - cuts[i][0] - 1 - String(i).length;
    }
    return bytes;
}

// Behind Claude Code's line, which is another one each time and does not go to the engine (anthropic.js).
function startIn(request, first, start) {
    const text = typeof first.content === 'string' ? first.content : first.content && first.content[0] && first.content[0].text;
    if (typeof text !== 'string') {
        return start;
    }
    const cut = text[0] === MARK && request.cuts !== undefined ? request.cuts[Number(text.slice(1))] : undefined;
    if (cut === undefined) {
        return text[0] === 'x' && text.startsWith(anthropic.ATTRIBUTION) ? behindIn(request, start) : start;
    }
    if (request.buffer[cut[0]] !== AN_X) {
        return start;
    }
    const line = request.buffer.slice(cut[0], cut[0] + NEAR).toString();
    const end = line.startsWith(anthropic.ATTRIBUTION) ? line.indexOf('\\n') : -1;
    return end === -1 ? start : cut[0] + Buffer.byteLength(line.slice(0, end));
}

// The same of a line that was not left out, such as one that is a block of its own: it ends with its text at the latest.
function behindIn(request, start) {
    const text = request.text;
    const from = text.indexOf(anthropic.ATTRIBUTION, text.indexOf('"messages"'));
    if (from === -1) {
        return start;
    }
    const end = text.indexOf('"', from);
    const line = text.slice(from, end).indexOf('\\n');
    return offset(request.cuts || [], line === -1 ? end : from + line);
}

// Bytes of pictures and sounds in base64, which are no text: of those that scan.js left out.
function mediaIn(request) {
    const cuts = request.cuts || [];
    let bytes = 0;
    for (let i = 0; i < cuts.length; i++) {
        if (request.buffer.slice(cuts[i][0], cuts[i][0] + 5).toString() === 'data:') {
            bytes += cuts[i][1] - cuts[i][0];
        }
    }
    return bytes;
}

export { offset, startIn, mediaIn };
