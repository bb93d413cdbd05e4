// How Routstr's chat application talks to a house: written from what it depends on, not from
// its source. It runs in a page, keeps a token as its key, and knows no other errors.
import { serve } from "./lines.mjs";

const DEFAULT_MAX_COST_SAT = 50;
const PRICES = ["prompt", "completion", "request", "image", "web_search", "internal_reasoning"];

class ModelError extends Error {}

async function models(base) {
  const answer = await fetch(base, { headers: { Accept: "application/json" } });
  return (await answer.json()).models;
}

function checked(model) {
  const texts = [model.id, model.name, model.description];
  if (!texts.every((text) => typeof text === "string")) throw new ModelError(model.id);
  const prices = PRICES.map((name) => model.sats_pricing[name]);
  if (!prices.every(Number.isFinite)) throw new ModelError(model.id);
  if (!("context_length" in model && "architecture" in model)) throw new ModelError(model.id);
  if (!("pricing" in model && "per_request_limits" in model)) throw new ModelError(model.id);
  return model;
}

const complete = (base, token, model, question, more) =>
  fetch(`${base}v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({
      model,
      messages: [{ role: "user", content: question }],
      stream: true,
      ...more,
    }),
  });

async function refund(base, token) {
  const answer = await fetch(`${base}v1/wallet/refund`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}` },
  });
  return answer.ok ? (await answer.json()).token : null;
}

async function read(answer) {
  let text = "";
  let rest = "";
  const decoder = new TextDecoder();
  for await (const piece of answer.body) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
      const event = JSON.parse(line.slice("data: ".length));
      text += event.choices?.[0]?.delta?.content ?? "";
    }
  }
  return text;
}

const acts = {
  async discover({ base }) {
    const found = (await models(base)).map(checked);
    const cost = ({ sats_pricing: prices }) => prices.max_cost ?? DEFAULT_MAX_COST_SAT;
    return { ids: found.map((model) => model.id), max_cost_sat: found.map(cost) };
  },

  // `tokens` are what its wallet would make, one after the other.
  async talk({ base, model, question, tokens, more = {} }) {
    const statuses = [];
    const refunds = [];
    let [token, ...others] = tokens;
    for (;;) {
      const answer = await complete(base, token, model, question, more);
      statuses.push(answer.status);
      if (answer.ok) {
        return { statuses, refunds, token, text: await read(answer) };
      }
      if (answer.status === 413) refunds.push(await refund(base, token));
      if (![401, 402, 403, 413].includes(answer.status) || others.length === 0) {
        return { statuses, refunds, token };
      }
      [token, ...others] = others;
    }
  },

  async balance({ base, token }) {
    const answer = await fetch(`${base}v1/wallet/`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    const { api_key: key, balance } = await answer.json();
    return { status: answer.status, same_key: key === token, balance_msat: balance };
  },

  async leave({ base, token }) {
    return { token: await refund(base, token) };
  },
};

serve(acts, () => false, null);
