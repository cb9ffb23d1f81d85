// choices: which of several choices of a stream have said why they stop. Without its last word, a stream is whole
// when all of them have, however long ago. Of one choice alone its end tells that (usages.js).
import * as events from './event_lines.js';
import * as usages from './usages.js';

const SAID = ['"finish_reason":"', '"finish_reason": "'];

// wanted: so many were asked for; found: by index, those that have.
function open(wanted) {
    const found = {};
    let torn;   // the line that is not there to its end yet

    function add(data) {
        const all = torn === undefined ? data : Buffer.concat([torn, data]);
        const end = Math.max(all.lastIndexOf('\n'), all.lastIndexOf('\r')) + 1;
        torn = end < all.length && all.length - end < events.LONGEST ? Buffer.from(all.slice(end)) : undefined;
        if (SAID.some((words) => all.indexOf(words) !== -1)) {
            events.linesOf(all.toString()).forEach(look);
        }
    }

    function look(line) {
        const event = line.startsWith('data:') ? usages.objectOf(line.slice(5)) : undefined;
        (event !== undefined && Array.isArray(event.choices) ? event.choices : []).forEach((choice) => {
            if (choice && choice.finish_reason) {
                found[choice.index || 0] = true;
            }
        });
    }

    return { wanted, found, add };
}

export { open };
