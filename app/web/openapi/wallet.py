"""How money comes in and goes out: accounts, keys, refunds and Lightning invoices."""

from __future__ import annotations

from app.cashier.invoice import Status
from app.cashier.payout import Status as PayoutStatus
from app.web.balance import PREFIXES
from app.web.keys import COUNT_MAX
from app.web.lightning import AMOUNT_SAT_MAX
from app.web.lightning import PREFIXES as LIGHTNING_PREFIXES
from app.web.openapi.words import (
    API_KEY,
    BEARER,
    COUNT,
    MSAT,
    SECONDS,
    TEXT,
    TICKET,
    TOKEN,
    UUID_TEXT,
    YES_OR_NO,
    Content,
    Operation,
    Schema,
    in_path,
    json,
    many,
    maybe,
    one_of,
    query,
    record,
)

DIGITS: Schema = {"type": "string", "pattern": "^[0-9]+$"}
REFUND: Schema = {
    **record({"sats": DIGITS, "msats": DIGITS}, token=TOKEN),
    "anyOf": [{"required": ["sats"]}, {"required": ["msats"]}],
}
LEFT_OVER = {"fee_msats": COUNT, "change_msats": COUNT, "change": maybe(TOKEN)}
OPENED = record(LEFT_OVER, api_key=API_KEY, balance=MSAT)
RULES: dict[str, Schema] = {
    "balance_limit": maybe(MSAT),
    "balance_limit_reset": maybe(TEXT),
    "balance_limit_spent": MSAT,
    "balance_limit_left": maybe(MSAT),
    "validity_date": maybe(SECONDS),
    "allowed_models": maybe(many(TEXT)),
}
USED: dict[str, Schema] = {"total_requests": COUNT, "total_spent": MSAT}
INFO = record(
    {
        "parent_key_preview": TEXT,
        "key_expiry_time": maybe(SECONDS),
        "refund_address": maybe(TEXT),
        "child_keys": many(record(**USED, **RULES, api_key=API_KEY, id=UUID_TEXT)),
    },
    **USED,
    **RULES,
    api_key=API_KEY,
    balance=MSAT,
    reserved=MSAT,
    is_child=YES_OR_NO,
)
CHILDREN = record(
    api_keys=many(API_KEY),
    count=COUNT,
    cost_msats=MSAT,
    cost_sats=COUNT,
    parent_balance=MSAT,
    parent_balance_sats=COUNT,
)
SENT = record(
    {"sats": DIGITS, "msats": DIGITS},
    refund_id=UUID_TEXT,
    status=one_of(*PayoutStatus),
    recipient=TEXT,
    fee_msats=DIGITS,
)
PART: dict[str, Schema] = {
    "amount_sats": {"type": "integer", "minimum": 1},
    "lightning_address": TEXT,
    "lnurl": TEXT,
    "refund_address": TEXT,
}
DONATED = record(message=TEXT, donated_msats=MSAT, balance=MSAT)
STANDING = record(
    status=one_of(*Status),
    api_key=maybe(API_KEY),
    amount_sats=COUNT,
    paid_at=maybe(SECONDS),
    created_at=SECONDS,
    expires_at=SECONDS,
)
INVOICE = record(
    invoice_id=UUID_TEXT,
    bolt11=TEXT,
    amount_sats=COUNT,
    expires_at=SECONDS,
    payment_hash=TEXT,
)
WANTED = record(
    {"purpose": one_of("create", "topup"), "api_key": API_KEY},
    amount_sats={"type": "integer", "minimum": 1, "maximum": AMOUNT_SAT_MAX},
)


def _wallet(
    name: str,
    asked: str,
    says: str,
    answer: Schema,
    *,
    parameters: tuple[Schema, ...] = (),
    body: Content | None = None,
    security: tuple[Schema, ...] = (BEARER,),
    statuses: tuple[int, ...] = (200,),
) -> Operation:
    """Describe what is `asked` (a method, addresses) below each of `PREFIXES`."""
    method, _, places = asked.partition(" ")
    first, *others = (
        f"{PREFIXES[prefix]}/{place}"
        for prefix in ("wallet", "balance")
        for place in places.split(",")
    )
    return Operation(
        name=name,
        method=method,
        path=first,
        aliases=tuple(others),
        says=says,
        tag="wallet",
        answers=dict.fromkeys(statuses, json(answer)),
        parameters=parameters,
        body=body,
        security=security,
    )


