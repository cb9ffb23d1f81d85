// recent: what came last of an answer. The pieces themselves, and no copies of them: njs copies each piece for
// its filter, and frees none before the request is over.

// A piece that is shorter is joined to the one before, if that is short as well: two of them are as long.
const SHORT = 32;

// kept: bytes that are there at least, where so many came; up to twice as many.
function open(kept) {
    const size = 2 * kept / SHORT;   // of a row, in pieces: a full one has `kept` bytes at least
    let newer = new Array(size);
    let older;
    let hasAll = true;   // none went for newer ones
    let known = 0;       // so many pieces the newer row has at least

    // How many pieces the newer row has: answer.js puts some there by itself.
    function count() {
        let low = known;
        if (low === size || newer[low] === undefined) {
            return low;
        }
        for (let high = size; low !== high;) {
            const middle = (low + high) >> 1;
            if (newer[middle] === undefined) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }

    // Returns the place of the next one in the row; `size` if it is full.
    function add(data) {
        let at = count();
        if (at === size) {
            const oldest = older;
            hasAll = oldest === undefined;
            older = newer;
            newer = hasAll ? new Array(size) : oldest.fill(undefined);
            at = 0;
        }
        if (at !== 0 && data.length < SHORT && newer[at - 1].length < SHORT) {
            newer[at - 1] = Buffer.concat([newer[at - 1], data]);
            known = at;
            return at;
        }
        newer[at] = data;
        known = at + 1;
        return known;
    }

    // The last ones as a text; isWhole: which is all of the answer.
    function end() {
        const pieces = (older || []).concat(newer.slice(0, count()));
        let at = pieces.length;
        let bytes = 0;
        while (at !== 0 && bytes < kept) {
            at--;
            bytes += pieces[at].length;
        }
        const text = bytes === 0 ? ''
            : Buffer.concat(pieces.slice(at)).slice(Math.max(0, bytes - 2 * kept)).toString();
        return { text, isWhole: hasAll && at === 0 && bytes <= 2 * kept };
    }

    return { size, row: () => newer, count, add, end };
}

export { SHORT, open };
