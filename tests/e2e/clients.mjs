// What programs in JavaScript do with npm's `openai` and Vercel's AI SDK: node clients.mjs URL KEY
import OpenAI from 'openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';

const [baseURL, apiKey] = process.argv.slice(2);
const messages = [{ role: 'user', content: 'hello' }];
const told = {};

const openai = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
told.models = (await openai.models.list()).data.map((each) => each.id);
const answer = await openai.chat.completions.create({ model: 'm', messages });
told.answer = answer.choices[0].message.content;
told.stream = 0;
const stream = await openai.chat.completions.create({ model: 'm', messages, stream: true,
    stream_options: { include_usage: true } });
for await (const chunk of stream) {
    told.stream += chunk.choices.length;
    told.usage = chunk.usage ?? told.usage;
}
try {
    await new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 }).models.list();
} catch (error) {
    told.refused = [error.constructor.name, error.status, error.code];
}

const provider = createOpenAICompatible({ name: 'infergate', baseURL, apiKey, includeUsage: true });
told.ai_answer = (await generateText({ model: provider('m'), messages, maxRetries: 0 })).text;
const streamed = streamText({ model: provider('m'), messages, maxRetries: 0 });
told.ai_stream = '';
for await (const piece of streamed.textStream) {
    told.ai_stream += piece;
}
told.ai_usage = (await streamed.usage).outputTokens;
console.log(JSON.stringify(told));
