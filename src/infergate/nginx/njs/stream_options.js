// stream_options: asks an engine for the usage of a stream where its client does not, in whatever shape that
// says so.
import * as members from './members.js';

const NAME = 'stream_options';
// Begins $ig_note where the client did not ask for the usage, and does not see it (unasked.js).
const STRIP = 'strip';
// Before the other keys of a request that says nothing of them.
const OURS = '"stream_options":{"include_usage":true},';
// What pydantic, which vLLM reads its requests with, takes for true.
const YES = /^(?:true|1|yes|on|t|y)$/i;

// Puts it into the request: what is to stand before its other keys, with request.splices. Whether only
// we asked is in $ig_note.
function ask(r, request) {
    const said = request.parsed.stream_options;
    const isObject = said !== null && typeof said === 'object' && !Array.isArray(said);
    if (said === undefined) {
        r.variables.ig_note = STRIP;
        return OURS;
    }
    if ((said !== null && !isObject) || (isObject && said.include_usage === true)) {
        return '';   // what is no object the engine refuses
    }
    const isAsked = isObject && YES.test(String(said.include_usage));
    const options = {};
    for (const name in said) {
        if (isAsked || name !== 'continuous_usage_stats') {   // nothing for who wants no usage
            options[name] = said[name];
        }
    }
    options.include_usage = true;
    if (!isAsked) {
        r.variables.ig_note = STRIP;
    }
    const text = JSON.stringify(options, request.whole);
    members.find(request.text, NAME).forEach((each) => {   // whichever of them it reads
        request.splices.push([each.start, members.endOfValue(request.text, each.start), text]);
    });
    return '';
}

export { OURS, STRIP, ask };
