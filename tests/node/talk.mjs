// What a program in Node does with the official client: a stream, a hundred questions at once, errors,
// leaving. Prints what came as one line of JSON.
import process from "node:process";
import OpenAI, { APIError, BadRequestError, NotFoundError } from "openai";

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const hello = [{ role: "user", content: "Say hello to Bob." }];

async function readStream() {
  const asked = { model, messages: hello, max_tokens: 12, seed: 7 };
  const whole = await client.chat.completions.create(asked);
  const stream = await client.chat.completions.create({ ...asked, stream: true });
  let text = "";
  let pieces = 0;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    pieces += 1;
  }
  return { same: text === whole.choices[0].message.content, text, pieces };
}

async function useHelper() {
  const runner = client.chat.completions.stream({ model, messages: hello, max_tokens: 12, seed: 7 });
  let deltas = "";
  runner.on("content", (delta) => {
    deltas += delta;
  });
  const text = await runner.finalContent();
  return { same: text === deltas, text };
}

async function askHundred() {
  const questions = Array.from({ length: 100 }, (_, number) => `Question ${number}: what is ${number} + 1?`);
  const ask = (content) =>
    client.chat.completions.create({ model, messages: [{ role: "user", content }], max_tokens: 6, temperature: 0 });
  const answers = await Promise.all(questions.map(ask));
  return {
    ids: new Set(answers.map((answer) => answer.id)).size,
    texts: answers.map((answer) => answer.choices[0].message.content),
    reasons: [...new Set(answers.map((answer) => answer.choices[0].finish_reason))],
    again: (await ask(questions[42])).choices[0].message.content,
  };
}

async function echoHundred() {
  const texts = Array.from({ length: 100 }, (_, number) => `text ${number} of a hundred`);
  const answers = await Promise.all(
    texts.map((content) =>
      client.chat.completions.create({ model: "echo", messages: [{ role: "user", content }] }),
    ),
  );
  return answers.every((answer, number) => answer.choices[0].message.content === texts[number]);
}

async function makeMistakes() {
  const told = [];
  for (const wrong of [{ model: "gpt-9" }, { model, temperature: 9 }]) {
    try {
      await client.chat.completions.create({ messages: hello, ...wrong });
    } catch (error) {
      const kinds = { NotFoundError, BadRequestError, APIError };
      const kind = Object.keys(kinds).find((name) => error instanceof kinds[name]);
      told.push({ kind, status: error.status, code: error.code, param: error.param });
    }
  }
  return told;
}

async function leave() {
  const endless = { model, messages: hello, max_tokens: 4000, ignore_eos: true, stream: true };
  const stream = await client.chat.completions.create(endless);
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta?.content) break;
  }
  return stream.controller.signal.aborted;
}

const found = {
  stream: await readStream(),
  helper: await useHelper(),
  hundred: await askHundred(),
  echo: await echoHundred(),
  mistakes: await makeMistakes(),
  left: await leave(),
};
process.stdout.write(`${JSON.stringify(found)}\n`);
