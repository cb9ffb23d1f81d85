// recent: what came last of an answer. Buffer.copy into memory that is there already, because njs frees
// nothing that a request makes before it is over.

// kept: bytes that are there at least, where so many came; up to twice as many.
function open(kept) {
    const bytes = Buffer.alloc(2 * kept);
    let filled = 0;
    let isWhole = true;

    // Whether older bytes went for it.
    function add(data) {
        let length = data.length;
        let isFull = false;
        if (length > kept) {
            length = kept;
            filled = 0;
            isWhole = false;
            isFull = true;
        } else if (filled + length > 2 * kept) {
            bytes.copy(bytes, 0, filled - kept, filled);
            filled = kept;
            isWhole = false;
            isFull = true;
        }
        data.copy(bytes, filled, data.length - length);
        filled += length;
        return isFull;
    }

    return { add, text: () => bytes.slice(0, filled).toString(), isWhole: () => isWhole };
}

export { open };
