import test from "ava";
import {
	ENGINE_HEAD_MAX_BYTES,
	engineName,
	peekEngineHead,
	readEngineHead,
	signEngine,
} from "./engine-head.ts";
import { newKey, trustKeys } from "./keys.ts";
import { sampleEngine } from "./testing.ts";

const builder = newKey();
const trust = trustKeys([builder.publicKey]);

test("a head says what was signed, by whom, and for which class", (t) => {
	const { head, key, file, name } = sampleEngine(builder, {
		deviceClass: "orin-nano",
	});
	t.like(readEngineHead(head, trust), {
		name,
		signer: builder.id,
		deviceClass: "orin-nano",
		...file,
	});
	t.deepEqual(peekEngineHead(head), readEngineHead(head, trust));
	const turned = Object.fromEntries(Object.entries(key).reverse());
	t.is(engineName(turned), name, "whatever the order of the key's fields");
});

test("another key's, another purpose's and a changed head are refused before they are parsed", (t) => {
	const { head } = sampleEngine(builder);
	const refused = { code: "E_SIGNATURE" };
	t.throws(() => readEngineHead(sampleEngine(newKey()).head, trust), refused);
	const notForEngines = { find: () => undefined };
	t.throws(() => readEngineHead(head, notForEngines), refused);
	const text = head.toString();
	const other = text.replace('\\"size\\":200000', '\\"size\\":200001');
	t.not(other, text);
	t.throws(() => readEngineHead(Buffer.from(other), trust), refused);
	for (const bad of ["", "{}", "x".repeat(ENGINE_HEAD_MAX_BYTES + 1)])
		t.throws(() => readEngineHead(Buffer.from(bad), trust), {
			code: "E_FILE_FORMAT",
		});
});

test("what is no engine's key, and a list of blocks that is not the engine's, cannot be signed", (t) => {
	const { key, file } = sampleEngine(builder);
	for (const [badKey, badFile] of [
		[{ ...key, more: 1 }, file],
		[{ ...key, precision: "int3" }, file],
		[key, { ...file, blocks: file.blocks.slice(1) }],
		[key, { ...file, size: 2 ** 31 }],
	] as const)
		t.throws(() => signEngine(badKey, badFile, builder), { code: "E_USAGE" });
});
