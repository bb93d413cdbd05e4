"""Sounds and pictures: files in, sounds out, each at its price to the msat."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from app.gateways.upstream import UpstreamBrokenError
from projections.follow import verify
from tests.cashier.test_sound import wave_of
from tests.doubles.dialects import SECONDS, SOUND, TEXT
from tests.doubles.upstream import Behaviour
from tests.web.conftest import BODY_BYTES_MAX, UPSTREAM_KEY, bearer

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.web.conftest import House

TRANSCRIPTIONS, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"
SPEECH, EDITS, VARIATIONS = "/v1/audio/speech", "/v1/images/edits", "/v1/images/variations"
CREDIT_MSAT = 999_000
WAVE = wave_of(1)
MP3 = b"\xff\xfb\x90\x00" * 2_000
TOKENS_MSAT = 10 * 1 + 4 * 6 + 3 * 2
"""What the double's answers cost by tokens: text at 1 msat, what was heard at 6, out at 2."""
SPOKEN = "how are you today?"


def send(
    house: House, key: str, path: str, *, file: bytes = WAVE, name: str = "file", **fields: Any
) -> TestResponse:
    """Send a form as the SDKs do: its fields, then its file."""
    data = {"model": "whisper-1", **fields, name: (io.BytesIO(file), "a.wav", "audio/wav")}
    return house.client.post(path, data=data, headers=bearer(key))


def speak(house: House, key: str, **members: Any) -> TestResponse:
    document = {"model": "tts-1", "input": SPOKEN, "voice": "alloy", **members}
    return house.client.post(SPEECH, json=document, headers=bearer(key))


def paid_msat(house: House, key: str) -> int:
    wallet = house.wallet(key)
    assert wallet["reserved"] == 0
    assert verify(house.store, lambda *_: None) is None
    return CREDIT_MSAT - int(wallet["balance"])


def receipt(house: House, key: str, answer: TestResponse) -> dict[str, Any]:
    request_id = answer.headers["x-request-id"]
    found = house.client.get(f"/v1/receipts/{request_id}", headers=bearer(key)).get_json()
    usage: dict[str, Any] = found["receipt"]
    return usage


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, TRANSLATIONS])
def test_a_recording_is_paid_by_its_seconds(house: House, path: str) -> None:
    key = house.key()

    answer = send(house, key, path)

    assert answer.get_json()["text"] == TEXT
    assert answer.get_json()["cost"]["total_msats"] == SECONDS * 100
    assert answer.headers["x-routstr-cost-msats"] == str(SECONDS * 100)
    assert paid_msat(house, key) == SECONDS * 100
    assert receipt(house, key, answer)["usage"]["seconds"] == SECONDS


def test_a_recording_is_paid_by_its_tokens(house: House) -> None:
    key = house.key()

    answer = send(house, key, TRANSCRIPTIONS, model="listener")

    assert paid_msat(house, key) == TOKENS_MSAT == 40
    assert receipt(house, key, answer)["usage"]["audio_tokens"] == 4


def test_a_streamed_transcript_tells_its_cost_in_its_last_event(house: House) -> None:
    key = house.key()

    answer = send(house, key, TRANSCRIPTIONS, model="listener", stream="true")

    last = json.loads(answer.data.strip().split(b"data: ")[-2])
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert last["type"] == "transcript.text.done"
    assert last["usage"]["cost"]["total_msats"] == TOKENS_MSAT
    assert paid_msat(house, key) == TOKENS_MSAT


def test_the_length_that_an_answer_names_is_paid(house: House) -> None:
    key = house.key()

    send(house, key, TRANSCRIPTIONS, response_format="verbose_json")

    # 8.47 seconds are nine begun ones.
    assert paid_msat(house, key) == 900


@pytest.mark.parametrize(
    ("file", "seconds"), [(wave_of(1.5), 2), (MP3, 2), (b"\x00" * 40_001, 11)]
)
def test_a_plain_text_is_estimated_by_the_file(house: House, file: bytes, seconds: int) -> None:
    key = house.key(900_000)

    answer = send(house, key, TRANSCRIPTIONS, file=file, response_format="text")

    assert answer.data.decode() == TEXT
    assert answer.headers["content-type"].startswith("text/plain")
    assert receipt(house, key, answer)["charged_msat"] == seconds * 100
    assert receipt(house, key, answer)["usage"]["estimated"]


