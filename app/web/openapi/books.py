"""What can be looked up: the house itself, an account's books, receipts and proofs."""

from __future__ import annotations

from app.web.openapi.words import (
    ANYTHING,
    BASE64,
    BEARER,
    COUNT,
    TEXT,
    TICKET,
    UUID_TEXT,
    WHOLE,
    Operation,
    Schema,
    in_path,
    json,
    many,
    maybe,
    one_of,
    query,
    record,
    ref,
)
from app.web.statement import BY_KEY, GROUPS, HISTORY_MAX, LINES_MAX
from projections.liabilities import AMOUNTS as OWED_AMOUNTS
from projections.usage import AMOUNTS

ABOUT = record(
    name=TEXT,
    description=TEXT,
    version=TEXT,
    npub=TEXT,
    mints=many(TEXT),
    http_url=TEXT,
    onion_url=TEXT,
    pubkey=TEXT,
    verifier_key=TEXT,
    child_key_cost_msats=COUNT,
)
NOTE: Schema = {"type": "string", "description": "a signed note (C2SP)"}
OWED = record(
    **dict.fromkeys(OWED_AMOUNTS, COUNT),
    account=UUID_TEXT,
    salt=BASE64,
    place=COUNT,
    path=many(record(hash=BASE64, msat=COUNT)),
    liabilities=NOTE,
)
IN_USD = dict.fromkeys(("btc_usd", "available_usd", "held_usd"), TEXT)
BALANCE = record(IN_USD, available_msat=WHOLE, held_msat=WHOLE)
LINE = record(
    {
        "available_msat": WHOLE,
        "held_msat": WHOLE,
        "key": UUID_TEXT,
        "amount_usd": TEXT,
        **IN_USD,
    },
    position=COUNT,
    time=TEXT,
    event=TEXT,
    stream=TEXT,
    source=TEXT,
    destination=TEXT,
    amount_msat=WHOLE,
)
LINES = record(
    account=UUID_TEXT,
    position=COUNT,
    opening=BALANCE,
    lines=many(LINE),
    closing=BALANCE,
    next=maybe(TEXT),
)
AS_OF = record(
    IN_USD,
    account=UUID_TEXT,
    as_of=TEXT,
    position=COUNT,
    available_msat=WHOLE,
    held_msat=WHOLE,
)
USED = record({"day": TEXT, "model": TEXT, "key": UUID_TEXT}, **dict.fromkeys(AMOUNTS, COUNT))
USAGE = record(
    {"from": TEXT, "to": TEXT},
    account=UUID_TEXT,
    usage=many(USED),
    total=record(**dict.fromkeys(AMOUNTS, COUNT)),
)
TRANSACTIONS = record(
    transactions=many(
        record(
            {"model": TEXT, "key": UUID_TEXT},
            id=TEXT,
            type=one_of("in", "out"),
            source=TEXT,
            amount=COUNT,
            unit=one_of("msat"),
            mint_url=maybe(TEXT),
            created_at=COUNT,
            collected={"type": "boolean"},
            swept={"type": "boolean"},
            balance=WHOLE,
            event=TEXT,
            stream=UUID_TEXT,
        )
    ),
    next=maybe(TEXT),
)
NUMBER_TEXT: Schema = {"type": "string", "pattern": "^[0-9]{1,18}$"}
FORMAT = query("format", "json or csv", one_of("json", "csv"))
FROM, TO = query("from", "a date or a moment, UTC"), query("to", "the same, excluded")
READINESS: Schema = {
    "type": "object",
    "properties": {"status": one_of("ready", "not ready")},
    "required": ["status"],
    "additionalProperties": TEXT,
}

WITH_MODELS = record(**ABOUT["properties"], models=many(ref("Model")))

PROVIDER = record(
    id=TEXT,
    d_tag=TEXT,
    event_id=TEXT,
    pubkey=TEXT,
    created_at=COUNT,
    kind=COUNT,
    endpoint_url=TEXT,
    endpoint_urls=many(TEXT),
    name=TEXT,
    description=maybe(TEXT),
    mint_urls=many(TEXT),
    version=maybe(TEXT),
    content=TEXT,
    contact=maybe(TEXT),
    pricing_url=maybe(TEXT),
    supported_models=many(TEXT),
    recommended_by=COUNT,
)
WITH_HEALTH = record(
    provider=PROVIDER,
    health=record(status_code=COUNT, endpoint=one_of("info", "models", "error"), json=ANYTHING),
)
PROVIDERS = record(providers=many({"anyOf": [PROVIDER, WITH_HEALTH]}))

