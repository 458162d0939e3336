"""The device's end of a pull: what it may ask for, what it takes, and when it gives up. See PROTOCOL.md, Pulling."""

import json
import random
import secrets
import time

import wire
from wire import Refused

WINDOW = 32
SILENCES = 6


def pull(link, store, kind, digest, blocks, take, flush=lambda: None):
    """Asks the store for blocks until each is here.

    link: `send(kind, message, qos)`, and `next(seconds)` -> ("block", payload), or ("silence" | "up" | "down"
    | anything else, None). take(index, bytes, header) keeps a block and says whether it is good. A block
    counts as here after flush().
    """
    left, asked, unflushed, mine, bad = list(blocks), set(), set(), set(), {}
    window, silences, patience = WINDOW, 0, 5.0

    def again(most=WINDOW):
        """All that is under way counts as lost."""
        nonlocal left, asked, window
        left, asked, window = sorted(asked | set(left)), set(), most

    while left or asked:
        room = window - len(asked) - len(unflushed)
        if left and room >= min(len(left), max(1, window // 4)):
            wanted, left = left[:room], left[room:]
            id = secrets.token_hex(8)
            mine.add(id)
            ask = {"v": 1, "store": store, "id": id, "kind": kind, "digest": digest, "blocks": wanted}
            link.send("pull", ask, qos=0)
            asked.update(wanted)
        event, payload = link.next(patience * random.uniform(1, 1.2))
        if event == "down":
            while event != "up":
                event, _ = link.next(60)
                if event == "silence":
                    raise Refused("E_BROKER", "no broker for a minute")
            again()
        elif event == "silence":
            silences, patience = silences + 1, min(60, patience * 2)
            if silences == SILENCES:
                raise Refused("E_PULL", "the store is silent")
            again(most=1)
        if event != "block":
            continue
        try:
            header, data = wire.unblock(payload)
            index = header["index"]
            if (header["kind"], header["digest"]) != (kind, digest) or index not in asked:
                continue  # of another pull, or come twice
        except (ValueError, KeyError, TypeError):
            continue
        silences, patience = 0, 5.0
        if "error" not in header:
            asked.discard(index)
            window = min(WINDOW, window + 1)
            if take(index, data, header):
                unflushed.add(index)
            else:
                bad[index] = bad.get(index, 0) + 1
                if bad[index] > 3:
                    raise Refused("E_TAMPERED", "a block that is not what was signed, again and again")
                left.append(index)
        elif header.get("id") in mine:  # one to an earlier pull may come late
            if header["error"] == "unknown":
                raise Refused("E_PULL", "the store does not hold it")
            time.sleep(random.uniform(0.5, 1))
            again(most=1)
        if len(unflushed) >= max(1, window // 4) or not asked:
            flush()
            unflushed.clear()


def manifest(link, store, digest):
    """A manifest's bytes and signature: part 0 first, which tells how many bytes there are."""
    parts, told = {}, {}

    def take(index, data, header):
        size = header.get("size", 0)
        if not 0 < size <= 16 << 20 or told.get("size", size) != size:
            return False
        if len(data) != min(wire.BLOCK, size - index * wire.BLOCK):
            return False
        told.update(size=size, signature=header.get("signature", ""))
        parts[index] = data
        return True

    pull(link, store, "manifest", digest, [0], take)
    pull(link, store, "manifest", digest, list(range(1, -(-told["size"] // wire.BLOCK))), take)
    return b"".join(parts[index] for index in sorted(parts)), told["signature"]
