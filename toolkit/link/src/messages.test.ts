import { newKey, signBytes, trustKeys } from "@wattvox/bundle";
import test from "ava";
import fc from "fast-check";
import { decodeDesired, encodeDesired } from "./desired.ts";
import {
	type Desired,
	decode,
	decodeBlock,
	encode,
	encodeBlock,
	MESSAGE_MAX_BYTES,
	type PowerMessage,
	zPowerMessage,
	zPull,
} from "./messages.ts";
import { filter, KINDS, matches, parseTopic, topic } from "./topics.ts";

const key = newKey();
const trust = trustKeys([key.publicKey]);
const digest = "ab".repeat(32);
const me = { fleet: "home", device: "jetson-1" };
const desired: Desired = {
	v: 1,
	...me,
	bundle: digest,
	store: "store",
	revision: 3,
	at: "2026-01-01T00:00:00Z",
};

test("topics: every kind comes back, and nothing else is ours", (t) => {
	for (const kind of KINDS) {
		const name = topic("home", "jetson-1", kind);
		t.deepEqual(parseTopic(name), { ...me, kind });
		t.true(matches(filter(kind), name));
		t.true(matches(filter(kind, "home"), name));
		t.false(matches(filter(kind, "work"), name));
	}
	for (const name of [
		"",
		"wattvox/v1/home/jetson-1",
		"wattvox/v1/home/jetson-1/power/x",
		"wattvox/v2/home/jetson-1/power",
		"wattvox/v1/home/jet.son/power",
		"wattvox/v1/home/jetson-1/other",
	])
		t.is(parseTopic(name), undefined, name);
});

test("an id can never widen a topic", (t) => {
	fc.assert(
		fc.property(fc.string(), (id) => {
			try {
				const name = topic(id, "d", "block");
				return parseTopic(name)?.fleet === id && name.split("/").length === 5;
			} catch {
				return true;
			}
		}),
	);
	for (const id of ["+", "#", "a/b", "", "$SYS", "a".repeat(65)]) {
		t.throws(() => topic("home", id, "pull"), { code: "E_USAGE" }, id);
		t.throws(() => filter("pull", id), { code: "E_USAGE" }, id);
	}
});

test("filters match as MQTT 3.1.1 section 4.7 says", (t) => {
	for (const [f, name, want] of [
		["a/b", "a/b", true],
		["a/+", "a/b", true],
		["a/+", "a/b/c", false],
		["a/#", "a/b/c", true],
		["a/#", "a", true],
		["#", "a/b", true],
		["+/+", "/b", true],
		["a", "a/b", false],
		["a/b", "a", false],
		["a/bc", "a/b", false],
		["a/b", "a/bc", false],
		["a+/b", "a+/b", true],
		["a+/b", "ab/b", false],
		["a//#", "a/", true],
		["a/", "a", false],
		["", "", true],
		["+", "", true],
	] as const)
		t.is(matches(f, name), want, `${f} ${name}`);
});

test("a block message keeps its header and its bytes", (t) => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), (bytes, index) => {
			const header = { v: 1, id: "x", kind: "blob", digest, index } as const;
			const back = decodeBlock(encodeBlock(header, bytes));
			t.deepEqual(back?.header, header);
			t.deepEqual(Buffer.from(back?.bytes ?? []), Buffer.from(bytes));
		}),
	);
});

test("no bytes whatever make a parser throw", (t) => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
			decodeBlock(bytes);
			decode(zPull, bytes);
		}),
	);
	t.is(decode(zPull, Buffer.alloc(MESSAGE_MAX_BYTES + 1, 32)), undefined);
	t.is(decodeBlock(Buffer.from([0, 2, 123, 125])), undefined);
});

test("a power message says unknown as null, never as nothing", (t) => {
	const message: PowerMessage = {
		v: 1,
		device: "jetson-1",
		boot: "b1",
		sequence: 0,
		millijoules: null,
		measured: false,
		sensor: "estimate",
		utterances: 2,
		audioSeconds: 3.5,
		computeSeconds: 0.1,
		voice: digest,
		at: "2026-01-01T00:00:00Z",
	};
	t.deepEqual(decode(zPowerMessage, encode(message)), message);
	const { millijoules: _, ...without } = message;
	t.is(decode(zPowerMessage, encode(without)), undefined);
	const newer = { ...message, later: 1 };
	t.deepEqual(decode(zPowerMessage, encode(newer)), message);
	t.is(
		decode(zPowerMessage, encode({ ...message, audioSeconds: -1 })),
		undefined,
	);
});

test("a desired state is read by the device it was signed for, and by no other", (t) => {
	const payload = encodeDesired(desired, key);
	t.deepEqual(decodeDesired(payload, me, trust), desired);
	const held = { ...desired, limits: { joulesRatio: 1.25 } };
	t.deepEqual(decodeDesired(encodeDesired(held, key), me, trust), held);
	for (const to of [
		{ fleet: "home", device: "jetson-2" },
		{ fleet: "work", device: "jetson-1" },
	])
		t.throws(() => decodeDesired(payload, to, trust), { code: "E_SIGNATURE" });
});

test("a desired state that is changed, unsigned or signed as something else is refused", (t) => {
	const payload = encodeDesired(desired, key);
	const text = payload.toString();
	const body = JSON.parse(text).signed as string;
	const refused = [
		text.replace("jetson-1", "jetson-2"),
		text.replace(digest, "cd".repeat(32)),
		JSON.stringify(desired),
		"",
		encode({
			v: 1,
			signed: body,
			signature: signBytes("manifest", Buffer.from(body), key),
		}).toString(),
	];
	for (const wrong of refused)
		t.throws(() => decodeDesired(Buffer.from(wrong), me, trust), {
			code: "E_SIGNATURE",
		});
	const other = trustKeys([newKey().publicKey]);
	t.throws(() => decodeDesired(payload, me, other), { code: "E_SIGNATURE" });
	const odd = '{"v":1}';
	const signed = encode({
		v: 1,
		signed: odd,
		signature: signBytes("desired", Buffer.from(odd), key),
	});
	t.throws(() => decodeDesired(signed, me, trust), { code: "E_FILE_FORMAT" });
});