OPERATIONS = (
    Operation(
        name="getRoot",
        method="get",
        path="/",
        says="The house and what it sells; a page for whoever prefers HTML",
        tag="house",
        answers={200: {**json(WITH_MODELS), "text/html": TEXT}},
    ),
    Operation(
        name="getInfo",
        method="get",
        path="/v1/info",
        says="The house: its mints, its addresses, the key that verifies its signatures",
        tag="house",
        answers={200: json(ABOUT)},
    ),
    Operation(
        name="getProviders",
        method="get",
        path="/v1/providers/",
        says="Other providers, as found on Nostr; nothing of it is vouched for here",
        tag="house",
        answers={200: json(PROVIDERS)},
        parameters=(
            query("include_json", "with what each said when it was last asked", TEXT),
            query("pubkey", "of this key alone, in hex", TEXT),
        ),
    ),
    Operation(
        name="getHealth",
        method="get",
        path="/healthz",
        says="Whether this process answers",
        tag="house",
        answers={200: json(record(status=one_of("ok")))},
    ),
    Operation(
        name="getReadiness",
        method="get",
        path="/readyz",
        says="Whether requests can be served, and what each part says",
        tag="house",
        answers={200: json(READINESS), 503: json(READINESS)},
    ),
    Operation(
        name="getMetrics",
        method="get",
        path="/metrics",
        says="Figures for Prometheus, for those who may know them",
        tag="house",
        answers={200: {"text/plain": TEXT}},
        security=({}, BEARER),
    ),
    Operation(
        name="getOpenApi",
        method="get",
        path="/openapi.json",
        says="This description",
        tag="house",
        answers={200: json({"type": "object"})},
    ),
    Operation(
        name="getDocs",
        method="get",
        path="/docs",
        says="The same, to be read",
        tag="house",
        answers={200: {"text/html": TEXT}},
    ),
    Operation(
        name="getStatement",
        method="get",
        path="/v1/wallet/statement",
        aliases=("/v1/balance/statement",),
        says="An account's opening, lines and closing; or its balance as of a moment",
        tag="books",
        answers={200: {**json({"anyOf": [LINES, AS_OF]}), "text/csv": TEXT}},
        parameters=(
            FROM,
            TO,
            query("as_of", "a date or a moment, UTC; goes without the others"),
            query(
                "limit",
                "how many lines at most",
                {"type": "integer", "minimum": 1, "maximum": LINES_MAX},
            ),
            query("after", "what 'next' said"),
            FORMAT,
        ),
        security=(BEARER,),
    ),
    Operation(
        name="getHistory",
        method="get",
        path="/v1/wallet/history",
        aliases=("/v1/balance/history",),
        says="What came in and went out, newest first, each with the balance after it",
        tag="books",
        answers={200: json(TRANSACTIONS)},
        parameters=(
            query(
                "limit",
                "how many transactions at most",
                {"type": "integer", "minimum": 1, "maximum": HISTORY_MAX},
            ),
            query("before", "what 'next' said", NUMBER_TEXT),
        ),
        security=(BEARER,),
    ),
    Operation(
        name="getUsage",
        method="get",
        path="/v1/usage",
        says="What an account has used, by day and model, or by child key",
        tag="books",
        answers={200: {**json(USAGE), "text/csv": TEXT}},
        parameters=(FROM, TO, query("group_by", "how", one_of(*GROUPS, BY_KEY)), FORMAT),
        security=(BEARER,),
    ),
    Operation(
        name="getReceipt",
        method="get",
        path="/v1/receipts/{request_id}",
        says="What a request was charged for, signed; for whoever has paid for it",
        tag="books",
        answers={200: json({"type": "object", "additionalProperties": ANYTHING})},
        parameters=(in_path("request_id", UUID_TEXT),),
        security=(BEARER, TICKET),
    ),
    Operation(
        name="getLiabilityProof",
        method="get",
        path="/v1/wallet/liability-proof",
        aliases=("/v1/balance/liability-proof",),
        says="The proof that what an account is owed is in the signed total",
        tag="proofs",
        answers={200: json(OWED)},
        security=(BEARER,),
    ),
    Operation(
        name="getLiabilities",
        method="get",
        path="/liabilities",
        says="All that is owed to clients as of a checkpoint, and the root it adds up to",
        tag="proofs",
        answers={200: {"text/plain": NOTE}},
    ),
    Operation(
        name="getCheckpoint",
        method="get",
        path="/checkpoint",
        says="The newest signed checkpoint of the log, or the one of a size",
        tag="proofs",
        answers={200: {"text/plain": NOTE}},
        parameters=(query("size", "how many events it covers", NUMBER_TEXT),),
    ),
    Operation(
        name="proveInclusion",
        method="get",
        path="/proof/inclusion",
        says="The proof that an event is in the log",
        tag="proofs",
        answers={
            200: json(
                record(
                    position=COUNT,
                    index=COUNT,
                    size=COUNT,
                    leaf=BASE64,
                    proof=many(BASE64),
                    checkpoint=NOTE,
                )
            )
        },
        parameters=(
            query("position", "of the event", NUMBER_TEXT, required=True),
            query("size", "of the checkpoint", NUMBER_TEXT),
        ),
    ),
    Operation(
        name="proveConsistency",
        method="get",
        path="/proof/consistency",
        says="The proof that the log only grew",
        tag="proofs",
        answers={
            200: json(
                record(
                    {"from": COUNT, "to": COUNT},
                    proof=many(BASE64),
                    checkpoint_from=NOTE,
                    checkpoint_to=NOTE,
                )
            )
        },
        parameters=(
            query("from", "the size of the older checkpoint", NUMBER_TEXT, required=True),
            query("to", "of the newer one", NUMBER_TEXT),
        ),
    ),
)
