// attempts: what was sent to backends, one after the other.

// The last of what nginx tells of each, as "502, 200" or "0.1 : 0.2"; '' for none.
function last(list) {
    return (list || '').split(/[ ,:]+/).pop();
}

// How many backends a request was sent to. tried: their names, each followed by ',' ($ig_tried).
function countOf(tried) {
    return tried.split(',').length - 1;
}

export { last, countOf };
