// query: what of a query string a backend gets. Some take a model (LiteLLM, LocalAI), a key (Gemini) or a
// field of the form (Go's FormValue, PHP, Flask's `values`) from there, before the body's. So only what is
// known to decide nothing goes on: Anthropic's beta=true, Azure's api-version.
const HARMLESS = /^(beta|api-version)=[A-Za-z0-9._-]{1,64}$/;

// The variable $ig_query_kept.
function kept(r) {
    const parts = r.variables.args.split('&');
    const found = [];
    for (let i = 0; i < parts.length; i++) {
        const match = HARMLESS.exec(parts[i]);
        if (match !== null && !found.some((each) => each.startsWith(match[1] + '='))) {
            found.push(parts[i]);
        }
    }
    return found.join('&');
}

export { kept };
