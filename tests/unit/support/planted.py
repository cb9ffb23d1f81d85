"""A gateway that never ran, with a secret wherever there can be one."""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from infergate.paths import Home
from tests.access_log import line
from tests.backends.private_ca import PrivateCa
from tests.gateway import Ran, run_here

CRYPT = "$6$rounds=5000$saltsalt$" + "plantedHash/." * 6 + "abcdefgh"
PLANTED = {
    "backends.*.api_key": "planted-backend-key",
    "backends.*.headers.*": "planted/header+value",
    "serve.*.api_key": "planted-engine-key",
    "serve.*.environment.*": "planted-environment",
    "services.*.api_key": "planted/service+key",
    "services.*.users.*": CRYPT,
    "tls.acme.eab.hmac_key": "cGxhbnRlZC1obWFj",
    "store.url": "postgresql://gateway:planted-password@127.0.0.1:1/infergate",
}
"""Every setting that is a secret by its type → what the test writes there."""

ELSEWHERE = {
    "IN_ARGS": "planted-in-arguments",
    "FILE_KEY": "planted-key-of-a-file",
    "ALICE": "{SHA}plantedAAAAAAAAAAAAAAAAAA=",
    "FIRST": "planted-first-key",
    "COMMENT": "planted-in-a-comment",
    "HAND": "planted-by-hand",
    "ADDRESS": "203.0.113.77",
    "AGENT": "planted-agent",
    "PATH": "planted-path",
    "MODEL": "planted-model-name",
    "QUERY": "planted-query",
    "COOKIE": "planted-cookie",
    "TOKEN": "ig-admin-plantedplantedplanted",
    "KEY": "sk-ig-plantedplantedplanted",
    "NAME": "planted-name-of-a-key",
    "MAIL": "planted.person@example.com",
}
"""What else must not be there."""

FILE = f"""\
# {ELSEWHERE["COMMENT"]}: password hunter2
listen: {{ http: 127.0.0.1:80, https: 127.0.0.1:443, hosts: [api.test, other.test] }}
tls:
  acme:
    email: {ELSEWHERE["MAIL"]}
    eab: {{ kid: kid, hmac_key: "${{HMAC}}" }}
  hosts:
    other.test: {{ files: {{ certificate: other.test.crt, key: other.test.key }} }}
auth:
  keys_file: api_keys.conf
  keys: {{ alice: {{ hash: "sha256:{"ab" * 32}" }} }}
backends:
  a:
    url: http://10.0.0.5:8000
    api_key: "${{BACKEND}}"
    headers: {{ X-Tenant: planted/header+value }}
serve:
  e:
    engine: vllm
    model: org/model
    listen: 127.0.0.1:9001
    api_key: "${{ENGINE}}"
    environment: {{ HF_TOKEN: planted-environment }}
    args: [--seed-name, "${{IN_ARGS}}"]
services:
  s: {{ url: http://127.0.0.1:9002, host: s.test, auth: basic, users: {{ bob: "${{BOB}}" }} }}
  t:
    {{ url: http://127.0.0.1:9003, host: t.test, auth: basic, users_file: users,
       api_key: planted/service+key }}
"""
ENVIRON = {
    "HMAC": PLANTED["tls.acme.eab.hmac_key"],
    "BACKEND": PLANTED["backends.*.api_key"],
    "ENGINE": PLANTED["serve.*.api_key"],
    "IN_ARGS": ELSEWHERE["IN_ARGS"],
    "BOB": CRYPT,
    "STORE": PLANTED["store.url"],
}


