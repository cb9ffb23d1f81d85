// What is said of a request, in more than one room: from its line of the access log.

import {brief, seconds} from '../words.js';

export const isBad = (entry) => entry.status >= 400 || entry.status === 0;

export function outcome(entry) {
    if (entry.status === 499 || (!entry.completed && !entry.error)) {
        return `${entry.status || 'none'}, the client left`;
    }
    return entry.error ? `${entry.status} ${entry.error}` : String(entry.status);
}

export const modelOf = (entry) => entry['gen_ai.request.model'] || entry.model_asked || entry.service || '';

// Seconds until the answer began; null where none did. As admin/activity.py has it.
export function firstByte(entry) {
    const last = entry.attempts.at(-1);
    const chunk = entry['gen_ai.response.time_to_first_chunk'];
    if (last && typeof chunk === 'number') {
        return chunk;
    }
    if (!last || last.header_time === null || last.response_time === null) {
        return null;
    }
    return Math.max(0, entry.request_time - last.response_time + last.header_time);
}

// A failure as a sentence.
export function sentence(entry) {
    const model = modelOf(entry);
    const tried = entry.attempts.map((each) => `${each.backend} ${each.status ?? 'gave nothing'}`).join(', then ');
    return `${brief(model || entry.uri)}: ${outcome(entry)}${entry.key ? `, for ${entry.key}` : ''}${tried ? ` (${tried})` : ''}, after ${seconds(entry.request_time)}`;
}
