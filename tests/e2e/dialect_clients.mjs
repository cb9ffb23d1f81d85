// What programs in JavaScript do in other dialects than their model's server speaks, with the official clients and
// Vercel's AI SDK: node dialect_clients.mjs URL KEY MODEL. Prints what came of each step.
import Anthropic from '@anthropic-ai/sdk';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { z } from 'zod';

const [url, apiKey, model] = process.argv.slice(2);
const messages = [{ role: 'user', content: 'hello' }];
const call = 'call weather {"town": "Rome"}';
const schema = { type: 'object', properties: { town: { type: 'string' } }, required: ['town'] };
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const told = {};

async function step(name, work) {
    try {
        told[name] = await work();
    } catch (error) {
        told[name] = [error.constructor.name, error.status ?? error.statusCode];
    }
}

async function cut(stream, abort) {
    for await (const _ of stream) {
        abort.abort();
    }
}

const claude = new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });
const ask = (more) => ({ model, max_tokens: 9, messages, ...more });
await step('message', async () => (await claude.messages.create(ask())).content[0].type);
await step('message stream', async () => {
    const stream = claude.messages.stream(ask());
    let text = '';
    stream.on('text', (piece) => { text += piece; });
    const last = await stream.finalMessage();
    return [text === last.content[0].text, text !== '', last.usage.output_tokens > 0];
});
const tools = [{ name: 'weather', input_schema: schema }];
const asked = ask({ max_tokens: 60, tools, tool_choice: { type: 'any' }, messages: [{ role: 'user', content: call }] });
const town = (content) => {
    const used = content.find((each) => each.type === 'tool_use');
    return [used.name, typeof used.input.town];
};
await step('tool', async () => town((await claude.messages.create(asked)).content));
await step('tool stream', async () => town((await claude.messages.stream(asked).finalMessage()).content));
await step('tool result', async () => {
    const used = { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { town: 'Rome' } };
    const result = { type: 'tool_result', tool_use_id: 'toolu_1', content: 'sunny' };
    const all = [{ role: 'user', content: call }, { role: 'assistant', content: [used] }, { role: 'user', content: [result] }];
    return (await claude.messages.create(ask({ tools, messages: all }))).content[0].type;
});
await step('count', async () => (await claude.messages.countTokens({ model, messages })).input_tokens > 0);
await step('unknown', () => claude.messages.create(ask({ model: 'none' })));
await step('wrong', () => claude.messages.create(ask({ messages: 'x' })));
await step('cancel', async () => {
    const abort = new AbortController();
    await cut(await claude.messages.create(ask({ stream: true, max_tokens: 900 }), { signal: abort.signal }), abort);
    return 'ended';
});

const gpt = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const response = { model, input: 'hello', max_output_tokens: 9, store: false };
await step('response', async () => (await gpt.responses.create(response)).output_text !== '');
await step('response stream', async () => {
    const stream = gpt.responses.stream(response);
    let text = '';
    stream.on('response.output_text.delta', (event) => { text += event.delta; });
    const last = await stream.finalResponse();
    return [text !== '', last.output_text === text];
});
await step('response tool', async () => {
    const functions = [{ type: 'function', name: 'weather', parameters: schema, strict: false }];
    const more = { tools: functions, tool_choice: 'required', max_output_tokens: 60, input: call };
    const found = (await gpt.responses.create({ ...response, ...more })).output.find((each) => each.type === 'function_call');
    return [found.name, typeof JSON.parse(found.arguments).town];
});
await step('response unknown', () => gpt.responses.create({ ...response, model: 'none' }));

const weather = tool({ inputSchema: z.object({ town: z.string() }) });
for (const [name, provider] of [
    ['ai anthropic', createAnthropic({ baseURL: `${url}/v1`, apiKey })(model)],
    ['ai openai', createOpenAI({ baseURL: `${url}/v1`, apiKey })(model)],
]) {
    const base = { model: provider, maxRetries: 0, maxOutputTokens: 9 };
    await step(name, async () => (await generateText({ ...base, prompt: 'hello' })).text !== '');
    await step(`${name} stream`, async () => {
        const stream = streamText({ ...base, prompt: 'hello', onError() {} });
        let text = '';
        for await (const piece of stream.textStream) {
            text += piece;
        }
        return [text !== '', (await stream.usage).outputTokens > 0];
    });
    await step(`${name} tool`, async () => {
        const more = { tools: { weather }, toolChoice: 'required', maxOutputTokens: 60, prompt: call };
        const found = (await generateText({ ...base, ...more })).toolCalls[0];
        return [found.toolName, typeof found.input.town];
    });
    await step(`${name} image`, async () => {
        const content = [{ type: 'text', text: 'What is it?' }, { type: 'image', image: png }];
        return (await generateText({ ...base, messages: [{ role: 'user', content }] })).text !== '';
    });
}
console.log(JSON.stringify(told));
