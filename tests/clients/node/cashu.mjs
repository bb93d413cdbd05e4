// A wallet made with cashu-ts: it pays for single requests (NUT-24) and takes its change home.
import { Wallet, decodePaymentRequest, getDecodedToken, getEncodedToken } from "@cashu/cashu-ts";
import { serve } from "./lines.mjs";

// Enough that the change is more than the mint takes for swapping it.
const MAX_TOKENS = 1000;
const QUOTE_TRIES = 50;
const PAUSE_MS = 100;

let wallet;
let purse = [];

const sum = (proofs) => proofs.reduce((total, proof) => total + Number(proof.amount), 0);
const faceOf = (token) => sum(getDecodedToken(token, wallet.keyChain.getAllKeysetIds()).proofs);

class StatusError extends Error {
  constructor(status, change, document) {
    super(document.error.message);
    Object.assign(this, { status, change, ...document.error, name: "StatusError" });
  }
}

async function paid(quote) {
  for (let left = QUOTE_TRIES; left > 0; left -= 1) {
    if ((await wallet.checkMintQuoteBolt11(quote)).state === "PAID") return;
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
  throw new Error("the mint's invoice was not paid");
}

// The house proves that its change was signed by the mint (NUT-12); what was the wallet's own
// comes back as it was sent.
async function takeHome(token, requireDleq = true) {
  const proofs = await wallet.receive(token, { requireDleq });
  purse.push(...proofs);
  return sum(proofs);
}

const ask = ({ base_url, model, question, stream = false }, headers) =>
  fetch(`${base_url}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify({
      model,
      messages: [{ role: "user", content: question }],
      max_tokens: MAX_TOKENS,
      stream,
    }),
  });

// Reads a stream as Routstr's clients do; an extra member of a chunk may be change.
function readEvents(body) {
  const chunks = body
    .split("\n")
    .filter((line) => line.startsWith("data: ") && line !== "data: [DONE]")
    .map((line) => JSON.parse(line.slice("data: ".length)));
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  return { text, change: chunks.map((chunk) => chunk.cashu).find(Boolean) };
}

async function send(amount) {
  const { keep, send: sent } = await wallet.send(amount, purse);
  purse = keep;
  return getEncodedToken({ mint: wallet.mint.mintUrl, unit: "sat", proofs: sent });
}

const acts = {
  async fund({ mint_url, amount }) {
    wallet = new Wallet(mint_url, { unit: "sat" });
    await wallet.loadMint();
    const quote = await wallet.createMintQuoteBolt11(amount);
    await paid(quote);
    purse.push(...(await wallet.mintProofsBolt11(amount, quote)));
    return { purse: sum(purse) };
  },

  async buy(given) {
    const way = given.way ? { "X-Cashu-Change": given.way } : {};
    const challenge = await ask(given, given.format ? { "X-Cashu-Format": given.format } : {});
    const request = challenge.headers.get("X-Cashu");
    const wanted = decodePaymentRequest(request);
    const token = await send(Number(wanted.amount));
    const answer = await ask(given, { "X-Cashu": token, ...way });
    const body = await answer.text();
    const read = given.stream
      ? readEvents(body)
      : { text: JSON.parse(body).choices[0].message.content };
    const change = answer.headers.get("X-Cashu") ?? read.change;
    const changed = faceOf(change);
    return {
      challenged: challenge.status,
      request: request.slice(0, "creqA".length),
      wanted: { amount: Number(wanted.amount), unit: wanted.unit, mints: wanted.mints },
      paid: faceOf(token),
      status: answer.status,
      text: read.text,
      in_header: answer.headers.has("X-Cashu"),
      change: changed,
      received: await takeHome(change),
    };
  },

  async pay_too_little(given) {
    const token = await send(given.amount);
    const answer = await ask(given, { "X-Cashu": token });
    const back = answer.headers.get("X-Cashu");
    const received = await takeHome(back, false);
    const document = await answer.json();
    throw Object.assign(new StatusError(answer.status, back, document), {
      told: { same_token: back === token, received, detail: document.detail },
    });
  },

  async spend_twice(given) {
    const token = await send(given.amount);
    const answers = [await ask(given, { "X-Cashu": token }), await ask(given, { "X-Cashu": token })];
    await takeHome(answers[0].headers.get("X-Cashu"));
    const late = await fetch(`${given.base_url}/v1/wallet/refund`, {
      method: "POST",
      headers: { "X-Cashu": token },
    });
    const document = await answers[1].json();
    return {
      statuses: answers.map((answer) => answer.status),
      paid: faceOf(token),
      code: document.error.code,
      late: late.status,
    };
  },

  async own_account(given) {
    // A key bought with a token, and what is left of it taken home.
    const token = await send(given.amount);
    const create = await fetch(`${given.base_url}/v1/wallet/create`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ initial_balance_token: token }),
    });
    const { api_key: key, balance } = await create.json();
    const authorized = { Authorization: `Bearer ${key}` };
    const answer = await ask(given, authorized);
    const refund = await fetch(`${given.base_url}/v1/wallet/refund`, {
      method: "POST",
      headers: authorized,
    });
    const back = await refund.json();
    return {
      key,
      balance,
      status: answer.status,
      sats: back.sats,
      face: faceOf(back.token),
      received: await takeHome(back.token),
    };
  },
};

serve(
  acts,
  (error) => error instanceof StatusError,
  ({ name, status, code, type, message, told }) => ({
    class: name,
    status,
    code,
    type,
    message,
    ...told,
  }),
);
