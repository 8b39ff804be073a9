"""R20: connections go to the one place that an admin named, to an address that was judged, and
nowhere else."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from inference.remote import egress
from inference.remote.line import Line, Patience
from inference.remote.permit import Permit
from inference.remote.troubles import Trouble
from tests.upstream import Upstream

# Address, and where it may be used: nowhere, inside (where the admin said so) or everywhere.
TABLE = [
    ("https://8.8.8.8/v1", "everywhere"),
    ("https://[2606:4700:4700::1111]/v1", "everywhere"),
    # Without TLS everybody on the way would read the key.
    ("http://8.8.8.8/v1", "inside"),
    ("http://127.0.0.1:8000/v1", "inside"),
    ("https://127.0.0.1/v1", "inside"),
    ("http://localhost:11434/v1", "inside"),
    ("http://LOCALHOST:11434/v1", "inside"),
    ("http://[::1]:8000/v1", "inside"),
    ("http://10.1.2.3/v1", "inside"),
    ("https://172.16.0.9/v1", "inside"),
    ("https://192.168.1.20:8443/v1", "inside"),
    ("https://100.64.0.1/v1", "inside"),
    ("https://198.18.0.1/v1", "inside"),
    ("https://[fd12:3456::1]/v1", "inside"),
    ("https://[fe80::1]/v1", "inside"),
    ("https://[fec0::1]/v1", "inside"),
    # IPv4 in an IPv6 address
    ("https://[::ffff:10.0.0.1]/v1", "inside"),
    ("https://[::ffff:127.0.0.1]/v1", "inside"),
    ("https://[64:ff9b::192.168.0.1]/v1", "inside"),
    ("https://[2002:c0a8:0001::1]/v1", "inside"),
    # What a cloud tells its machines about themselves, in every dress
    ("http://169.254.169.254/v1", "nowhere"),
    ("https://169.254.169.254/v1", "nowhere"),
    ("https://169.254.0.1/v1", "nowhere"),
    ("https://[fd00:ec2::254]/v1", "nowhere"),
    ("https://[fd20:ce::254]/v1", "nowhere"),
    ("https://100.100.100.200/v1", "nowhere"),
    ("http://168.63.129.16/v1", "nowhere"),
    ("https://[::ffff:169.254.169.254]/v1", "nowhere"),
    ("https://[64:ff9b::169.254.169.254]/v1", "nowhere"),
    ("https://[2002:a9fe:a9fe::1]/v1", "nowhere"),
    ("https://[::169.254.169.254]/v1", "nowhere"),
    # No machine's address
    ("http://0.0.0.0:8000/v1", "nowhere"),
    ("http://[::]:8000/v1", "nowhere"),
    ("https://224.0.0.1/v1", "nowhere"),
    ("https://255.255.255.255/v1", "nowhere"),
    # Other ways to write an address
    ("http://2130706433/v1", "nowhere"),
    ("http://0x7f000001/v1", "nowhere"),
    ("http://127.1/v1", "nowhere"),
    ("http://0177.0.0.1/v1", "nowhere"),
    ("https://[fe80::1%25eth0]/v1", "nowhere"),
    # More than scheme, host, port and path
    ("https://8.8.8.8@127.0.0.1/v1", "nowhere"),
    ("https://user:word@8.8.8.8/v1", "nowhere"),
    ("https://8.8.8.8\\@127.0.0.1/v1", "nowhere"),
    ("https://8.8.8.8/v1?next=http://127.0.0.1", "nowhere"),
    ("https://8.8.8.8/v1#@127.0.0.1", "nowhere"),
    ("https://8.8.8.8/v1/../../admin", "nowhere"),
    ("https://8.8.8.8/v1%2f..%2fadmin", "nowhere"),
    ("https://8.8.8.8:99999/v1", "nowhere"),
    ("https://8.8.8.8:0/v1", "nowhere"),
    ("https://8.8.8.8 /v1", "nowhere"),
    ("https://8.8.8.8\t/v1", "nowhere"),
    ("https://8.8.8.8\r\nHost: evil/v1", "nowhere"),
    ("https:///v1", "nowhere"),
    ("https://-evil-/v1", "nowhere"),
    ("//8.8.8.8/v1", "nowhere"),
    ("8.8.8.8/v1", "nowhere"),
    ("ftp://8.8.8.8/v1", "nowhere"),
    ("file:///etc/passwd", "nowhere"),
    ("unix:///run/valkey.sock", "nowhere"),
    ("javascript:alert(1)", "nowhere"),
    ("", "nowhere"),
]


def goes(url: str, *, inside: bool) -> bool:
    try:
        return bool(egress.resolve(egress.parse(url), inside=inside))
    except Trouble as trouble:
        if trouble.kind in {"remote_address", "remote_blocked"}:
            return False
        raise


@pytest.mark.parametrize(("url", "where"), TABLE)
def test_r20_addresses(url: str, where: str) -> None:
    assert goes(url, inside=False) == (where == "everywhere")
    assert goes(url, inside=True) == (where != "nowhere")


def test_the_parts_of_an_address() -> None:
    base = egress.parse("HTTPS://API.Example.com:443/openai/v1/")
    assert base == egress.Base("https", "api.example.com", 443, "/openai/v1")
    assert base.url == "https://api.example.com/openai/v1"
    assert egress.parse("http://[::1]:8000").url == "http://[::1]:8000"
    assert egress.parse("https://müller.example/v1").host == "xn--mller-kva.example"


def test_r20_a_name_that_answers_with_both_kinds_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look_up(*_: object, **__: object) -> list[object]:
        kinds = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kinds, ("8.8.8.8", 443)), (*kinds, ("10.0.0.1", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(Trouble) as trouble:
        egress.resolve(egress.parse("https://two.example/v1"), inside=False)
    assert trouble.value.kind == "remote_blocked"


def test_r20_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its mind after it was judged (rebinding) finds nobody who asks again."""
    asked: list[str] = []
    genuine = socket.getaddrinfo

    def look_up(host: str, *rest: object, **more: object) -> object:
        asked.append(host)
        return genuine("127.0.0.1", *rest, **more)  # type: ignore[arg-type]

    with Upstream() as upstream:
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        base = egress.parse(f"http://server.example:{upstream.port}/v1")
        egress.connect(base, inside=True, timeout=5).close()
    # The connection itself goes to the address, which the library looks up as what it is.
    assert asked[0] == "server.example"
    assert set(asked[1:]) <= {"127.0.0.1"}


