// What a web application does without any SDK: fetch, across origins.
import { serve } from "./lines.mjs";

const MAX_TOKENS = 64;
const READABLE = [
  "retry-after",
  "x-cashu",
  "x-cashu-change",
  "x-request-id",
  "x-routstr-cost-msats",
  "x-routstr-cost-usd",
  "x-routstr-request-id",
  "x-should-retry",
];

const headersOf = (answer) =>
  Object.fromEntries(
    READABLE.filter((name) => answer.headers.has(name)).map((name) => [
      name,
      answer.headers.get(name),
    ]),
  );

const chat = ({ base_url, key, model, question, stream = false, headers = {} }, more = {}) =>
  fetch(`${base_url}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      ...(key ? { Authorization: `Bearer ${key}` } : {}),
      ...headers,
    },
    body: JSON.stringify({
      model,
      messages: [{ role: "user", content: question }],
      max_tokens: MAX_TOKENS,
      stream,
    }),
    ...more,
  });

async function* events(answer) {
  let rest = "";
  const pieces = answer.body.pipeThrough(new TextDecoderStream());
  for await (const piece of pieces) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: ") && line !== "data: [DONE]") {
        yield JSON.parse(line.slice("data: ".length));
      }
    }
  }
}

const acts = {
  async plain(given) {
    const answer = await chat(given);
    const document = await answer.json();
    return {
      status: answer.status,
      headers: headersOf(answer),
      text: document.choices?.[0].message.content,
      error: document.error,
    };
  },

  async stream(given) {
    const answer = await chat({ ...given, stream: true });
    let text = "";
    let change = null;
    for await (const event of events(answer)) {
      text += event.choices[0].delta.content ?? "";
      change = event.cashu ?? change;
    }
    return { status: answer.status, headers: headersOf(answer), text, change };
  },

  // Closes the page's side of a stream after its first event, as a Stop button does.
  async stop({ ...given }) {
    const stopper = new AbortController();
    const answer = await chat({ ...given, stream: true }, { signal: stopper.signal });
    for await (const event of events(answer)) {
      stopper.abort();
      return { first: event.choices[0].delta.content };
    }
    return {};
  },

  // What a page may see of an address: a network error is all it is told when it may not.
  async look({ base_url, path, method = "GET", headers = {}, body }) {
    try {
      const answer = await fetch(`${base_url}${path}`, { method, headers, body });
      return { status: answer.status, headers: headersOf(answer), body: await answer.text() };
    } catch (error) {
      return { refused: error.name };
    }
  },
};

serve(acts, () => false, null);
