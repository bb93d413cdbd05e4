"""Pays for each request by itself (NUT-24): no account, and the change pays for the next one.

    CASHU_TOKEN=cashuB... python nut24.py "What is a tally stick?" "Who kept which half?"

Each answer brings the change as a token, which pays for the next question; the last change is
printed. A request that was not served brings everything back. Needs `pip install openai`.
"""

import os
import sys

from openai import APIStatusError, Omit, OpenAI

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8000/v1"),
    # There is no key; the SDK wants one, and is told below not to send it.
    api_key="none",
    # A token pays once: to send it again by itself would be of no use.
    max_retries=0,
)


def ask(question, headers):
    return client.chat.completions.with_raw_response.create(
        model=os.environ.get("MODEL", "openai/gpt-4o-mini"),
        messages=[{"role": "user", "content": question}],
        max_tokens=200,
        extra_headers={"Authorization": Omit(), **headers},
    )


def price_of(question):
    """Ask without paying: 402 says what this very request costs, as wallets read it."""
    try:
        ask(question, {})
    except APIStatusError as error:
        if error.status_code != 402:
            raise
        return error.response.headers["X-Cashu"]


token = os.environ["CASHU_TOKEN"]
for question in sys.argv[1:]:
    print("asked for:", price_of(question))
    try:
        answer = ask(question, {"X-Cashu": token})
    except APIStatusError as error:
        # What was sent comes back, as it is or as a token of the same worth.
        sys.exit(f"{error.message}\ntoken: {error.response.headers.get('X-Cashu', token)}")
    print("answer:", answer.parse().choices[0].message.content)
    token = answer.headers.get("X-Cashu", "")
    if not token:
        sys.exit("There is no change: the token is used up.")
print("change:", token)
