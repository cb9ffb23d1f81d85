// model_in_query: the model that an address names, ?model=NAME; undefined if none, or not readable.
function of(address) {
    const found = /[?&]model=([^&#]*)/.exec(address);
    try {
        return found === null ? undefined : decodeURIComponent(found[1].split('+').join(' '));
    } catch (e) {
        return undefined;
    }
}

export { of };
