"""What both ends of the protocol share: canonical JSON, signatures, roots, manifests, blocks.

Written from PROTOCOL.md alone, to show that the page says enough. `python3 wire.py VECTORS.md` checks
the page's test vectors. Needs Debian's python3-cryptography, and python3-paho-mqtt
for `client`.
"""

import base64
import hashlib
import json
import re
import sys
from datetime import datetime, timezone
from decimal import Decimal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

BLOCK = 65536
ROLE = {"root": "root", "manifest": "release", "desired": "fleet", "attestation": "fleet", "engine": "builder"}
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
HEX = re.compile(r"[0-9a-f]{64}")
FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


class Refused(Exception):
    """What arrived is not to be believed; `code` goes into the reported state."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def number(value):
    """A number as RFC 8785 (ECMAScript) writes it."""
    if isinstance(value, int) and abs(value) <= 2**53:
        return str(value)
    value = float(value)
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, point = "".join(map(str, digits)), len(digits) + exponent
    if len(digits) <= point <= 21:
        text += "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = text[:point] + "." + text[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + text
    else:
        text = text[0] + ("." + text[1:] if len(text) > 1 else "") + f"e{point - 1:+d}"
    return "-" * sign + text


def canonical(value):
    """RFC 8785: names in order of their UTF-16 units, no blanks, one way to write each value."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value, ensure_ascii=False)


def encoding(purpose, body):
    """DSSE's pre-authentication encoding: the bytes that are signed."""
    kind = f"application/vnd.wattvox.{purpose}+json".encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def exactly(value, needed, optional=()):
    """A signed document has the fields it must have, and no other that we do not know."""
    if not isinstance(value, dict) or set(needed) - set(value) or set(value) - set(needed) - set(optional):
        raise Refused("E_MESSAGE", "fields are missing, or unknown")
    return value


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def now():
    return datetime.now(timezone.utc)


def check(purpose, body, signature, keys):
    """Refuses a signature over `body` that none of `keys` (id -> 32 bytes) made for this purpose."""
    exactly(signature, ["algorithm", "key", "signature"])
    key = keys.get(signature["key"])
    if signature["algorithm"] != "ed25519" or key is None:
        raise Refused("E_SIGNATURE", "not signed by a key that is trusted for this")
    raw = base64.b64decode(signature["signature"], validate=True)
    if base64.b64encode(raw).decode() != signature["signature"]:
        raise Refused("E_SIGNATURE", "a signature that could be written in another way")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(raw, encoding(purpose, body))
    except InvalidSignature:
        raise Refused("E_SIGNATURE", "the signature is not of this document") from None


def verify(purpose, body, signature, keys):
    """The document in `body`. Nothing in it is parsed before its signature holds."""
    check(purpose, body, signature, keys)
    document = json.loads(body)
    if canonical(document).encode() != body:
        raise Refused("E_SIGNATURE", "signed, but not canonical")
    return document


class Trust:
    """The newest root that was followed from the one that was given."""

    def __init__(self, file):
        self.root = None
        self.follow(file)

    def follow(self, file):
        """Walks on along a root file; what is not newer than where we stand changes nothing.
        @returns whether anything was new; those before one that does not follow count"""
        message = exactly(json.loads(file), ["v", "roots"])
        if message["v"] != 1 or len(file) > 65536 or not 1 <= len(message["roots"]) <= 64:
            raise Refused("E_MESSAGE", "no root file")
        begun = self.root and self.root["version"]
        for entry in message["roots"]:
            if self.root is None or json.loads(entry["signed"])["version"] > self.root["version"]:
                self._step(exactly(entry, ["signed", "signatures"]))
        return self.root["version"] != begun

    def _step(self, entry):
        """One root on: enough keys of the one before signed it, and enough of its own, which it brings."""
        body = entry["signed"].encode()
        if self.root:
            self._quorum(body, entry["signatures"], self.root)
        root = json.loads(body)
        exactly(root, ["format", "version", "created", "expires", "keys", "roles"])
        exactly(root["roles"], ["root", "release", "fleet", "builder"])
        if root["format"] != "wattvox-root/1" or canonical(root).encode() != body:
            raise Refused("E_SIGNATURE", "not a root in canonical form")
        if self.root and root["version"] != self.root["version"] + 1:
            raise Refused("E_SIGNATURE", "a root that does not follow")
        self._quorum(body, entry["signatures"], root)
        self.root = root

    def _quorum(self, body, signatures, by):
        role, good = by["roles"]["root"], set()
        keys = {id: key for id, key in known(by).items() if id in role["keys"]}
        for signature in signatures:
            try:
                check("root", body, signature, keys)
                good.add(signature["key"])
            except Refused:
                pass  # a key that is not of this root
        if len(good) < role["threshold"]:
            raise Refused("E_SIGNATURE", "a root that too few root keys signed")

    def keys(self, purpose):
        """Keys that may sign such documents now: id -> 32 bytes."""
        role = self.root["roles"][ROLE[purpose]]
        ids = role["keys"] if isinstance(role, dict) else role
        return {id: key for id, key in known(self.root).items() if id in ids}

    def expired(self, at):
        return at >= instant(self.root["expires"])


