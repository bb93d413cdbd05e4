"""Makes Lightning invoices that no mint has made."""

from __future__ import annotations

import secrets
import time

from bolt11 import Bolt11, Feature, Features, FeatureState, MilliSatoshi, TagChar, Tags, encode


def invoice(amount_sat: int) -> str:
    """Return a signed BOLT 11 invoice over `amount_sat`, valid for an hour."""
    tags = Tags()
    tags.add(
        TagChar.features,
        Features.from_feature_list({Feature.payment_secret: FeatureState.supported}),
    )
    tags.add(TagChar.description, "")
    tags.add(TagChar.expire_time, 3_600)
    tags.add(TagChar.payment_secret, secrets.token_hex(32))
    tags.add(TagChar.payment_hash, secrets.token_hex(32))
    bill = Bolt11("bc", int(time.time()), tags, MilliSatoshi(1_000 * amount_sat))
    return encode(bill, secrets.token_hex(32))
