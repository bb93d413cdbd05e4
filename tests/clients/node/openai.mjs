// The official `openai` package for JavaScript.
import OpenAI from "openai";
import { VERSION } from "openai/version";
import { serve } from "./lines.mjs";

const MAX_TOKENS = 64;

const client = ({ base_url, key, timeout_s = 30, retries = 2 }) =>
  new OpenAI({
    baseURL: `${base_url}/v1`,
    apiKey: key,
    timeout: timeout_s * 1000,
    maxRetries: retries,
    // It runs in a page too, with a key that holds a few sats.
    dangerouslyAllowBrowser: true,
  });

const asking = ({ model, question }) => ({
  model,
  messages: [{ role: "user", content: question }],
  max_tokens: MAX_TOKENS,
});

const callsOf = (chat) =>
  chat.choices[0].message.tool_calls.map((call) => [call.function.name, call.function.arguments]);

const acts = {
  version: () => ({ version: VERSION }),

  async plain(given) {
    const { data: chat, response } = await client(given)
      .chat.completions.create(asking(given), { headers: given.headers })
      .withResponse();
    return {
      text: chat.choices[0].message.content,
      tokens: [chat.usage.prompt_tokens, chat.usage.completion_tokens],
      cost_msat: chat.usage.cost.total_msats,
      header_msat: Number(response.headers.get("x-routstr-cost-msats")),
      request_id: chat._request_id,
    };
  },

  async stream(given) {
    const options = given.usage ? { stream_options: { include_usage: true } } : {};
    const chunks = await client(given).chat.completions.create({
      ...asking(given),
      ...options,
      stream: true,
    });
    let text = "";
    let told = null;
    for await (const chunk of chunks) {
      told = chunk.usage ?? told;
      if (given.usage && chunk.choices.length === 0) continue;
      // Without usage asked for, everybody writes this, and nobody looks for no choices.
      text += chunk.choices[0].delta.content ?? "";
    }
    if (told === null) return { text };
    const tokens = [told.prompt_tokens, told.completion_tokens];
    return { text, tokens, cost_msat: told.cost.total_msats };
  },

  async models(given) {
    const ids = [];
    for await (const model of client(given).models.list()) ids.push(model.id);
    return { ids };
  },

  async model(given) {
    return { ids: [(await client(given).models.retrieve(given.model)).id] };
  },

  async embeddings(given) {
    // No encoding_format: the package asks for base64 by itself.
    const answer = await client(given).embeddings.create({
      model: given.model,
      input: given.texts,
    });
    return { vectors: answer.data.map((entry) => entry.embedding) };
  },

  async images(given) {
    const answer = await client(given).images.generate({
      model: given.model,
      prompt: given.prompt,
      n: given.count,
    });
    return { images: answer.data.map((each) => each.b64_json) };
  },

  async edit(given) {
    const answer = await client(given).images.edit({
      model: given.model,
      image: new File(["a picture"], "stick.png", { type: "image/png" }),
      prompt: given.prompt,
      n: given.count,
    });
    return { images: answer.data.map((each) => each.b64_json) };
  },

  async listen(given) {
    const bytes = Uint8Array.from(atob(given.recording), (letter) => letter.charCodeAt(0));
    const heard = await client(given).audio.transcriptions.create({
      model: given.model,
      file: new File([bytes], "a.wav", { type: "audio/wav" }),
    });
    return { text: heard.text };
  },

  async speak(given) {
    const spoken = await client(given).audio.speech.create({
      model: given.model,
      voice: "alloy",
      input: given.text,
    });
    const bytes = new Uint8Array(await spoken.arrayBuffer());
    return { sound: btoa(String.fromCharCode(...bytes)) };
  },

  async responses(given) {
    const answer = await client(given).responses.create({
      model: given.model,
      input: given.question,
      max_output_tokens: MAX_TOKENS,
    });
    const tokens = [answer.usage.input_tokens, answer.usage.output_tokens];
    return { text: answer.output_text, tokens };
  },

  async responses_stream(given) {
    const events = await client(given).responses.create({
      model: given.model,
      input: given.question,
      max_output_tokens: MAX_TOKENS,
      stream: true,
    });
    let text = "";
    for await (const event of events) {
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    return { text };
  },

  async tools(given) {
    const asked = { ...asking(given), tools: [given.tool] };
    return { calls: callsOf(await client(given).chat.completions.create(asked)) };
  },

  async tools_stream(given) {
    const asked = { ...asking(given), tools: [given.tool] };
    const events = client(given).chat.completions.stream(asked);
    return { calls: callsOf(await events.finalChatCompletion()) };
  },
};

serve(
  acts,
  (error) => error instanceof OpenAI.OpenAIError,
  (error) => ({
    class: error.constructor.name,
    status: error.status ?? null,
    code: error.code ?? null,
    type: error.type ?? null,
    message: error.message,
    request_id: error.requestID ?? null,
  }),
);
