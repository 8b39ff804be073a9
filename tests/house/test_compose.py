"""compose.yaml is a compose file, what it names is there, and it gives nobody more than they need.
No container is started: there is no Docker here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tomllib
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from django.core.management import get_commands, load_command_class

from chatsite import proxies
from chatsite.supervisor import broker
from tests.house import composed
from tests.house.sources import ROOT
from tests.house.sources import ours as our_files
from tests.lacking import lack

VENDOR = ROOT / "tests" / "house" / "vendor"
SETTING = re.compile(r"CHATSITE_[A-Z_]*[A-Z]")
# Read by others than us.
OTHERS = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "DATABASE_URL", "REDIS_URL"}
EVERYWHERE = "0.0.0.0"  # noqa: S104 - compared with


def validator() -> Any:
    schema = json.loads((VENDOR / "compose-spec.json").read_text())
    return jsonschema_rs.Draft7Validator(schema)


def test_it_works() -> None:
    assert [error.message for error in validator().iter_errors(composed.read())] == []


def test_the_schema_sees_mistakes() -> None:
    wrong = composed.read()
    wrong["services"]["web"]["restrat"] = "always"
    assert not validator().is_valid(wrong)


def test_the_schema_is_the_one_that_was_published() -> None:
    for name, about in json.loads((VENDOR / "manifest.json").read_text()).items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == about["sha256"]


@pytest.mark.parametrize("kind", ["volumes", "secrets", "configs", "networks"])
def test_what_services_use_is_defined_and_what_is_defined_is_used(kind: str) -> None:
    used = set()
    for service in composed.services().values():
        for entry in service.get(kind, ()):
            named = entry if isinstance(entry, str) else entry["source"]
            used.add(named.partition(":")[0])
    assert used == set(composed.read()[kind])


def test_services_wait_for_services_that_say_when_they_are_ready() -> None:
    services = composed.services()
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            ready = "healthcheck" in services[name]
            ends = services[name]["restart"] == "no"
            expected = {"service_healthy": ready, "service_completed_successfully": ends}
            assert expected[how["condition"]]


@pytest.mark.parametrize("name", composed.ours())
def test_its_command_is_one_of_ours(name: str) -> None:
    python, program, command, *options = composed.ours()[name]["command"]
    assert (python, program) == ("python", "manage.py")
    parser = load_command_class(get_commands()[command], command).create_parser(program, command)
    parser.parse_args(options)


def test_its_environment_is_read_by_somebody() -> None:
    known = OTHERS.copy()
    for path in our_files(".py"):
        if not path.is_relative_to(ROOT / "tests"):
            known |= set(SETTING.findall(path.read_text()))
    told = {
        name for service in composed.services().values() for name in service.get("environment", {})
    }
    assert {name.removesuffix("_FILE") for name in told} - known == set()


def test_a_worker_is_told_no_database() -> None:
    for name in ("worker-cpu", "worker-gpu"):
        service = composed.services()[name]
        assert not [each for each in service["environment"] if "DATABASE" in each]
        assert not {"database_url", "postgres_password"} & set(service["secrets"])


def test_what_is_read_from_a_file_is_a_secret_of_that_service() -> None:
    for service in composed.services().values():
        mounted = {
            f"/run/secrets/{each if isinstance(each, str) else each['target']}"
            for each in service.get("secrets", ())
        }
        told = service.get("environment", {}).items()
        files = {value for name, value in told if name.endswith("_FILE")}
        assert files <= mounted
        assert not [name for name, _ in told if re.search(r"(SECRET_KEY|PASSWORD|_URL)$", name)]


def test_the_secrets_are_made_by_one_command_and_never_made_anew(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    files = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    wanted = {Path(each["file"]).name for each in composed.read()["secrets"].values()}
    assert wanted <= set(files)
    assert files["postgres_password"] in files["database_url"]
    assert files["redis_auth"].split()[1] in files["redis_url"]
    assert len({files["secret_key"], files["postgres_password"], files["redis_password"]}) == 3
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    make_secrets(tmp_path)
    assert files == {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}


def make_secrets(folder: Path) -> None:
    if shutil.which("openssl") is None:
        lack("openssl is not installed.")
    (folder / "docker").mkdir(exist_ok=True)
    shutil.copy(ROOT / "docker" / "secrets.sh", folder / "docker")
    command = ["docker/secrets.sh", "--tls", "chat.office.lan"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=30)


def test_a_certificate_of_ones_own_can_be_read_by_the_proxy(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    own = tmp_path / "secrets" / "tls.key"
    own.write_text("a key")
    own.chmod(0o600)
    make_secrets(tmp_path)
    assert own.stat().st_mode & 0o777 == 0o444


def test_secrets_are_kept_out_of_the_repository() -> None:
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_its_files_are_there() -> None:
    for config in composed.read()["configs"].values():
        assert (ROOT / config["file"]).is_file()
    for name, service in composed.ours().items():
        assert (ROOT / service["build"]["context"] / "Dockerfile").is_file()
        assert service["build"]["target"] in composed.stages()
        if "healthcheck" in service:
            _, python, script, *_ = service["healthcheck"]["test"]
            assert python == "python"
            assert (ROOT / script).is_file(), name


def test_the_images_have_the_version_of_the_product() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {each["image"].split(":")[1] for each in composed.ours().values()} == {version}


@pytest.mark.parametrize("name", composed.services())
def test_a_container_may_do_little(name: str) -> None:
    service = composed.services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    user = service.get("user") or user_of(service["build"]["target"])
    assert int(user.partition(":")[0]) > 0


def user_of(stage: str) -> str:
    return [line.split()[1] for line in composed.stages()[stage] if line.startswith("USER ")][-1]


@pytest.mark.parametrize("name", set(composed.services()) - {"prepare"})
def test_a_container_is_looked_after(name: str) -> None:
    service = composed.services()[name]
    assert service["restart"] == "unless-stopped"
    assert "memory" in service["deploy"]["resources"]["reservations"]
    assert "healthcheck" in service


def test_only_the_site_is_open_to_the_network_as_it_comes() -> None:
    opened = {
        name
        for name, service in composed.services().items()
        for port in service.get("ports", ())
        if port.startswith(EVERYWHERE)
    }
    assert opened == {"web", "proxy"}
    for service in composed.services().values():
        assert all(port.count(":") == 2 for port in service.get("ports", ()))


def test_workers_and_the_proxy_do_not_reach_the_database() -> None:
    assert composed.read()["networks"]["data"]["internal"] is True
    on = {
        name
        for name, service in composed.services().items()
        if "data" in service.get("networks", ())
    }
    assert on == {"postgres", "prepare", "web", "steward"}
    assert composed.services()["postgres"]["networks"] == ["data"]


def test_the_proxy_has_the_address_that_the_site_believes() -> None:
    for values in ({}, {"OFFICE_NET": "10.1.2"}):
        services = composed.services(**values)
        address = services["proxy"]["networks"]["front"]["ipv4_address"]
        assert services["web"]["environment"]["CHATSITE_PROXIES"] == f"{address},"
        # Docker gives the web processes others: those of `ip_range`.
        [config] = composed.read(**values)["networks"]["front"]["ipam"]["config"]
        assert config["subnet"] == address.rpartition(".")[0] + ".0/24"
        given, taken = ip_network(config["ip_range"]), ip_address(address)
        assert taken in ip_network(config["subnet"])
        assert taken not in given
        assert taken != ip_address(config["gateway"])
    named = composed.services(CHATSITE_PROXIES="10.0.0.7")["web"]["environment"]["CHATSITE_PROXIES"]
    assert proxies.named(named.split(",")) == proxies.named(["172.30.57.2", "10.0.0.7"])


def test_uploads_reach_the_worker_beside() -> None:
    """It is found by its name, and both have the same folder of models at the same place."""
    web, worker = composed.services()["web"], composed.services()["worker-cpu"]
    assert web["hostname"] == worker["hostname"]
    assert "models:/data/models" in set(web["volumes"]) & set(worker["volumes"])


def test_each_variable_of_the_example_is_used_and_what_must_be_set_is_in_it() -> None:
    example = (ROOT / ".env.example").read_text()
    shown = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE)) - {"COMPOSE_PROFILES"}
    used = {found[1]: found[2] for found in composed.VARIABLE.finditer(composed.text())}
    assert shown <= set(used)
    lines = dict(re.findall(r"^([A-Z_]+)=(.*)$", example, re.MULTILINE))
    assert {name for name, sign in used.items() if sign == "?"} == set(lines) == {"CHATSITE_HOSTS"}
    profiles = {
        each for service in composed.services().values() for each in service.get("profiles", ())
    }
    assert profiles == {"gpu", "tls"}


def test_the_broker_runs_as_the_embedded_one(tmp_path: Path) -> None:
    (tmp_path / "valkey").mkdir()
    words = broker.command(tmp_path, tmp_path / "valkey.sock")[1:]
    embedded = {name.removeprefix("--"): value for name, value in pairwise(words) if "--" in name}
    told = dict(
        line.split(" ", 1)
        for line in (ROOT / "docker" / "valkey.conf").read_text().splitlines()
        if line and not line.startswith("#")
    )
    kept = {
        name: value.strip('"') for name, value in told.items() if name not in {"include", "dir"}
    }
    assert kept.items() <= embedded.items()
    assert len(kept) == 6


def test_the_scripts_can_be_started() -> None:
    for path in (ROOT / "docker").glob("*.sh"):
        assert os.access(path, os.X_OK), path


def test_what_the_linter_leaves_out_is_little() -> None:
    rules = json.loads((ROOT / "docker" / "dclint.json").read_text())["rules"]
    # Orders of keys, that images have names, and a rule that takes variables for missing addresses.
    assert len([rule for rule in rules.values() if rule == 0]) == 6


def test_it_is_yaml_without_tricks() -> None:
    assert yaml.safe_load(composed.text())["name"] == "chatsite"
