"""Asks questions with the official OpenAI client, paid by a Cashu token, as they stream.

    CASHU_TOKEN=cashuB... python example.py

The token is the key: the first question redeems it, and the account it opens keeps what is
left for the next run. Needs `pip install openai`.
"""

import os
import sys

from openai import APIStatusError, OpenAI

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ["CASHU_TOKEN"],
)
model = os.environ.get("MODEL", "openai/gpt-4o-mini")
messages = []

for question in sys.stdin:
    messages.append({"role": "user", "content": question.strip()})
    try:
        stream = client.chat.completions.create(
            model=model,
            messages=messages,
            max_tokens=200,
            stream=True,
            stream_options={"include_usage": True},
        )
    except APIStatusError as error:
        sys.exit(f"{error.status_code}: {error.message}")
    answer = ""
    for chunk in stream:
        if chunk.choices:
            piece = chunk.choices[0].delta.content or ""
            print(piece, end="", flush=True)
            answer += piece
        elif chunk.usage:
            print(f"\n({chunk.usage.cost['total_msats']} msat)")
    messages.append({"role": "assistant", "content": answer})
