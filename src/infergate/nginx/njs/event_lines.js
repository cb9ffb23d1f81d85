// event_lines: the lines of an event stream (SSE), or of one of JSON lines.

// Bytes of an event that is waited for: what is longer passes in pieces.
const LONGEST = 1048576;

function linesOf(text) {
    return (text.indexOf('\r') === -1 ? text : text.split('\r\n').join('\n').split('\r').join('\n')).split('\n');
}

// Of those with data that follow on each other up to `last`.
function firstLine(lines, last) {
    while (last > 0 && lines[last - 1].startsWith('data:')) {
        last--;
    }
    return last;
}

// Whether an event that cannot be read is there to its end: too long, or too deep for njs, and not torn.
// isCut: its beginning is not known here. The last of `lines` is what comes behind the last line's end.
function cameWhole(lines, at, isSse, isCut) {
    return lines.length - at > (isSse ? 2 : 1) && (isCut ? lines[at].endsWith('}') : isBalanced(lines[at]));
}

// Whether all that it opens is closed at its end.
function isBalanced(line) {
    const parts = line.split('\\\\').join('').split('\\"').join('').split('"');
    const bare = parts.filter((part, i) => i % 2 === 0).join('').trim();
    return parts.length % 2 === 1 && bare.endsWith('}') && bare.split('{').length === bare.split('}').length;
}

export { LONGEST, linesOf, firstLine, cameWhole };