def _lightning(
    name: str,
    asked: str,
    says: str,
    answer: Schema,
    *,
    parameters: tuple[Schema, ...] = (),
    body: Content | None = None,
    security: tuple[Schema, ...] = (),
) -> Operation:
    """Describe what is `asked` below each of the prefixes of Lightning."""
    method, _, place = asked.partition(" ")
    prefixes = ("v1_lightning", *sorted(set(LIGHTNING_PREFIXES) - {"v1_lightning"}))
    first, *others = (f"{LIGHTNING_PREFIXES[prefix]}/{place}" for prefix in prefixes)
    return Operation(
        name=name,
        method=method,
        path=first,
        aliases=tuple(others),
        says=says,
        tag="lightning",
        answers={200: json(answer)},
        parameters=parameters,
        body=body,
        security=security,
    )


OPERATIONS = (
    _wallet(
        "createAccount",
        "post create",
        "Deposit a token and get the API key of its account; asked again, the same one",
        OPENED,
        body=json(record(initial_balance_token=TOKEN)),
        security=(),
    ),
    _wallet(
        "createAccountByAddress",
        "get create",
        "The same, with the token in the address, where it may be logged on the way",
        OPENED,
        parameters=(query("initial_balance_token", "the token", TOKEN, required=True),),
        security=(),
    ),
    _wallet("getInfoOfKey", "get info,", "What may be spent, and what is held", INFO),
    _wallet(
        "topUp",
        "post topup",
        "Deposit one more token",
        record(LEFT_OVER, msats=MSAT),
        parameters=(query("cashu_token", "the token, if not in the body", TOKEN),),
        body=json(record({"cashu_token": TOKEN})),
    ),
    _wallet(
        "refund",
        "post refund",
        "Get what is available as a token or over Lightning, or a ticket's change",
        {"anyOf": [REFUND, SENT]},
        body=json(record(PART)),
        security=(BEARER, TICKET),
        statuses=(200, 202),
    ),
    _wallet(
        "getRefund",
        "get refund/{refund_id}",
        "How far a refund over Lightning is",
        SENT,
        parameters=(in_path("refund_id", UUID_TEXT),),
    ),
    _wallet(
        "getForeignChange",
        "post foreign-change",
        "Get what a mint that is not one of ours has left of a token",
        record(token=TOKEN),
        body=json(record(cashu_token=TOKEN)),
        security=(),
    ),
    _wallet(
        "createChildKeys",
        "post child-key",
        "Make keys that spend this account's money, within limits of their own",
        CHILDREN,
        body=json(
            record(
                {
                    "count": {"type": "integer", "minimum": 1, "maximum": COUNT_MAX},
                    "balance_limit": maybe(MSAT),
                    "balance_limit_reset": maybe(TEXT),
                    "validity_date": maybe(SECONDS),
                }
            )
        ),
    ),
    _wallet(
        "resetChildKey",
        "post child-key/reset",
        "Let a child key's limit begin anew",
        record(success=YES_OR_NO, message=TEXT),
        body=json(record(child_key=API_KEY)),
    ),
    _wallet(
        "donate",
        "post donate",
        "Give what is available, an amount of it, or a token to the house",
        {"anyOf": [DONATED, TEXT]},
        body=json(record({"token": TOKEN, "amount_sats": COUNT})),
        security=(BEARER, {}),
    ),
    Operation(
        name="getChange",
        method="get",
        path="/v1/change/{request_id}",
        says="Get the change of a request that a token paid for, until it is collected",
        tag="wallet",
        answers={200: json(REFUND)},
        parameters=(in_path("request_id", UUID_TEXT),),
        security=(TICKET, BEARER),
    ),
    _lightning(
        "createInvoice",
        "post invoice",
        "Get an invoice that opens an account, or tops one up, once it is paid",
        INVOICE,
        body=json(WANTED),
        security=({}, BEARER),
    ),
    _lightning(
        "getInvoice",
        "get invoice/{invoice_id}/status",
        "How far an invoice is, and the key that it has opened",
        STANDING,
        parameters=(in_path("invoice_id", UUID_TEXT),),
    ),
    _lightning(
        "recoverInvoice",
        "post recover",
        "The same, for whoever has kept the invoice's text only",
        STANDING,
        body=json(record(bolt11=TEXT)),
    ),
)
