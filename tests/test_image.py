"""The image and the containers are described as those who build and run them want it."""

from __future__ import annotations

import json
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from app.environment import load_settings
from app.settings import Settings
from tests.image import instructions

ROOT = Path(__file__).parent.parent


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
    return found


def test_the_linter_of_dockerfiles_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")

    said = subprocess.run(
        [hadolint, "--no-color", ROOT / "Dockerfile"],
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (said.returncode, said.stdout.decode(), said.stderr.decode()) == (0, "", "")


def test_the_inline_image_of_tor_passes_the_linter_too(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(services()["tor"]["build"]["dockerfile_inline"])
    hadolint = Path(sys.executable).with_name("hadolint")

    said = subprocess.run(
        # Debian keeps one version of Tor: what was current yesterday is not there today.
        [hadolint, "--no-color", "--ignore", "DL3008", file],
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (said.returncode, said.stdout.decode()) == (0, "")


def test_nobody_in_the_image_is_root_and_its_health_is_asked_for() -> None:
    found = instructions((ROOT / "Dockerfile").read_text())
    last_stage = found[max(n for n, each in enumerate(found) if each.name == "FROM") :]

    said = {each.name: each.text for each in last_stage}

    assert said["USER"] == "10001:10001"
    assert "/healthz" in said["HEALTHCHECK"]
    assert said["VOLUME"] == "/data"
    assert json.loads(said["CMD"]) == ["tallystick", "serve"]


def test_the_services_are_as_the_specification_of_compose_wants_them() -> None:
    document = yaml.safe_load((ROOT / "compose.yml").read_text())

    read = PyCompose.from_json(json.dumps(document))

    assert set(read.service_names()) == {"house", "postgres", "tor", "trial", "mint"}


def test_the_house_alone_is_started_unless_more_is_asked_for() -> None:
    by_themselves = {name for name, each in services().items() if "profiles" not in each}

    assert by_themselves == {"house"}


@pytest.mark.parametrize("name", ["house", "trial", "mint", "tor"])
def test_a_service_of_ours_writes_to_its_volumes_only_and_may_do_nothing_special(
    name: str,
) -> None:
    service = services()[name]

    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108  (in the container)
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_port_is_open_to_the_world() -> None:
    ports = [port for each in services().values() for port in each.get("ports", ())]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", ["house", "trial"])
def test_what_a_service_sets_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    of_service = services()[name]["environment"]
    needed = {
        "UPSTREAM_BASE_URL": "https://upstream.example/v1",
        "CASHU_MINTS": "https://mint.example",
        # The first test vector of BIP-39; it holds no money.
        "WALLET_SEED": "abandon " * 11 + "about",
    }
    for variable, value in (needed | of_service).items():
        monkeypatch.setenv(variable, value)

    settings = load_settings(env_file=None)

    assert {variable.lower() for variable in of_service} <= settings.model_fields_set


def test_the_onion_service_leads_to_the_house_though_it_starts_before_it() -> None:
    """Tor looks the name of a machine up once, when it starts; nobody has that name then."""
    house, words = services()["house"], services()["tor"]["command"]

    _, target = words[words.index("--HiddenServicePort") + 1].split()

    address = house["networks"]["default"]["ipv4_address"]
    assert target == f"{address}:{house['environment']['PORT']}"


def test_the_address_of_the_house_is_one_of_its_network() -> None:
    document = yaml.safe_load((ROOT / "compose.yml").read_text())
    (ours,) = document["networks"]["default"]["ipam"]["config"]

    address = document["services"]["house"]["networks"]["default"]["ipv4_address"]

    assert ip_network(ours["subnet"]).is_private
    assert ip_address(address) in ip_network(ours["subnet"])
