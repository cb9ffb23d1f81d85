// Where programs reach the gateway, seen from the visitor's own machine.

import * as live from '../live.js';

// The gateway's address: by the name that this page was reached by, where the gateway says only
// "this machine".
export function gatewayUrl(told = live.now.status?.url ?? '') {
    try {
        const url = new URL(told);
        if (['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname)) {
            url.hostname = location.hostname;
        }
        return url.toString().replace(/\/$/, '');
    } catch {
        return told;
    }
}

// Which one is offered: the one that the address names, else one to talk to.
export function offered(models, named) {
    return (models.find((each) => each.name === named) ?? models.find((each) => !each.embeds) ?? models[0])?.name;
}

export function curlOf(key, model) {
    const body = JSON.stringify({model: model ?? 'MODEL', messages: [{role: 'user', content: 'Hello'}]});
    return `curl ${gatewayUrl()}/v1/chat/completions \\\n  -H "Authorization: Bearer ${key}" \\\n  -H "Content-Type: application/json" \\\n  -d '${body.replaceAll("'", "'\\''")}'`;
}
