"""The official `openai` package for Python, of whichever release this environment has."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import openai
from openai import OpenAI

from tests.clients.programs.lines import Said, serve

MAX_TOKENS = 64


def client(base_url: str, key: str, **more: Any) -> OpenAI:
    return OpenAI(base_url=f"{base_url}/v1", api_key=key, **more)


def asking(model: str, question: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {"model": model, "messages": messages, "max_tokens": MAX_TOKENS}


def version() -> Said:
    return {"version": openai.__version__}


def plain(
    base_url: str, key: str, model: str, question: str, headers: dict[str, str] | None = None,
    timeout_s: float = 30.0, retries: int = 2,
) -> Said:  # fmt: skip
    house = client(base_url, key, timeout=timeout_s, max_retries=retries)
    raw = house.chat.completions.with_raw_response.create(
        **asking(model, question), extra_headers=headers or {}
    )
    chat: Any = raw.parse()
    return {
        "text": chat.choices[0].message.content,
        "tokens": [chat.usage.prompt_tokens, chat.usage.completion_tokens],
        "cost_msat": chat.usage.cost["total_msats"],
        "header_msat": int(raw.headers["x-routstr-cost-msats"]),
        "request_id": raw.headers["x-request-id"],
    }


def stream(base_url: str, key: str, model: str, question: str, *, usage: bool) -> Said:
    options: Any = {"stream_options": {"include_usage": True}} if usage else {}
    chunks: Any = client(base_url, key).chat.completions.create(
        **asking(model, question), stream=True, **options
    )
    text, told = "", None
    for chunk in chunks:
        told = chunk.usage or told
        if usage and not chunk.choices:
            continue
        # Without usage asked for, everybody writes this, and nobody looks for no choices.
        text += chunk.choices[0].delta.content or ""
    if told is None:
        return {"text": text}
    tokens = [told.prompt_tokens, told.completion_tokens]
    return {"text": text, "tokens": tokens, "cost_msat": told.cost["total_msats"]}


def models(base_url: str, key: str) -> Said:
    return {"ids": [model.id for model in client(base_url, key).models.list()]}


def model(base_url: str, key: str, model: str) -> Said:
    return {"ids": [client(base_url, key).models.retrieve(model).id]}


def embeddings(base_url: str, key: str, model: str, texts: list[str]) -> Said:
    # No encoding_format: the package asks for base64 by itself.
    answer = client(base_url, key).embeddings.create(model=model, input=texts)
    return {"vectors": [entry.embedding for entry in answer.data]}


def images(base_url: str, key: str, model: str, prompt: str, count: int) -> Said:
    answer = client(base_url, key).images.generate(model=model, prompt=prompt, n=count)
    return {"images": [each.b64_json for each in answer.data or ()]}


def edit(base_url: str, key: str, model: str, prompt: str, count: int) -> Said:
    picture = ("stick.png", b"a picture", "image/png")
    answer = client(base_url, key).images.edit(
        model=model, image=picture, prompt=prompt, n=count
    )
    return {"images": [each.b64_json for each in answer.data or ()]}


def listen(base_url: str, key: str, model: str, recording: str) -> Said:
    file = ("a.wav", b64decode(recording), "audio/wav")
    heard: Any = client(base_url, key).audio.transcriptions.create(model=model, file=file)
    return {"text": heard.text}


def speak(base_url: str, key: str, model: str, text: str) -> Said:
    spoken = client(base_url, key).audio.speech.create(model=model, voice="alloy", input=text)
    return {"sound": b64encode(spoken.read()).decode()}


def responses(base_url: str, key: str, model: str, question: str) -> Said:
    answer = client(base_url, key).responses.create(
        model=model, input=question, max_output_tokens=MAX_TOKENS
    )
    assert answer.usage is not None
    tokens = [answer.usage.input_tokens, answer.usage.output_tokens]
    return {"text": answer.output_text, "tokens": tokens}


def responses_stream(base_url: str, key: str, model: str, question: str) -> Said:
    events = client(base_url, key).responses.create(
        model=model, input=question, max_output_tokens=MAX_TOKENS, stream=True
    )
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    return {"text": text}


def tools(base_url: str, key: str, model: str, question: str, tool: dict[str, Any]) -> Said:
    given: Any = {**asking(model, question), "tools": [tool]}
    chat: Any = client(base_url, key).chat.completions.create(**given)
    functions = [call.function for call in chat.choices[0].message.tool_calls]
    return {"calls": [[each.name, each.arguments] for each in functions]}


def tools_stream(
    base_url: str, key: str, model: str, question: str, tool: dict[str, Any]
) -> Said:
    given: Any = {**asking(model, question), "tools": [tool]}
    with client(base_url, key).chat.completions.stream(**given) as events:
        chat: Any = events.get_final_completion()
    functions = [call.function for call in chat.choices[0].message.tool_calls]
    return {"calls": [[each.name, each.arguments] for each in functions]}


if __name__ == "__main__":
    acts = (
        version, plain, stream, models, model, embeddings, images, edit, listen, speak,
        responses, responses_stream, tools, tools_stream,
    )  # fmt: skip
    serve({act.__name__: act for act in acts}, openai.OpenAIError)