@pytest.mark.parametrize(
    ("file", "held_msat"),
    [
        # a wave says how long it is, its head counted in
        (wave_of(1), 2 * 100),
        # MP3 has a thousand bytes a second at least
        (MP3, 8 * 100),
        # anything else may last as long as its model takes: 600 seconds
        (b"OggS" + b"\x00" * 5_000, 600 * 100),
        (b"OggS" + b"\x00" * 6, 10 * 100),
    ],
)
def test_as_much_is_held_as_a_recording_can_last(
    house: House, file: bytes, held_msat: int
) -> None:
    key = house.key()

    answer = send(house, key, TRANSCRIPTIONS, file=file)

    assert receipt(house, key, answer)["held_msat"] == held_msat


def test_the_upstream_reads_the_form_anew_with_our_key(house: House) -> None:
    key = house.key()

    send(house, key, TRANSCRIPTIONS, language="de", prompt="caf\u00e9")

    seen = house.upstream.requests[-1]
    assert seen.headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert seen.headers["content-type"].startswith("multipart/form-data; boundary=tallystick-")
    assert WAVE in seen.body
    assert "caf\u00e9".encode() in seen.body
    assert key.encode() not in seen.body


def test_a_token_pays_for_a_recording_and_its_change_comes_back(house: House) -> None:
    answer = house.client.post(
        TRANSCRIPTIONS,
        data={"model": "whisper-1", "file": (io.BytesIO(WAVE), "a.wav")},
        headers={"X-Cashu": house.mint.fund(100)},
    )

    assert answer.status_code == 200
    assert answer.headers["X-Cashu"].startswith("cashuB")


def test_a_stranger_is_told_the_price_of_a_recording(house: House) -> None:
    answer = house.client.post(
        TRANSCRIPTIONS, data={"model": "whisper-1", "file": (io.BytesIO(WAVE), "a.wav")}
    )

    assert answer.status_code == 402
    assert answer.headers["X-Cashu"].startswith("creqA")


def test_a_retry_of_a_named_form_is_known(house: House) -> None:
    """SDKs write another boundary each time."""
    key = house.key()
    headers = {**bearer(key), "Idempotency-Key": "once"}

    answers = [
        house.client.post(
            TRANSCRIPTIONS,
            data={"model": "whisper-1", "file": (io.BytesIO(file), "a.wav")},
            headers=headers,
        )
        for file in (WAVE, WAVE, MP3)
    ]

    assert [answer.status_code for answer in answers] == [200, 409, 422]
    assert paid_msat(house, key) == SECONDS * 100


@pytest.mark.parametrize(
    ("path", "data", "param", "code"),
    [
        (TRANSCRIPTIONS, {"model": "whisper-1"}, "file", "invalid_value"),
        (TRANSCRIPTIONS, {"model": "whisper-1", "file": "a text"}, "file", "invalid_value"),
        (TRANSCRIPTIONS, {"file": (io.BytesIO(b"x"), "a")}, "model", "invalid_value"),
        (TRANSLATIONS, {"model": "whisper-1", "stream": "true"}, "stream", "invalid_value"),
        (TRANSCRIPTIONS, {"model": "whisper-1", "stream": "yes"}, "stream", "invalid_value"),
        (TRANSCRIPTIONS, {"Model": "x", "model": "whisper-1"}, "Model", "invalid_value"),
        (EDITS, {"model": "painter", "prompt": "x"}, "image", "invalid_value"),
    ],
)
def test_a_form_that_cannot_be_priced_is_refused(
    house: House, path: str, data: dict[str, Any], param: str, code: str
) -> None:
    key = house.key()
    head = house.store.head()

    answer = house.client.post(
        path, data=data, headers=bearer(key), content_type="multipart/form-data"
    )

    assert answer.status_code == 400
    assert (answer.get_json()["error"]["param"], answer.get_json()["error"]["code"]) == (
        param, code,
    )  # fmt: skip
    assert (house.store.head(), house.upstream.requests) == (head, [])


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, TRANSLATIONS, EDITS, VARIATIONS])
def test_json_is_no_form(house: House, path: str) -> None:
    answer = house.client.post(path, json={"model": "whisper-1"}, headers=bearer(house.key()))

    assert answer.status_code == 400
    assert answer.get_json()["error"]["code"] == "invalid_form"


def test_a_file_is_as_long_as_any_body_may_be(house: House) -> None:
    answer = send(house, house.key(), TRANSCRIPTIONS, file=b"\x00" * BODY_BYTES_MAX)

    assert answer.status_code == 413
    assert answer.get_json()["error"]["code"] == "request_too_large"


@pytest.mark.parametrize("number", ["0", "11", "-1", "two", "1.5"])
@pytest.mark.parametrize("path", [EDITS, VARIATIONS])
def test_a_senseless_number_of_pictures_is_refused(
    house: House, path: str, number: str
) -> None:
    answer = send(house, house.key(), path, name="image", model="painter", n=number)

    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == "n"


