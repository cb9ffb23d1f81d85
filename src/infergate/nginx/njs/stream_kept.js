// stream_kept: what is kept of a stream that passes (stream.js): its last pieces, how many events there were, and
// whether all that is held of it is too much.
import * as held from './held.js' with { load: 'rare' };
import * as recent from './recent.js' with { load: 'lazy' };

// An event is a few hundred bytes; two in a piece that is longer are counted.
const LONG = 400;
// Bytes between two looks at how much is held.
const UNSEEN = 131072;
// Of what came last: so much at least, and up to twice as much. A usage takes up to 500 bytes; the last
// event of /v1/responses holds the whole answer, with metadata of up to 8 kB behind its usage.
const KEPT = 2048, KEPT_OF_RESPONSES = 16384;

function open(r, isSse, hold) {
    const last = recent.open(r.uri === '/v1/responses' ? KEPT_OF_RESPONSES : KEPT);
    let first = r.uri === '/v1/messages' ? '' : undefined;   // Anthropic's streams tell a part there
    let events = 0;        // in the pieces that were looked at
    let next = 0;          // the place in last's row of the one after it
    let unseen = 0;        // bytes since `holding` was asked, about
    let holding;           // held.js's state

    // How many pieces answer.js has put into the row since.
    function unlooked() {
        return last.count() - next;
    }

    // Any piece, as it came.
    function look(data) {
        events += data.length <= LONG ? 1 : countEvents(data, isSse);
        if (first !== undefined && first.length < KEPT) {
            first += data.slice(0, KEPT).toString();
        }
    }

    // A piece that passes, or an event of one.
    function add(data) {
        const passed = unlooked();
        unseen += passed * LONG + data.length;
        events += passed;
        next = last.add(data);
    }

    // Now and then: whether what is held is too much.
    function isTooMuch() {
        if (unseen < UNSEEN) {
            return false;
        }
        unseen = 0;
        holding = holding || held.open(r, hold);
        return holding.isTooMuch(0);
    }

    return {
        look, add, isTooMuch, row: last.row, size: last.size, end: last.end, first: () => first || '',
        next: () => (first === undefined || first.length >= KEPT ? next : 0),
        events: () => events + unlooked(), holding: () => holding,
    };
}

function countEvents(data, isSse) {
    const mark = isSse ? 'data:' : '\n';
    let count = 0;
    for (let at = data.indexOf(mark); at !== -1; at = data.indexOf(mark, at + mark.length)) {
        count++;
    }
    return count || 1;
}

export { LONG, open };
