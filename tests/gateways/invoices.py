"""Makes Lightning invoices that no mint has made."""

from __future__ import annotations

import secrets
import time

from bolt11 import Bolt11, Feature, Features, FeatureState, MilliSatoshi, TagChar, Tags, encode


def invoice(amount_sat: int, *, network: str = "bc", expiry_s: int = 3_600) -> str:
    """Return a signed BOLT 11 invoice over `amount_sat`."""
    return invoice_msat(1_000 * amount_sat, network=network, expiry_s=expiry_s)


def invoice_msat(
    amount_msat: int | None,
    *,
    network: str = "bc",
    expiry_s: int | None = 3_600,
    made_at_s: int | None = None,
    description_hash: str | None = None,
) -> str:
    """Return a signed BOLT 11 invoice over `amount_msat`, or over what the payer likes."""
    tags = Tags()
    tags.add(
        TagChar.features,
        Features.from_feature_list({Feature.payment_secret: FeatureState.supported}),
    )
    if description_hash is None:
        tags.add(TagChar.description, "")
    else:
        tags.add(TagChar.description_hash, description_hash)
    if expiry_s is not None:
        tags.add(TagChar.expire_time, expiry_s)
    tags.add(TagChar.payment_secret, secrets.token_hex(32))
    tags.add(TagChar.payment_hash, secrets.token_hex(32))
    amount = None if amount_msat is None else MilliSatoshi(amount_msat)
    made_at_s = int(time.time()) if made_at_s is None else made_at_s
    return encode(Bolt11(network, made_at_s, tags, amount), secrets.token_hex(32))
