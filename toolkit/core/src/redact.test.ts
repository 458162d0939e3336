import test from "ava";
import { REDACTED, redact, redactText } from "./redact.ts";

test("ordinary text and fields stay as they are", (t) => {
	const text =
		"voice amy at http://127.0.0.1:8080/v1/audio?format=wav, keyId k1";
	t.is(redactText(text), text);
	const fields = { keyId: "k1", tokens: 12, at: 3, list: [1, "two", null] };
	t.deepEqual(redact({ keyId: "k1", at: 3, list: fields.list }), {
		keyId: "k1",
		at: 3,
		list: fields.list,
	});
});

for (const [what, text, kept] of [
	["user and password", "mqtt://u:p@h:1883", "h:1883"],
	["user alone", "mqtt://u@h", "h"],
	["a bearer token", "Authorization: Bearer abc.def-_~", "Authorization"],
	["a query secret", "https://h/p?token=abc&x=1", "&x=1"],
	["an unfinished key", "-----BEGIN PRIVATE KEY-----\nabc", REDACTED],
] as const)
	test(`text loses ${what}`, (t) => {
		const out = redactText(text);
		t.true(out.includes(REDACTED));
		t.true(out.includes(kept));
		t.notRegex(out, /u:p|\/\/u@|abc/);
	});

test("keys that name secrets lose their values at any depth", (t) => {
	t.deepEqual(
		redact({ a: [{ password: "x", Secret_Key: "y", authorization: ["z"] }] }),
		{
			a: [
				{ password: REDACTED, Secret_Key: REDACTED, authorization: REDACTED },
			],
		},
	);
});

test("bytes show as a length, cycles and depth are cut, the input is not changed", (t) => {
	const loop: Record<string, unknown> = { bytes: new Uint8Array(3) };
	loop.self = loop;
	t.deepEqual(redact(loop), { bytes: "[3 bytes]", self: "[cut]" });
	t.is(loop.self, loop);
	let deep: unknown = "end";
	for (let i = 0; i < 50; i++) deep = { deep };
	t.true(JSON.stringify(redact(deep)).includes("[cut]"));
});
