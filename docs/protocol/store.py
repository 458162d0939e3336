"""A publisher and a store after PROTOCOL.md alone: tells devices of a bundle and serves its blocks.

Needs Debian's python3-paho-mqtt and python3-cryptography.
"""

import argparse
import base64
import json
import os
import queue
import time

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

import wire
from wire import BLOCK


def sign(purpose, document, key):
    """(body, signature): the document in canonical form, and who vouches for it."""
    body = wire.canonical(document)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    raw = key.sign(wire.encoding(purpose, body.encode()))
    return body, {"algorithm": "ed25519", "key": wire.sha256(public), "signature": base64.b64encode(raw).decode()}


class Store:
    def __init__(self, options):
        self.o = options
        self.waiting = queue.Queue()
        with open(os.path.join(options.bundle, "manifest.json"), "rb") as file:
            self.manifest = file.read()
        with open(os.path.join(options.bundle, "manifest.sig")) as file:
            self.signature = file.read()
        self.digest = wire.sha256(self.manifest)
        self.files = {file["sha256"]: file for file in json.loads(self.manifest)["files"]}
        self.client = wire.client(options.store)
        self.client.on_connect = lambda client, *_: client.subscribe(f"wattvox/v1/{options.fleet}/+/pull", 0)
        self.client.on_disconnect = lambda *_: self.waiting.put(None)
        self.client.on_message = self.asked

    def asked(self, _client, _user, message):
        """One entry for each block; 256 may wait, then the answer is `busy`."""
        device = message.topic.split("/")[3]  # never from the payload
        try:
            request = json.loads(message.payload)
            if request["v"] != 1 or request["store"] != self.o.store or not 1 <= len(request["blocks"]) <= 256:
                return
            for index in request["blocks"]:
                about = {"v": 1, "id": request["id"], "kind": request["kind"], "digest": request["digest"], "index": index}
                if self.waiting.qsize() >= 256:
                    self.answer(device, {**about, "error": "busy"})
                else:
                    self.waiting.put((device, about))
        except (ValueError, KeyError, TypeError) as error:
            print(f"dropped a request that does not parse: {error}", flush=True)

    def answer(self, device, header, data=b""):
        self.client.publish(f"wattvox/v1/{self.o.fleet}/{device}/block", wire.block(header, data), qos=0)

    def block(self, header):
        """(header, bytes) of the answer."""
        at = header["index"] * BLOCK
        if header["kind"] == "manifest" and header["digest"] == self.digest and at < len(self.manifest):
            header.update(size=len(self.manifest), signature=self.signature)
            return header, self.manifest[at : at + BLOCK]
        file = self.files.get(header["digest"]) if header["kind"] == "blob" else None
        if file is None or at >= file["size"]:
            return {**header, "error": "unknown"}, b""
        with open(os.path.join(self.o.bundle, file["name"]), "rb") as source:
            source.seek(at)
            return header, source.read(BLOCK)

    def tell(self):
        """One retained desired state for each device."""
        with open(self.o.key, "rb") as file:
            key = load_pem_private_key(file.read(), None)
        for device in self.o.device:
            wish = {"v": 1, "fleet": self.o.fleet, "device": device, "bundle": self.digest, "store": self.o.store}
            wish.update(revision=int(time.time() * 1000), at=wire.stamp(wire.now()))
            body, signature = sign("desired", wish, key)
            message = json.dumps({"v": 1, "signed": body, "signature": signature})
            self.client.publish(f"wattvox/v1/{self.o.fleet}/{device}/desired", message, qos=1, retain=True)

    def run(self):
        host, port = self.o.broker.split(":")
        self.client.connect(host, int(port))
        self.client.loop_start()
        self.tell()
        print(f"serving {self.digest}", flush=True)
        while True:
            found = self.waiting.get()
            if found is None:  # the connection is gone: whoever asked will ask again
                while not self.waiting.empty():
                    self.waiting.get()
                continue
            device, header = found
            self.answer(device, *self.block(header))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", help="folder that `wattvox export` wrote")
    parser.add_argument("--broker", default="127.0.0.1:1883", help="HOST:PORT")
    parser.add_argument("--fleet", default="home")
    parser.add_argument("--store", default="store", help="its id")
    parser.add_argument("--device", action="append", required=True)
    parser.add_argument("--key", required=True, help="the fleet's private key (PEM)")
    Store(parser.parse_args()).run()
