// Vercel's AI SDK with its provider for anything that is compatible with OpenAI.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  AISDKError,
  RetryError,
  embedMany,
  generateText,
  jsonSchema,
  streamText,
  tool,
} from "ai";
import { serve } from "./lines.mjs";

const MAX_TOKENS = 64;

const provider = ({ base_url, key, headers }) =>
  createOpenAICompatible({
    name: "tallystick",
    baseURL: `${base_url}/v1`,
    apiKey: key,
    includeUsage: true,
    headers,
  });

const asking = (given) => ({
  model: provider(given)(given.model),
  prompt: given.question,
  maxOutputTokens: MAX_TOKENS,
  maxRetries: given.retries ?? 2,
  include: { responseBody: true },
  ...(given.timeout_s ? { abortSignal: AbortSignal.timeout(given.timeout_s * 1000) } : {}),
});

const tokensOf = (usage) => [usage.inputTokens, usage.outputTokens];

function toolsOf({ tool: given }) {
  const { name, description, parameters } = given.function;
  return { [name]: tool({ description, inputSchema: jsonSchema(parameters) }) };
}

const callsOf = (calls) => calls.map((call) => [call.toolName, JSON.stringify(call.input)]);

async function streamed(asked) {
  let failure = null;
  const result = streamText({ ...asked, onError: ({ error }) => (failure = error) });
  let text = "";
  for await (const piece of result.textStream) text += piece;
  if (failure) throw failure;
  return { result, text };
}

const acts = {
  async plain(given) {
    const { text, usage, response } = await generateText(asking(given));
    return {
      text,
      tokens: tokensOf(usage),
      cost_msat: response.body.usage.cost.total_msats,
      header_msat: Number(response.headers["x-routstr-cost-msats"]),
      request_id: response.headers["x-request-id"],
    };
  },

  async stream(given) {
    const { result, text } = await streamed(asking(given));
    return { text, tokens: tokensOf(await result.usage) };
  },

  async embeddings(given) {
    const model = provider(given).textEmbeddingModel(given.model);
    const { embeddings } = await embedMany({ model, values: given.texts });
    return { vectors: embeddings };
  },

  async tools(given) {
    const { toolCalls } = await generateText({ ...asking(given), tools: toolsOf(given) });
    return { calls: callsOf(toolCalls) };
  },

  async tools_stream(given) {
    const { result } = await streamed({ ...asking(given), tools: toolsOf(given) });
    return { calls: callsOf(await result.toolCalls) };
  },
};

function asSeen(error) {
  const last = RetryError.isInstance(error) ? error.lastError : error;
  const told = last.data?.error ?? JSON.parse(last.responseBody ?? "{}").error ?? {};
  return {
    class: last.name,
    status: last.statusCode ?? null,
    code: told.code ?? null,
    type: told.type ?? null,
    message: last.message,
    request_id: last.responseHeaders?.["x-request-id"] ?? null,
    retryable: last.isRetryable ?? null,
  };
}

// What breaks off a stream has a name of the SDK's, and not its base class.
serve(
  acts,
  (error) => AISDKError.isInstance(error) || /^AI_/.test(error?.name),
  asSeen,
);
