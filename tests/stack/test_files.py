"""Every template is rendered, and what it makes is taken by the programs that it is for."""

import ipaddress
import os
import shutil
import stat
import subprocess
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from valkey import Valkey

from app.embedded.binaries import postgres_program, valkey_program
from app.embedded.process import unprivileged
from app.security.keys import KeyRing
from app.stack.databases import postgres_settings, scram_secret, valkey_users
from app.stack.files import CONTAINERS, TARGETS, Installation, container_files, systemd_files
from app.stack.pgbouncer import PgBouncerSettings, pgbouncer_configuration, pgbouncer_users
from app.stack.programs import ProxyProgram, find_pgbouncer, find_proxy, in_wheel, pgbouncer_version
from app.stack.proxy import ProxySettings, proxy_configuration
from app.stack.secrets import make_secrets
from tests.stack.programs import need, path_of

ROOT = CONTAINERS.parents[1]


def write_certificate(folder: Path) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "c.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "k.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "c.pem"), str(folder / "k.pem")


def proxy_settings(folder: Path, certificate: tuple[str, str] = ("", "")) -> ProxySettings:
    return ProxySettings(
        sockets=[str(folder / "a.sock"), str(folder / "b.sock")],
        listen=["127.0.0.1:18443"],
        redirect_listen=["127.0.0.1:18080"],
        status_listen=f"unix:{folder / 'status.sock'}",
        folder=str(folder),
        access_log=str(folder / "access.log"),
        error_log="stderr",
        certificate=certificate[0],
        certificate_key=certificate[1],
        trusted_proxies=["10.0.0.0/8"],
    )


