// How Routstr's SDK and its daemon talk to a house: written from what they depend on, not
// from their source. A key is topped up when it is short, and single requests are paid by
// token; what is lost on the way is asked for until it comes.
import { serve } from "./lines.mjs";

const MAX_TOKENS = 64;
const TRIES_MAX = 20;
const TOPUP_TIMEOUT_MS = 30_000;

const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const bearer = (key) => ({ Authorization: `Bearer ${key}` });

const post = (base, path, headers, document, more = {}) =>
  fetch(`${base}${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(document ?? {}),
    ...more,
  });

const chat = (base, headers, { model, question, stream = false }) =>
  post(base, "v1/chat/completions", headers, {
    model,
    messages: [{ role: "user", content: question }],
    max_tokens: MAX_TOKENS,
    stream,
    ...(stream ? { stream_options: { include_usage: true } } : {}),
  });

// The order in which it looks for an error: any of the three may be all there is.
function errorOf(document) {
  const found = document.error ?? document.detail?.error ?? document.detail;
  return typeof found === "string" ? { message: found } : found;
}

function costOf(document, headers) {
  const told = document.usage?.cost ?? document.metadata?.routstr?.cost ?? document.cost;
  return told?.total_msats ?? Number(headers.get("x-routstr-cost-msats"));
}

async function lastCost(answer) {
  const events = (await answer.text())
    .split("\n")
    .filter((line) => line.startsWith("data: ") && line !== "data: [DONE]")
    .map((line) => JSON.parse(line.slice("data: ".length)));
  return costOf(events.find((event) => event.usage?.cost ?? event.cost) ?? {}, answer.headers);
}

async function info(base, key) {
  const answer = await fetch(`${base}v1/wallet/info`, { headers: bearer(key) });
  const { api_key, balance, reserved } = await answer.json();
  return { key: api_key, spendable_msat: balance - reserved };
}

async function topUp(base, key, token) {
  const signal = AbortSignal.timeout(TOPUP_TIMEOUT_MS);
  return post(base, "v1/wallet/topup", bearer(key), { cashu_token: token }, { signal });
}

const acts = {
  async spend({ base, key, tokens, ...asked }) {
    const before = await info(base, key);
    const statuses = [];
    const credited = [];
    for (;;) {
      const answer = await chat(base, bearer(key), asked);
      statuses.push(answer.status);
      if (answer.ok) {
        const cost_msat = asked.stream
          ? await lastCost(answer)
          : costOf(await answer.json(), answer.headers);
        const after = await info(base, key);
        return {
          statuses,
          credited,
          cost_msat,
          same_key: after.key === key,
          spent_msat: before.spendable_msat - after.spendable_msat,
        };
      }
      const { type, code } = errorOf(await answer.json());
      const isShort = type === "insufficient_quota" && code === "insufficient_balance";
      if (!isShort || tokens.length === 0) return { statuses, credited, type, code };
      credited.push((await (await topUp(base, key, tokens.shift())).json()).msats);
    }
  },

  async topup({ base, key, token }) {
    const answer = await topUp(base, key, token);
    const document = await answer.json();
    if (answer.ok) return { status: answer.status, msats: document.msats };
    const { type, code, message } = errorOf(document);
    return { status: answer.status, type, code, message };
  },

  async refund({ base, key }) {
    const answer = await post(base, "v1/wallet/refund", bearer(key));
    const document = await answer.json();
    if (answer.ok) return { status: answer.status, token: document.token, sats: document.sats };
    return { status: answer.status, detail: document.detail };
  },

  // Pays one request by token; the change is in the answer, or is asked for until it is made.
  async pay({ base, token, ...asked }) {
    const answer = await chat(base, { "X-Cashu": token }, asked);
    await answer.text();
    const said = {
      status: answer.status,
      request_id: answer.headers.get("x-routstr-request-id"),
      cost_msat: Number(answer.headers.get("x-routstr-cost-msats")),
    };
    const refunds = [];
    let change = answer.headers.get("x-cashu");
    for (let left = TRIES_MAX; change === null && left > 0; left -= 1) {
      const asked_for = await post(base, "v1/wallet/refund", { "X-Cashu": token });
      refunds.push(asked_for.status);
      if (asked_for.ok) {
        const found = await asked_for.json();
        change = found.token;
        said.same_in_header = asked_for.headers.get("x-cashu") === change;
      } else if ([425, 503].includes(asked_for.status)) {
        await pause(Number(asked_for.headers.get("retry-after")));
      } else {
        break;
      }
    }
    return { ...said, change, refunds };
  },

  async fail({ base, key, ...asked }) {
    const answer = await chat(base, bearer(key), asked);
    const { type, code, message } = errorOf(await answer.json());
    return { status: answer.status, type, code, message };
  },

  // Buys a key over Lightning, and asks for it again by the invoice alone.
  async lightning({ base, amount_sat }) {
    const made = await post(base, "v2/lightning/invoice", {}, { amount_sats: amount_sat });
    const invoice = await made.json();
    for (let left = TRIES_MAX; left > 0; left -= 1) {
      const status = `${base}v2/lightning/invoice/${invoice.invoice_id}/status`;
      const standing = await (await fetch(status)).json();
      if (standing.status === "paid") {
        const sent = { bolt11: invoice.bolt11 };
        const recovered = await (await post(base, "v2/lightning/recover", {}, sent)).json();
        return {
          key: standing.api_key,
          recovered: recovered.api_key,
          amount_sat: standing.amount_sats,
        };
      }
      await pause(1);
    }
    throw new Error("the invoice was not paid");
  },

  // What it sizes its tokens by.
  async sizes({ base }) {
    const { data } = await (await fetch(`${base}v1/models`)).json();
    return {
      max_cost_sat: data.map(({ sats_pricing: prices }) => prices.max_cost),
      complete: data.every(({ sats_pricing: prices }) =>
        [prices.prompt, prices.max_completion_cost, prices.max_cost].every(Number.isFinite),
      ),
    };
  },
};

serve(acts, () => false, null);
