"""A client that is known by its certificate, and a server whose certificate an authority of its own has signed."""

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socketserver import BaseRequestHandler

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from ingest_assets.errors import ConfigError, RequestFailed, TransientFailure
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from ingest_assets.http.retry import RetryPolicy
from ingest_assets.http.tls import Tls
from ingest_assets_tests.loopback import Replying, serving


@dataclass
class Signed:
    """A key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def made(name, by=None):
    """A new key with a certificate for loopback, signed by another or by itself, as strictly as RFC 5280 wants it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    may_sign = dict.fromkeys(("key_cert_sign", "crl_sign"), by is None)
    uses = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
        **may_sign,
    )
    issuer = by.key if by else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(uses, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    return Signed(key, builder.sign(issuer, hashes.SHA256()))


@dataclass
class Files:
    folder: Path

    def certificate(self, name, signed):
        return self._write(f"{name}.pem", signed.certificate.public_bytes(serialization.Encoding.PEM))

    def key(self, name, signed, password=None):
        hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
        return self._write(f"{name}.key", signed.key.private_bytes(*form))

    def _write(self, name, text):
        (self.folder / name).write_bytes(text)
        return str(self.folder / name)


class Handler(Replying):
    """Says whose certificate it has seen."""

    def get(self):
        subject = dict(pair[0] for pair in self.connection.getpeercert().get("subject", ()))
        self.send(200, subject.get("commonName", "nobody").encode())


@pytest.fixture(scope="module")
def authority():
    return made("authority")


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


class Refusing(BaseRequestHandler):
    """Shakes hands, and stays until what it says to a client without a good certificate has arrived."""

    def handle(self):
        with self.server.context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False) as stream:
            with pytest.raises(ssl.SSLError):
                stream.do_handshake()
            socket.socket.shutdown(stream, socket.SHUT_WR)
            while socket.socket.recv(stream, 4096):
                pass


@pytest.fixture
def context(authority, files):
    """That of a server which wants certificates of its authority."""
    signed, made_context = made("server", authority), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made_context.load_cert_chain(files.certificate("server", signed), files.key("server", signed))
    made_context.load_verify_locations(files.certificate("authority", authority))
    made_context.verify_mode = ssl.CERT_REQUIRED
    return made_context


@pytest.fixture
def server(context):
    with serving(Handler) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        yield running.url.replace("http:", "https:")


def page(url, **tls):
    retry = RetryPolicy(attempts=1)
    with Client(url, tls=Tls(**tls) if tls else None, retry=retry) as client:
        return client.fetch(PageRequest(url), lambda response: b"".join(response.chunks()))


def test_the_client_is_known_by_its_certificate(server, authority, files):
    mine = made("ingest", authority)
    paths = {"certificate": files.certificate("mine", mine), "key": files.key("mine", mine)}

    assert page(server, authority=files.certificate("authority", authority), **paths) == b"ingest"


def test_key_and_certificate_may_stand_in_one_file(server, authority, files):
    mine = made("ingest", authority)
    both = Path(files.key("mine", mine)).read_text() + Path(files.certificate("mine", mine)).read_text()
    (files.folder / "both.pem").write_text(both)

    told = page(server, authority=files.certificate("authority", authority), certificate=str(files.folder / "both.pem"))

    assert told == b"ingest"


def test_an_authority_of_the_source_counts_more_than_one_of_the_environment(server, authority, files, monkeypatch):
    mine = made("ingest", authority)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", files.certificate("other", made("other")))
    paths = {"certificate": files.certificate("mine", mine), "key": files.key("mine", mine)}

    assert page(server, authority=files.certificate("authority", authority), **paths) == b"ingest"


def test_a_server_whose_authority_is_not_trusted_is_refused(server):
    with pytest.raises(RequestFailed, match="certificate is not trusted"):
        page(server)


def test_without_a_certificate_there_is_no_connection(server, authority, files):
    with pytest.raises((TransientFailure, RequestFailed)):
        page(server, authority=files.certificate("authority", authority))


@pytest.mark.parametrize(
    ("signed_by", "says"),
    [
        ("nobody", r"it wants one: name it as `tls: \{certificate: …\}`"),
        ("another", r"check that the server trusts who signed `tls: certificate`, and how long it is good"),
    ],
)
def test_a_certificate_that_the_server_does_not_take_is_told_and_asked_for_no_second_time(
    authority, files, context, signed_by, says
):
    mine = made("ingest", made("another"))
    paths = {"certificate": files.certificate("mine", mine), "key": files.key("mine", mine)}
    given = {"authority": files.certificate("authority", authority)} | (paths if signed_by == "another" else {})

    with serving(Refusing, context=context) as running, pytest.raises(RequestFailed, match=says) as failed:
        page(running.url.replace("http:", "https:"), **given)

    assert "the server does not take the client's certificate" in str(failed.value)


def test_what_cannot_be_used_is_told_before_anything_is_sent(files, authority):
    mine, other = made("ingest", authority), made("other", authority)
    certificate, key = files.certificate("mine", mine), files.key("mine", mine)
    locked, others = files.key("locked", mine, b"password"), files.key("other", other)
    wrong = {
        "tls: certificate: there is no file /none.pem": {"certificate": "/none.pem"},
        "tls: certificate: cannot be used: KEY_VALUES_MISMATCH": {"certificate": certificate, "key": others},
        "tls: certificate: cannot be used": {"certificate": certificate, "key": locked},
        "tls: authority: cannot be used": {"authority": key},
    }

    for says, given in wrong.items():
        with pytest.raises(ConfigError, match=says):
            page("https://127.0.0.1:1", **given)


def test_a_description_says_something():
    for given in ({}, {"key": "a.key", "authority": "a.pem"}):
        with pytest.raises(ValidationError, match="expected certificate"):
            Tls(**given)