def known(root):
    """The keys of a root; one whose bytes do not hash to its id names nobody."""
    raw = {id: base64.b64decode(key) for id, key in root["keys"].items()}
    return {id: key for id, key in raw.items() if len(key) == 32 and sha256(key) == id}


def manifest(data, signature, digest, keys):
    """A bundle's manifest, held to its digest, to its signature and to its form."""
    if sha256(data) != digest:
        raise Refused("E_TAMPERED", "the manifest is not the one that was named")
    found = verify("manifest", data, json.loads(signature), keys)
    fields = ["format", "voice", "language", "sampleRate", "base", "energy", "consent", "created", "expires", "files"]
    exactly(found, fields)
    files = found["files"]
    if found["format"] != "wattvox-bundle/1" or not 1 <= len({file["name"] for file in files}) == len(files) <= 256:
        raise Refused("E_MESSAGE", "no manifest of this format")
    for file in files:
        exactly(file, ["name", "role", "size", "sha256", "blocks"])
        if not FILE.fullmatch(file["name"]) or file["name"] in ("manifest.json", "manifest.sig"):
            raise Refused("E_MESSAGE", "a file's name that may not be")
        if len(file["blocks"]) != -(-file["size"] // BLOCK) or not all(map(HEX.fullmatch, file["blocks"])):
            raise Refused("E_MESSAGE", "blocks that do not make the file")
    return found


def engine(head, name, keys):
    """What a builder said of an engine, held to its signature and to the name that was asked for."""
    envelope = exactly(json.loads(head), ["v", "signed", "signature"])
    found = verify("engine", envelope["signed"].encode(), envelope["signature"], keys)
    if sha256(canonical(found["key"]).encode()) != name:
        raise Refused("E_SIGNATURE", "another engine than the one that was asked for")
    return found


def block(header, data=b""):
    """A block message: length of the header, header, bytes."""
    head = json.dumps(header).encode()
    return len(head).to_bytes(2, "big") + head + data


def unblock(payload):
    end = 2 + int.from_bytes(payload[:2], "big")
    return json.loads(payload[2:end]), payload[end:]


def stamp(at):
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def client(name):
    """An MQTT 3.1.1 client, by paho of either API."""
    import paho.mqtt.client as mqtt  # here, since the vectors need none

    versions = getattr(mqtt, "CallbackAPIVersion", None)
    first = (versions.VERSION2,) if versions else ()
    return mqtt.Client(*first, client_id=name, clean_session=True, protocol=mqtt.MQTTv311)


def refused(what, *arguments):
    try:
        what(*arguments)
    except (Refused, ValueError, KeyError, TypeError):
        return True
    return False


def check_vectors(page):
    """Holds the page's vectors to what is written above; AssertionError where they differ."""
    v = dict(re.findall(r"^```vector (\S+)\n(.*)\n```$", page, re.M))
    for role in ("root", "release", "fleet", "builder", "release2"):
        key = json.loads(v[f"key.{role}"])
        public = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key["seed"])).public_key()
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        assert base64.b64encode(raw).decode() == key["public"] and sha256(raw) == key["id"], role
    assert canonical(json.loads(v["canonical.in"])) == v["canonical.out"]
    before, after = Trust(v["root.1"]), Trust(v["root.1"])
    assert after.follow(v["root.2"]) and after.root["version"] == 2 and not after.follow(v["root.1"])
    data, signature, digest = v["manifest.json"].encode(), v["manifest.sig"], v["manifest.digest"]
    large = b"a" * BLOCK + b"b"
    listed = manifest(data, signature, digest, before.keys("manifest"))["files"][0]
    assert listed["sha256"] == sha256(large)
    assert listed["blocks"] == [sha256(large[:BLOCK]), sha256(large[BLOCK:])]
    assert refused(manifest, data, signature, digest, after.keys("manifest")), "the release key was dropped"
    assert refused(manifest, data.replace(b"Ada", b"Eve"), signature, digest, before.keys("manifest"))
    wish = json.loads(v["desired"])
    body = wish["signed"].encode()
    assert encoding("desired", body).decode() == v["desired.signed"]
    assert verify("desired", body, wish["signature"], before.keys("desired"))["bundle"] == digest
    assert refused(verify, "manifest", body, wish["signature"], before.keys("desired")), "another purpose"
    assert refused(verify, "desired", body, wish["signature"], before.keys("manifest")), "another role"
    assert engine(v["engine.head"], v["engine.name"], before.keys("engine"))["sha256"] == sha256(b"hello")
    header, part = unblock(bytes.fromhex(v["block.manifest.hex"]))
    assert header["size"] == len(data) and header["signature"] == signature and part == data
    assert unblock(bytes.fromhex(v["block.blob.hex"]))[1] == b"b"
    assert unblock(bytes.fromhex(v["block.unknown.hex"]))[0]["error"] == "unknown"
    for name in ("presence", "pull.manifest", "pull.blob", "pull.engine", "reported", "power", "utterances", "offer"):
        assert json.loads(v[name])["v"] == 1, name
    return len(v)


if __name__ == "__main__":
    with open(sys.argv[1]) as given:
        print(f"{check_vectors(given.read())} vectors hold")
