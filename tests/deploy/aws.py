"""Doubles of what an instance of EC2 meets, in whatever network this runs in. Not AWS.

    python -m tests.deploy.aws FOLDER

The metadata service (IMDSv2 alone) at 169.254.169.254:80; S3, SSM, EC2, Auto Scaling and
CloudFormation at 10.0.0.1:443, each as far as instance/*.sh ask, with the signature checked.
Real pebble plays Let's Encrypt. FOLDER has:

    user-data/ID     what an instance is given
    bucket/KEY       the objects of S3
    parameters.json  those of SSM
    calls.jsonl      what was asked of the others, in order
    authority.json   where pebble is, and its root
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import signal
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tests.backends.authority import authority
from tests.backends.private_ca import PrivateCa

METADATA, HERE = "169.254.169.254", "10.0.0.1"
ADDRESS = "203.0.113.10"
"""The Elastic IP; packets to it are sent on to the instance that has it."""

REGION, BUCKET, ROLE = "us-west-2", "scripts", "gateway"
INSTANCES = {"10.0.0.153": "i-00000000000000153", "10.0.0.154": "i-00000000000000154"}
SERVICES = ("ssm", "ec2", "autoscaling", "cloudformation")
NAMES = (
    f"{BUCKET}.s3.{REGION}.amazonaws.com",
    f"s3.{REGION}.amazonaws.com",
    *(f"{service}.{REGION}.amazonaws.com" for service in SERVICES),
)
KEY = {"AccessKeyId": "ASIADOUBLE", "SecretAccessKey": secrets.token_hex(20)}
SESSION = secrets.token_hex(40)


class Cloud:
    """What all of the doubles know."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self.tokens: set[str] = set()
        self.holder: str | None = None

    def call(self, service: str, action: str, values: dict[str, str]) -> None:
        with self.lock, (self.folder / "calls.jsonl").open("a") as calls:
            calls.write(json.dumps({"service": service, "action": action, **values}) + "\n")

    def associate(self, instance: str) -> None:
        """The address leads to this instance from now on, as AWS' own NAT has it."""
        addresses = {each: address for address, each in INSTANCES.items()}
        nat = ["iptables", "-t", "nat"]
        with self.lock:
            # The new one first: there is no moment without.
            where = ["-d", ADDRESS, "-j", "DNAT", "--to-destination"]
            subprocess.run([*nat, "-I", "OUTPUT", "1", *where, addresses[instance]], check=True)
            if self.holder is not None:
                old = [*where, addresses[self.holder]]
                subprocess.run([*nat, "-D", "OUTPUT", *old], check=True)
            self.holder = instance


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cloud: Cloud

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, status: int, body: str | bytes, kind: str = "text/plain") -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Metadata(_Handler):
    """IMDSv2: without a token of its own, nothing."""

    def do_PUT(self) -> None:
        if self.path != "/latest/api/token" or not self.headers.get(
            "X-aws-ec2-metadata-token-ttl-seconds"
        ):
            self._send(400, "")
            return
        token = secrets.token_urlsafe(32)
        self.cloud.tokens.add(token)
        self._send(200, token)

    def do_GET(self) -> None:
        if self.headers.get("X-aws-ec2-metadata-token") not in self.cloud.tokens:
            self._send(401, "")
            return
        _, _, path = self.path.strip("/").partition("/")  # whatever the version
        told = self._told()
        below = {
            name.removeprefix(f"{path}/").partition("/")
            for name in told
            if name.startswith(f"{path}/")
        }
        if path in told:
            self._send(200, told[path])
        elif below:
            self._send(200, "\n".join(sorted({name + slash for name, slash, _ in below})))
        else:
            self._send(404, "")

    def _told(self) -> dict[str, str]:
        address = str(self.client_address[0])
        instance = INSTANCES[address]
        given = {"Code": "Success", "Type": "AWS-HMAC", **KEY, "Token": SESSION}
        public = ADDRESS if self.cloud.holder == instance else "198.51.100.7"
        about = {"instanceId": instance, "region": REGION, "accountId": "123456789012"}
        return {
            "user-data": (self.cloud.folder / "user-data" / instance).read_text(),
            "meta-data/instance-id": instance,
            "meta-data/ami-id": "ami-double",
            "meta-data/local-ipv4": address,
            "meta-data/public-ipv4": public,
            "meta-data/placement/availability-zone": f"{REGION}a",
            f"meta-data/iam/security-credentials/{ROLE}": json.dumps(given, indent=2),
            "dynamic/instance-identity/document": json.dumps(about),
        }