def assert_taken(program: ProxyProgram, folder: Path, text: str) -> None:
    """The program takes the configuration, and warns of nothing."""
    (folder / "proxy.conf").write_text(text)
    command = [program.path, "-t", "-p", f"{folder}/", "-c", str(folder / "proxy.conf"), "-e", "stderr"]
    tried = subprocess.run([*unprivileged()[0], *command], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
    assert "[warn]" not in tried.stderr


@pytest.mark.parametrize("tls", [False, True])
def test_the_proxy_takes_its_configuration(tmp_path: Path, tls: bool) -> None:
    program = find_proxy()
    settings = proxy_settings(tmp_path, write_certificate(tmp_path) if tls else ("", ""))
    assert_taken(program, tmp_path, proxy_configuration(program, settings))


def test_what_only_one_proxy_knows_is_written_for_it_alone(tmp_path: Path) -> None:
    settings = proxy_settings(tmp_path, ("c.pem", "k.pem"))
    angie = ProxyProgram(path="angie", angie=True, version=(1, 27, 4), http3=True)
    old = ProxyProgram(path="nginx", angie=False, version=(1, 22, 1), stub_status=True)
    written = {program: proxy_configuration(program, settings) for program in (angie, old)}
    for line in ("api /status/;", "prometheus all;", "status_zone irontrack;", "http3 on;", "http2 on;", " quic "):
        assert line in written[angie]
        assert line not in written[old]
    assert "stub_status;" in written[old]
    assert "ssl http2;" in written[old]


@pytest.mark.parametrize(("port", "said"), [(443, ""), (8443, ":8443")])
def test_plain_http_is_sent_to_the_port_of_tls(tmp_path: Path, port: int, said: str) -> None:
    settings = msgspec.structs.replace(proxy_settings(tmp_path, ("c.pem", "k.pem")), public_port=port)
    assert f"return 308 https://$host{said}$request_uri;" in proxy_configuration(find_proxy(), settings)


def test_nginx_takes_the_containers_configuration_but_for_what_angie_alone_knows(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    text = container_files()["angie.conf"].replace("/run/secrets/tls_certificate_key", key)
    text = text.replace("/run/secrets/tls_certificate", certificate).replace("/tmp/angie", str(tmp_path))
    angie_alone = (
        "status_zone ",
        "include /etc/angie",
        "prometheus all;",
        "api /status/;",
        "http3 on;",
        " quic ",
        "[::]",
    )
    lines = [line for line in text.splitlines() if not any(word in line for word in angie_alone)]
    assert_taken(find_proxy(in_wheel()), tmp_path, "\n".join(lines))


@pytest.mark.parametrize("version", [None, (1, 18), (1, 24)])
def test_pgbouncer_takes_its_configuration(tmp_path: Path, version: tuple[int, ...] | None) -> None:
    need("pgbouncer")
    program = find_pgbouncer()
    mine = pgbouncer_version(program)
    settings = PgBouncerSettings(
        postgres_sockets=str(tmp_path),
        sockets=str(tmp_path),
        auth_file=str(tmp_path / "userlist.txt"),
        client_connections=100,
    )
    text = pgbouncer_configuration(version or mine, settings)
    if version:
        assert ("max_prepared_statements = 200" in text) == (version >= (1, 21))
        assert ("max_user_client_connections" in text) == (version >= (1, 24))
        if version > mine:
            return
    (tmp_path / "pgbouncer.ini").write_text(text)
    (tmp_path / "userlist.txt").write_text(pgbouncer_users("secret"))
    process = subprocess.Popen(
        [*unprivileged()[0], program, str(tmp_path / "pgbouncer.ini")], stderr=subprocess.PIPE, text=True
    )
    said = []
    assert process.stderr
    for line in process.stderr:
        said.append(line)
        if "process up" in line or "ERROR" in line or "FATAL" in line:
            break
    process.terminate()
    process.communicate()
    assert "process up" in said[-1], said
    assert not [line for line in said if "WARNING" in line]


def test_the_files_of_the_containers_are_those_of_the_templates() -> None:
    files = container_files()
    assert {file.name for file in CONTAINERS.iterdir()} == set(files)
    for name, text in files.items():
        assert (CONTAINERS / name).read_text("utf-8") == text, "`just stack-files` writes it"
    assert os.access(CONTAINERS / "roles.sh", os.X_OK)
    subprocess.run(["sh", "-n", str(CONTAINERS / "roles.sh")], check=True)


def test_valkey_and_postgres_are_told_to_keep_what_was_acknowledged() -> None:
    settings = postgres_settings(12 * 1024, 50)
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        assert settings[name] == "on"
    assert settings["shared_buffers"] == "3072MB"
    assert settings["wal_level"] == "replica"
    valkey = container_files()["valkey.conf"].splitlines()
    assert "appendonly yes" in valkey
    assert "maxmemory-policy noeviction" in valkey


@pytest.mark.parametrize("target", TARGETS)
def test_postgres_takes_its_configuration(tmp_path: Path, target: str) -> None:
    files = container_files() if target == "containers" else systemd_files(Installation())
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "postgresql.conf").write_text(files["postgresql.conf"])

    def asked(name: str) -> str:
        program = [str(postgres_program("postgres")), "-D", str(tmp_path / "data"), "-C", name]
        command = [*unprivileged()[0], *program, "-c", f"config_file={tmp_path / 'postgresql.conf'}"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    assert asked("synchronous_commit") == "on"
    assert asked("unix_socket_directories") in {"/run/postgresql", "/var/run/postgresql"}
    assert asked("shared_buffers") == "393216", "in pages of 8 kB: a quarter of 12 GB"


def test_valkey_takes_its_configuration(tmp_path: Path) -> None:
    socket, users = tmp_path / "valkey.sock", tmp_path / "users.acl"
    text = container_files()["valkey.conf"].replace("/run/valkey/valkey.sock", str(socket))
    text = text.replace('"/data"', f'"{tmp_path}"').replace("/run/secrets/valkey_users", str(users))
    (tmp_path / "valkey.conf").write_text(text)
    users.write_text(valkey_users("secret"))
    process = subprocess.Popen(
        [str(valkey_program()), str(tmp_path / "valkey.conf")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line)
            if "eady to accept connections" in line:
                break
        assert process.poll() is None, said
        with Valkey.from_url(f"unix://:secret@{socket}") as client:
            assert client.ping()
    finally:
        process.terminate()
        process.communicate()


class TestCompose:
    @pytest.fixture
    def compose(self) -> dict[str, dict[str, dict[str, object]]]:
        found: dict[str, dict[str, dict[str, object]]] = yaml.safe_load((ROOT / "compose.yml").read_text())
        return found

    def test_nothing_but_the_proxy_is_published(self, compose: dict[str, dict[str, dict[str, object]]]) -> None:
        for name, service in compose["services"].items():
            assert ("ports" in service) == (name == "angie")
            assert (service.get("network_mode") == "none") == (name != "angie")

    def test_every_service_is_bounded_and_unprivileged(self, compose: dict[str, dict[str, dict[str, object]]]) -> None:
        for name, service in compose["services"].items():
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name
            assert not str(service["user"]).startswith("0"), name
            assert service["mem_limit"], name
            assert service["cpus"], name
            assert "healthcheck" in service or name == "migrator", name

    def test_every_mounted_file_and_secret_is_there(
        self, compose: dict[str, dict[str, dict[str, object]]], tmp_path: Path
    ) -> None:
        make_secrets(tmp_path / "secrets")
        own = {"tls_certificate", "tls_certificate_key"}
        for name, secret in compose["secrets"].items():
            assert str(secret["file"]).endswith(f"/{name}")
            assert name in own or (tmp_path / "secrets" / name).is_file()
        for service in compose["services"].values():
            for volume in service.get("volumes", []):  # type: ignore[attr-defined]
                source = str(volume).partition(":")[0]
                if source.startswith("./"):
                    assert (ROOT / source).is_file()
                elif not source.startswith(("$", "/")):
                    assert source in compose["volumes"]
            for secret_name in service.get("secrets", []):  # type: ignore[attr-defined]
                assert secret_name in compose["secrets"]

    def test_docker_takes_it(self, tmp_path: Path) -> None:
        docker = shutil.which("docker")
        if not docker or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
            pytest.skip("no docker compose here: the file is looked at by the tests above only")
        environment = {**os.environ, "IRONTRACK_SECRETS": str(tmp_path), "PUBLIC_URL": "https://track.example"}
        command = [docker, "compose", "--file", str(ROOT / "compose.yml"), "config", "--quiet"]
        subprocess.run(command, env=environment, check=True)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    need("systemd-analyze", "nginx", "pgbouncer")
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    for name in ("python", "litestar", "valkey-server"):
        (tmp_path / "bin" / name).touch(mode=0o755)
    installation = Installation(
        root=str(tmp_path),
        python=str(program),
        configuration=str(tmp_path),
        user="daemon",
        proxy=msgspec.structs.replace(find_proxy(), path=path_of("nginx")),
        pgbouncer=path_of("pgbouncer"),
        valkey=str(tmp_path / "bin" / "valkey-server"),
    )
    units = {name: text for name, text in systemd_files(installation).items() if name.startswith("irontrack")}
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    named = [str(tmp_path / name.replace("@.", "@a.")) for name in units if name.endswith(".service")]
    command = [path_of("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", *named]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    mine = [line for line in verified.stderr.splitlines() if "irontrack" in line]
    assert not mine, verified.stderr


def test_secrets_are_made_once_and_what_follows_from_them_is_kept_in_step(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert "database_password" in make_secrets(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    before = {file.name: file.read_text() for file in folder.iterdir() if file.is_file()}
    assert len({before[name] for name in before if name.endswith("password")}) == 4
    assert before["pgbouncer_password"] in before["pgbouncer_users"]
    assert before["valkey_password"] not in before["valkey_users"]
    KeyRing.load(folder / "keys" / "keys.json")

    assert make_secrets(folder) == []
    (folder / "valkey_password").chmod(0o600)
    (folder / "valkey_password").write_text("another")
    assert make_secrets(folder) == ["valkey_users"]

    mounted = (folder / "pgbouncer_password").stat().st_ino
    assert make_secrets(folder, ["pgbouncer_password"]) == ["pgbouncer_password", "pgbouncer_users"]
    assert (folder / "pgbouncer_password").stat().st_ino == mounted
    assert (folder / "pgbouncer_password").read_text() != before["pgbouncer_password"]
    assert (folder / "database_password").read_text() == before["database_password"]


def test_a_scram_secret_is_that_of_postgres() -> None:
    """The password and the salt of the example in RFC 7677."""
    salt = "W22ZaJ0SNY7soEsUEjb6gQ=="
    keys = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    assert scram_secret("pencil", b64decode(salt)) == f"SCRAM-SHA-256$4096:{salt}${keys}"
