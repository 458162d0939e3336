"""A device after PROTOCOL.md alone: takes a desired state, pulls its bundle, verifies it, reports.

It speaks nothing: where a real device would load the voice and hold it to its golden sentences, this one
tells of an utterance that it did not make. Needs Debian's python3-paho-mqtt and python3-cryptography.
"""

import argparse
import json
import os
import queue
import secrets
import time

import pull
import wire
from wire import BLOCK, Refused


def say(text):
    print(text, flush=True)


def sync(path):
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def write(path, data):
    """Whole or not at all, and on the disk when this returns."""
    with open(path + ".new", "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
    sync(os.path.dirname(path))


def read(path, fallback=None):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return fallback


class Link:
    """The connection: presence with a will of its own for each one, and what arrives as events."""

    def __init__(self, broker, fleet, device):
        self.base = f"wattvox/v1/{fleet}/{device}/"
        self.broker = broker
        self.session = 0
        self.events = queue.Queue()
        self.client = wire.client(device)
        self.client.on_connect = self._up
        self.client.on_disconnect = self._down
        self.client.on_message = lambda _c, _u, m: self.events.put((m.topic[len(self.base) :], m.payload))

    def start(self):
        host, port = self.broker.split(":")
        self._will()
        self.client.connect(host, int(port), keepalive=30)
        self.client.loop_start()

    def stop(self):
        """A goodbye: a broker sends no will for a client that leaves in order."""
        self._announce(False).wait_for_publish(30)
        self.client.disconnect()
        self.client.loop_stop()

    def _announce(self, online):
        return self.send("presence", {"v": 1, "online": online, "session": self.session}, retain=True)

    def _will(self):
        self.session = max(int(time.time() * 1000), self.session + 1)
        will = json.dumps({"v": 1, "online": False, "session": self.session})
        self.client.will_set(self.base + "presence", will, qos=1, retain=True)

    def _up(self, client, *_):
        client.subscribe([(self.base + kind, 1) for kind in ("root", "desired", "block")])
        self._announce(True)
        self.events.put(("up", None))

    def _down(self, *_):
        self._will()  # before the next connection is made
        self.events.put(("down", None))

    def send(self, kind, message, retain=False, qos=1):
        return self.client.publish(self.base + kind, json.dumps(message), qos=qos, retain=retain)

    def next(self, seconds):
        try:
            return self.events.get(timeout=seconds)
        except queue.Empty:
            return "silence", None


class Device:
    def __init__(self, options):
        self.o = options
        self.link = Link(options.broker, options.fleet, options.device)
        for folder in ("partial", "files", "bundles"):
            os.makedirs(self.path(folder), exist_ok=True)
        self.trust = wire.Trust(read(options.root).decode())
        kept = read(self.path("root.json"))
        if kept:
            self.trust.follow(kept.decode())
        self.floors = json.loads(read(self.path("floors.json"), b"{}"))
        self.active = json.loads(read(self.path("active.json"), b"null"))
        self.wish = self.recall()
        self.heard = False
        self.come = 0

    def path(self, *names):
        return os.path.join(self.o.data, *names)

    def report(self, state, **more):
        revision = self.wish["revision"] if self.wish else None
        message = {"v": 1, "bundle": self.active, "revision": revision, "state": state, "measured": False}
        self.link.send("reported", {**message, "at": wire.stamp(wire.now()), **more}, retain=True)
        say(f"{state} {json.dumps(more)}")

    # What is wished for

    def send(self, kind, message, qos):
        return self.link.send(kind, message, qos=qos)

    def next(self, seconds):
        """The next event; roots and wishes are taken on the way."""
        event, payload = self.link.next(seconds)
        try:
            if event == "root" and self.trust.follow(payload.decode()):
                write(self.path("root.json"), payload)
                self.wish = self.recall()
            elif event == "desired":
                self.hear(payload)
                self.heard = True
        except (Refused, ValueError, KeyError, TypeError) as error:
            say(f"refused {event}: {error}")
        return event, payload

    def now(self):
        """The time: never below what was signed by keys that are trusted now."""
        signed = [floor["at"] for key, floor in self.floors.items() if key in self.trust.keys("desired")]
        return max([wire.now(), *map(wire.instant, [self.trust.root["created"], *signed])])

    def open(self, payload):
        """(desired state, id of the key that signed it)"""
        message = json.loads(payload)
        if message.get("v") != 1 or len(message["signed"]) > 8192:
            raise Refused("E_MESSAGE", "no desired state of this version")
        found = wire.verify("desired", message["signed"].encode(), message["signature"], self.trust.keys("desired"))
        wire.exactly(found, ["v", "fleet", "device", "bundle", "store", "revision", "at"], ["expires", "limits"])
        if (found["fleet"], found["device"]) != (self.o.fleet, self.o.device):
            raise Refused("E_SIGNATURE", "signed for another")
        if not wire.HEX.fullmatch(found["bundle"]) or not wire.ID.fullmatch(found["store"]):
            raise Refused("E_MESSAGE", "no digest, or no store")
        return found, message["signature"]["key"]

    def hear(self, payload):
        found, key = self.open(payload)
        trusted = self.trust.keys("desired")
        floor = max((f["revision"] for k, f in self.floors.items() if k in trusted), default=0)
        if found["revision"] < floor:
            raise Refused("E_SIGNATURE", "older than what is known")
        if found["revision"] == floor and self.wish:
            return
        mine = self.floors.get(key, found)
        write(self.path("desired.bin"), payload)
        self.floors[key] = {
            "revision": max(mine["revision"], found["revision"]),
            "at": max(mine["at"], found["at"], key=wire.instant),
        }
        write(self.path("floors.json"), json.dumps(self.floors).encode())
        self.wish = found

    def recall(self):
        """The wish that was kept, while the key that signed it is trusted."""
        kept = read(self.path("desired.bin"))
        try:
            return self.open(kept)[0] if kept else None
        except Refused as error:
            say(f"the kept wish is not obeyed any more: {error}")
            return None

    # Its bundle

    def fulfil(self):
        """Brings the bundle that is wished for. @returns whether there was a wish"""
        wish = self.wish
        if wish is None or wish["bundle"] == self.active:
            self.report("active" if self.active else "idle")
            return wish is not None
        if self.trust.expired(self.now()) or ("expires" in wish and self.now() >= wire.instant(wish["expires"])):
            raise Refused("E_EXPIRED", "the desired state, or the root, has expired")
        data, signature = pull.manifest(self, wish["store"], wish["bundle"])
        manifest = wire.manifest(data, signature, wish["bundle"], self.trust.keys("manifest"))
        if self.now() >= wire.instant(manifest["expires"]):
            raise Refused("E_EXPIRED", "the bundle has expired")
        self.report("pulling")
        for file in manifest["files"]:
            self.bring(wish["store"], file)
        self.report("checking")
        folder = self.path("bundles", wish["bundle"])
        os.makedirs(folder, exist_ok=True)
        for file in manifest["files"]:
            laid = os.path.join(folder, file["name"])
            if not os.path.exists(laid):
                os.link(self.path("files", file["sha256"]), laid)
            if wire.sha256(read(laid)) != file["sha256"]:
                raise Refused("E_TAMPERED", f"{file['name']} is not what was signed")
        write(os.path.join(folder, "manifest.sig"), signature.encode())
        write(os.path.join(folder, "manifest.json"), data)
        self.active = wish["bundle"]
        write(self.path("active.json"), json.dumps(self.active).encode())
        self.report("active")
        return True

    def bring(self, store, file):
        """One file under its digest. What an interrupted pull left is hashed again, and stays where it is good."""
        here, partial = self.path("files", file["sha256"]), self.path("partial", file["sha256"])
        if os.path.exists(here):
            return
        with open(partial, "r+b" if os.path.exists(partial) else "w+b") as out:
            size = lambda index: min(BLOCK, file["size"] - index * BLOCK)
            missing = []
            for index, digest in enumerate(file["blocks"]):
                out.seek(index * BLOCK)
                if wire.sha256(out.read(size(index))) != digest:
                    missing.append(index)
            say(f"{file['name']}: {len(file['blocks']) - len(missing)} blocks here, {len(missing)} to come")

            def take(index, data, _header):
                if wire.sha256(data) != file["blocks"][index]:
                    return False
                out.seek(index * BLOCK)
                out.write(data)
                return True

            def flush():
                out.flush()
                os.fsync(out.fileno())
                self.come += 1
                if self.come == self.o.crash_after:
                    os._exit(137)

            pull.pull(self, store, "blob", file["sha256"], missing, take, flush)
            out.truncate(file["size"])
            os.fsync(out.fileno())
            out.seek(0)
            if wire.sha256(out.read()) != file["sha256"]:
                raise Refused("E_TAMPERED", f"{file['name']} is not what was signed")
        os.replace(partial, here)
        sync(self.path("files"))

    # What it cost

    def tell(self):
        """One utterance, and the counters with it."""
        boot, at = secrets.token_hex(8), wire.stamp(wire.now())
        cost = {"audioSeconds": 2.0, "computeSeconds": 0.5, "measured": False, "sensor": "example"}
        power = {"v": 1, "device": self.o.device, "boot": boot, "sequence": 0, "voice": self.active, "at": at}
        power.update(cost, millijoules=1500, speechMillijoules=1000, utterances=1)
        record = {"boot": boot, "n": 0, "at": at, "voice": self.active, "whole": True, "firstSoundMs": 40}
        record.update(cost, millijoules=1000)
        lost = {"utterances": 0, "readings": 0, "boots": 0, "damaged": 0}
        detail = {"v": 1, "device": self.o.device, "log": secrets.token_hex(8), "lost": lost, "records": [record]}
        for sent in (self.link.send("power", power), self.link.send("utterances", detail)):
            sent.wait_for_publish(600)
        say("told of an utterance")

    def run(self):
        self.link.start()
        done = False
        while True:
            event, _ = self.next(60)
            if event not in ("up", "root", "desired") and (done or event != "silence"):
                continue
            wish = self
            while wish is not self.wish:  # another may come during a pull
                wish = self.wish
                try:
                    done = self.fulfil()
                except Refused as error:
                    done = False
                    self.report("failed", reason={"code": error.code, "message": str(error)})
            if done and self.heard and self.o.once:
                self.tell()
                return self.link.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--broker", default="127.0.0.1:1883", help="HOST:PORT")
    parser.add_argument("--fleet", default="home")
    parser.add_argument("--device", required=True)
    parser.add_argument("--data", required=True, help="folder for what has to outlive a power cut")
    parser.add_argument("--root", required=True, help="the root file that says whom to believe")
    parser.add_argument("--once", action="store_true", help="end when what is wished for is here")
    parser.add_argument("--crash-after", type=int, default=0, help="end as by a power cut after so many flushes")
    Device(parser.parse_args()).run()