class Planted:
    """A gateway that never ran, with a secret wherever there can be one."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder, self.file = folder, folder / "infergate.yaml"
        self.home = Home(folder / "home")
        for each in (self.home.state, self.home.logs, self.home.tls, self.home.current):
            each.mkdir(parents=True)
        ca = PrivateCa(folder)
        pair = ca.issue("other.test")
        (self.home.tls / "ca.key").write_bytes(pair.key.read_bytes())
        self.pem = pair.key.read_text().splitlines()[1]
        (folder / "api_keys.conf").write_text(f'"Bearer {ELSEWHERE["FILE_KEY"]}" 1; # al\n')
        (folder / "users").write_text(f"alice:{ELSEWHERE['ALICE']}\n")
        self.home.first_key.write_text(ELSEWHERE["FIRST"])
        self.file.write_text(FILE + more)
        self._nginx()
        self._logs()

    def _nginx(self) -> None:
        files = {
            "nginx.conf": "worker_processes 2;\ninclude secrets.conf;\n",
            "secrets.conf": f'map $b $key {{ a "{PLANTED["backends.*.api_key"]}"; }}\n',
            "sites-enabled/own.conf": (
                f'proxy_set_header Authorization "Basic {ELSEWHERE["HAND"]}";\n'
                f"proxy_set_header X-Api-Key {ELSEWHERE['HAND']};\n"
                f"proxy_set_header Cookie $http_cookie;\n"
                f"proxy_pass http://u:{ELSEWHERE['HAND']}@127.0.0.1:9;\n"
                f"add_header X-Key2 {PLANTED['backends.*.headers.*']};\n"
            ),
        }
        for name, text in files.items():
            path = self.home.current / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def _logs(self) -> None:
        of_client = {
            "ip": ELSEWHERE["ADDRESS"],
            "user_agent": ELSEWHERE["AGENT"],
            "request_id": ELSEWHERE["AGENT"],
            "model_asked": ELSEWHERE["MODEL"],
            "key": ELSEWHERE["NAME"],
        }
        lines = [
            line(uri="/v1/chat/completions", **of_client),
            line(uri=f"/s/reset/{ELSEWHERE['PATH']}", **of_client),
        ]
        self.home.access_log.write_text("".join(f"{each}\n" for each in lines))
        address = ELSEWHERE["ADDRESS"]
        self.home.error_log.write_text(
            f"2026/11/30 02:00:00 [error] 1#1: *1 upstream timed out, client: {address}, server: , "
            f'request: "GET /x?q={ELSEWHERE["QUERY"]} HTTP/1.1", '
            f'upstream: "http://10.0.0.5:8000/{ELSEWHERE["PATH"]}", host: "api.test", '
            f'referrer: "https://x.test/?t={ELSEWHERE["QUERY"]}"\n'
            f"2026/11/30 02:00:01 [warn] 1#1: js: 2001:db8::77 said {ELSEWHERE['KEY']}\n"
        )
        facts = {
            "event": "the backend answered",
            "header": f"Authorization: Bearer {ELSEWHERE['TOKEN']}",
            "set-cookie": f"session={ELSEWHERE['COOKIE']}; HttpOnly",
            "api_key": PLANTED["backends.*.api_key"],
            "url": f"https://u:{ELSEWHERE['HAND']}@x.test/?a={ELSEWHERE['QUERY']}",
            "quoted": quote(PLANTED["services.*.api_key"]),
            "encoded": base64.b64encode(PLANTED["backends.*.headers.*"].encode()).decode(),
            "from": f"{ELSEWHERE['ADDRESS']}:5123",
            "pem": f"-----BEGIN PRIVATE KEY-----\n{self.pem}\n-----END PRIVATE KEY-----",
        }
        (self.home.logs / "gateway.log").write_text(json.dumps(facts) + "\n")

    def run(self, *arguments: str) -> Ran:
        environ = {**ENVIRON, "INFERGATE_HOME": str(self.home.root)}
        return run_here([*arguments, "-c", str(self.file)], environ)

    def bundled(self, *options: str) -> Mapping[str, str]:
        out = self.folder / "bundle.tar.gz"
        out.unlink(missing_ok=True)
        ran = self.run("support-bundle", str(out), *options)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert out.stat().st_mode & 0o777 == 0o600
        with tarfile.open(out) as archive:
            return {
                each.name.partition("/")[2]: archive.extractfile(each).read().decode()  # type: ignore[union-attr]
                for each in archive
            }

    def searched(self) -> Iterator[str]:
        """Every form of everything that is planted."""
        password = "planted-password"
        for each in (*PLANTED.values(), *ELSEWHERE.values(), password, self.pem, "ab" * 32):
            yield each
            yield from (quote(each, safe=""), quote(each))
            yield base64.b64encode(each.encode()).decode().rstrip("=")
        yield from ("hunter2", "2001:db8::77")
