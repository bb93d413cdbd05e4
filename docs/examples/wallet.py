"""Buys a key with a Cashu token, adds to it, asks a question, and takes home what is left.

    CASHU_TOKEN=cashuB... python wallet.py
    CASHU_TOKEN=cashuB... TOPUP_TOKEN=cashuB... python wallet.py

Prints the token of what is left: whoever has it has the money. Needs `pip install openai`.
"""

import os

import httpx
from openai import OpenAI

base_url = os.environ.get("BASE_URL", "http://127.0.0.1:8000/v1")
house = httpx.Client(base_url=base_url, timeout=60)


def told(answer):
    answer.raise_for_status()
    return answer.json()


bought = told(
    house.post("/wallet/create", json={"initial_balance_token": os.environ["CASHU_TOKEN"]})
)
key = bought["api_key"]
house.headers["Authorization"] = f"Bearer {key}"
print("bought:", bought["balance"], "msat")

if "TOPUP_TOKEN" in os.environ:
    added = told(house.post("/wallet/topup", json={"cashu_token": os.environ["TOPUP_TOKEN"]}))
    print("added:", added["msats"], "msat")

answer = OpenAI(base_url=base_url, api_key=key).chat.completions.create(
    model=os.environ.get("MODEL", "openai/gpt-4o-mini"),
    messages=[{"role": "user", "content": "What is a tally stick?"}],
    max_tokens=200,
)
print("answer:", answer.choices[0].message.content)
print("cost:", answer.usage.cost["total_msats"], "msat")
print("left:", told(house.get("/wallet/info"))["balance"], "msat")

# Asked again it returns the same token, until that is redeemed: nothing is lost on the way.
refund = told(house.post("/wallet/refund"))
print("refund:", refund["token"])