class Services(_Handler):
    """S3 and those that are asked by forms or JSON; a wrong signature is 403."""

    def _any(self) -> None:
        body = self._body()
        host = self.headers["Host"]
        service = "s3" if ".s3." in f".{host}" else host.split(".")[0]
        if host == f"s3.{REGION}.amazonaws.com":  # AWS' own bucket, open to all
            self._object(self.path.lstrip("/"))
        elif problem := self._unsigned(service, body):
            self._send(403, problem)
        elif service == "s3":
            self._s3(body)
        elif service == "ssm":
            self._ssm(json.loads(body))
        else:
            self._form(service, dict(parse_qsl(body.decode())))

    do_GET = do_PUT = do_POST = _any

    def _object(self, key: str) -> None:
        path = self.cloud.folder / "bucket" / key
        if path.is_file():
            self._send(200, path.read_bytes(), "application/octet-stream")
        else:
            self._send(404, "<Error><Code>NoSuchKey</Code></Error>")

    def _s3(self, body: bytes) -> None:
        key = self.path.lstrip("/")
        if self.command == "GET":
            self._object(key)
        elif key.startswith("state/"):
            path = self.cloud.folder / "bucket" / key
            path.parent.mkdir(exist_ok=True)
            path.with_suffix(".new").write_bytes(body)
            path.with_suffix(".new").rename(path)
            self.cloud.call("s3", "PutObject", {"key": key})
            self._send(200, "")
        else:
            self._send(403, "<Error><Code>AccessDenied</Code></Error>")

    def _ssm(self, asked: dict[str, str]) -> None:
        action = self.headers["X-Amz-Target"].partition(".")[2]
        self.cloud.call("ssm", action, {"Name": asked["Name"]})
        file = self.cloud.folder / "parameters.json"
        parameters = json.loads(file.read_text())
        if action == "PutParameter" and asked["Name"] not in parameters:
            assert asked["Type"] == "SecureString"
            file.write_text(json.dumps({**parameters, asked["Name"]: asked["Value"]}))
            self._send(200, '{"Version":1}')
        elif action == "GetParameter" and asked["Name"] in parameters:
            value = parameters[asked["Name"]] if asked["WithDecryption"] else "sealed"
            told = {"Name": asked["Name"], "Type": "SecureString", "Value": value, "Version": 1}
            self._send(200, json.dumps({"Parameter": told}, separators=(",", ":")))
        else:
            wrong = "NotFound" if action == "GetParameter" else "AlreadyExists"
            self._send(400, json.dumps({"__type": f"Parameter{wrong}"}))

    def _form(self, service: str, values: dict[str, str]) -> None:
        action = values.pop("Action")
        self.cloud.call(service, action, values)
        if action == "AssociateAddress":
            self.cloud.associate(values["InstanceId"])
        self._send(200, f"<{action}Response/>")

    def _unsigned(self, service: str, body: bytes) -> str | None:
        """What is wrong with the signature: Signature Version 4, over again."""
        words = dict(
            each.strip().split("=", 1)
            for each in self.headers.get("Authorization", "").partition(" ")[2].split(",")
            if "=" in each
        )
        if self.headers.get("X-Amz-Security-Token") != SESSION:
            return "InvalidClientTokenId"
        key, day, region, named, _ = words["Credential"].split("/")
        if (key, region, named) != (KEY["AccessKeyId"], REGION, service):
            return f"Credential should be scoped to {REGION}/{service}"
        names = words["SignedHeaders"].split(";")
        if not {"host", "x-amz-date", "x-amz-security-token"} <= set(names):
            return "SignedHeaders"
        parts = urlsplit(self.path)
        payload = self.headers.get("X-Amz-Content-Sha256") or hashlib.sha256(body).hexdigest()
        if payload not in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()):
            return "XAmzContentSHA256Mismatch"
        headers = "".join(f"{name}:{' '.join(self.headers[name].split())}\n" for name in names)
        path = quote(unquote(parts.path))
        request = "\n".join((self.command, path, parts.query, headers, ";".join(names), payload))
        scope = f"{day}/{region}/{service}/aws4_request"
        hashed = hashlib.sha256(request.encode()).hexdigest()
        signed = f"AWS4-HMAC-SHA256\n{self.headers['X-Amz-Date']}\n{scope}\n{hashed}"
        secret = f"AWS4{KEY['SecretAccessKey']}".encode()
        for step in (day, region, service, "aws4_request"):
            secret = hmac.new(secret, step.encode(), hashlib.sha256).digest()
        right = hmac.new(secret, signed.encode(), hashlib.sha256).hexdigest()
        return None if hmac.compare_digest(right, words["Signature"]) else "SignatureDoesNotMatch"


def _serve(handler: type[_Handler], cloud: Cloud, address: str, port: int, tls: bool) -> None:
    server = ThreadingHTTPServer((address, port), type("Handler", (handler,), {"cloud": cloud}))
    if tls:
        ca = PrivateCa(cloud.folder, "Double of Amazon")
        pair = ca.issue(*NAMES)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main() -> None:
    cloud = Cloud(Path(sys.argv[1]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _serve(Metadata, cloud, METADATA, 80, tls=False)
    _serve(Services, cloud, HERE, 443, tls=True)
    with authority(80, host=HERE, leads_to=ADDRESS) as lets_encrypt:
        told = {"directory": lets_encrypt.directory, "root": lets_encrypt.root()}
        told["ca"] = lets_encrypt.ca.read_text()
        (cloud.folder / "authority.json").write_text(json.dumps(told))
        print("all there", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