@pytest.mark.parametrize(
    ("path", "name", "fields", "cost_msat"),
    [
        (EDITS, "image", {"prompt": "a hat", "n": "2", "size": "1024x1024"}, 2 * 40_000),
        (EDITS, "image[]", {"prompt": "a hat", "size": "1024x1024", "quality": "hd"}, 80_000),
        (VARIATIONS, "image", {"n": "3", "size": "1024x1024"}, 3 * 40_000),
        # nobody said of which size: the dearest
        (VARIATIONS, "image", {}, 80_000),
    ],
)
def test_pictures_cost_what_their_size_costs(
    house: House, path: str, name: str, fields: dict[str, Any], cost_msat: int
) -> None:
    key = house.key()

    answer = send(house, key, path, name=name, model="painter", **fields)

    assert len(answer.get_json()["data"]) == int(fields.get("n", 1))
    assert answer.get_json()["cost"]["total_msats"] == cost_msat
    assert paid_msat(house, key) == cost_msat


def test_a_voice_is_paid_by_its_characters_and_comes_as_it_is(house: House) -> None:
    key = house.key()

    answer = speak(house, key)
    sound = answer.data
    answer.close()

    assert sound == b"".join(SOUND)
    assert answer.headers["content-type"] == "audio/mpeg"
    assert paid_msat(house, key) == 18 * 15
    assert receipt(house, key, answer)["usage"]["characters"] == len(SPOKEN) == 18
    assert not receipt(house, key, answer)["usage"]["estimated"]
    assert receipt(house, key, answer)["held_msat"] == 18 * 15


def test_a_voice_in_events_is_paid_by_its_tokens(house: House) -> None:
    key = house.key()

    answer = speak(house, key, model="speaker", stream_format="sse")

    last = json.loads(answer.data.strip().split(b"data: ")[-2])
    assert last["type"] == "speech.audio.done"
    assert last["usage"]["cost"]["total_msats"] == 3 * 1 + 20 * 2
    assert paid_msat(house, key) == 43


def test_a_voice_that_tells_no_tokens_is_estimated(house: House) -> None:
    key = house.key()

    answer = speak(house, key, model="speaker")
    length = len(house.upstream.requests[-1].body)
    answer.get_data()
    answer.close()

    charged = receipt(house, key, answer)
    assert charged["usage"]["estimated"]
    assert charged["charged_msat"] == -(-length // 4) * 1 + 2 * 18 * 2 <= charged["held_msat"]


def test_a_voice_that_breaks_off_costs_nothing_and_its_connection_ends(house: House) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(drops_after_chunks=2, chunk_delay_s=0.05))

    answer = speak(house, key)
    with pytest.raises(UpstreamBrokenError):
        answer.get_data()
    answer.close()

    assert paid_msat(house, key) == 0
    assert house.open_holds() == 0


def test_who_leaves_in_the_middle_of_a_voice_has_paid_for_it(house: House) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(chunk_delay_s=0.005))
    answer = speak(house, key)

    next(iter(answer.response))
    answer.close()

    assert paid_msat(house, key) == 18 * 15
    assert house.open_holds() == 0


@pytest.mark.parametrize("way", ["", "stream"])
def test_the_change_of_a_voice_is_never_mixed_into_it(house: House, way: str) -> None:
    token = house.mint.fund(100)
    document = {"model": "tts-1", "input": SPOKEN, "voice": "alloy"}

    answer = house.client.post(
        SPEECH, json=document, headers={"X-Cashu": token, "X-Cashu-Change": way}
    )
    sound = answer.data
    answer.close()

    assert sound == b"".join(SOUND)
    request_id = answer.headers["x-request-id"]
    change = house.client.get(f"/v1/change/{request_id}", headers={"X-Cashu": token})
    assert change.status_code == 200
    if way:
        assert answer.headers["x-cashu-change"] == "pending"
    else:
        assert answer.headers["X-Cashu"] == change.headers["X-Cashu"]


@pytest.mark.parametrize("text", [None, 5, ["a"], {}])
def test_a_voice_says_a_text(house: House, text: object) -> None:
    answer = speak(house, house.key(), input=text)

    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == "input"


def test_an_error_of_the_voices_upstream_is_told_in_json(house: House) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(status=400))

    answer = speak(house, key)

    assert answer.status_code == 400
    assert answer.get_json()["error"]["message"] == "the double was told to fail"
    assert paid_msat(house, key) == 0