@pytest.mark.parametrize("word", ["http_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_r20_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv(word, "http://127.0.0.1:9")
    with Upstream() as upstream:
        line = Line(Permit(upstream.base_url, inside=True), Patience())
        assert line.get("/models")["data"]
        line.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of a server that is called localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine trusts the server's certificate, as SSL_CERT_FILE says it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    egress.trust.cache_clear()
    yield
    egress.trust.cache_clear()


def test_tls_wants_a_certificate_that_is_trusted(certificate: Path) -> None:
    egress.trust.cache_clear()
    with Upstream(certificate) as upstream:
        base = egress.parse(f"https://localhost:{upstream.port}/v1")
        with pytest.raises(Trouble) as trouble:
            egress.connect(base, inside=True, timeout=5)
    assert trouble.value.kind == "remote_untrusted"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_tls_wants_the_name_that_the_admin_gave(
    certificate: Path, trusted: None, host: str
) -> None:
    with Upstream(certificate) as upstream:
        base = egress.parse(f"https://{host}:{upstream.port}/v1")
        if host == "localhost":
            with egress.connect(base, inside=True, timeout=5) as secure:
                assert isinstance(secure, ssl.SSLSocket)
            return
        with pytest.raises(Trouble) as trouble:
            egress.connect(base, inside=True, timeout=5)
    assert trouble.value.kind == "remote_untrusted"


def test_an_answer_over_tls_and_its_end_from_another_thread(
    certificate: Path, trusted: None
) -> None:
    body = {"model": "words", "stream": True, "messages": [{"role": "user", "content": "one two"}]}
    with Upstream(certificate) as upstream:
        permit = Permit(f"https://localhost:{upstream.port}/v1", inside=True)
        line = Line(permit, Patience())
        line.post("/chat/completions", body)
        assert b"data: [DONE]" in list(line.lines())
        line.close()
        line = Line(permit, Patience())
        line.post("/chat/completions", {**body, "model": "stalls"})
        lines = line.lines()
        assert next(lines).startswith(b"data:")
        threading.Timer(0.1, line.hang_up).start()
        with pytest.raises(Trouble) as trouble:
            list(lines)
        line.close()
        assert upstream.left.wait(5)
    assert trouble.value.kind == "remote_cut"


def test_the_judgement_of_addresses_that_carry_others() -> None:
    # Teredo: the server's address, and the client's turned around.
    base = egress.parse("https://a.example/v1")
    hidden = ip_address("2001:0:808:808::5601:5601")
    assert not egress.judge(base, hidden, inside=True)
