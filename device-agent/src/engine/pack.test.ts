import { newKey, trustKeys } from "@wattvox/bundle";
import { engineKey, type TensorRtFacts } from "@wattvox/runtime/tensorrt";
import { ORIN } from "@wattvox/runtime/testing";
import test from "ava";
import fc from "fast-check";
import { openPack, packEngine, requireClass } from "./pack.ts";

const key = engineKey(ORIN, "a".repeat(64), {
	refit: true,
	precision: "fp16",
});
const plan = Buffer.from("an engine\n of several lines");
const builder = newKey();
const trust = trustKeys([builder.publicKey]);
const packed = () => Buffer.concat(packEngine(key, plan, builder));

test("an engine comes out as it was packed", (t) => {
	const opened = openPack(packed(), trust);
	t.deepEqual(opened.key, key);
	t.deepEqual(Buffer.from(opened.plan), plan);
	t.is(opened.signer, builder.id);
});

test("unsigned, or signed by a key that builds nothing here, it is not opened", (t) => {
	t.throws(() => openPack(plan, trust), { code: "E_FILE_FORMAT" });
	t.throws(() => openPack(new Uint8Array(), trust), { code: "E_FILE_FORMAT" });
	const stranger = Buffer.concat(packEngine(key, plan, newKey()));
	t.throws(() => openPack(stranger, trust), { code: "E_SIGNATURE" });
	// A key may be trusted for other documents, and not for engines.
	const releaseOnly = {
		...trust,
		find: (id: string, purpose: string) =>
			purpose === "engine" ? undefined : trust.find(id, purpose as "manifest"),
	};
	t.throws(() => openPack(packed(), releaseOnly as typeof trust), {
		code: "E_SIGNATURE",
	});
});

test("whichever byte is changed, cut or added, it is not opened", (t) => {
	const good = packed();
	fc.assert(
		fc.property(
			fc.nat(good.length - 1),
			fc.integer({ min: 1, max: 255 }),
			(at, by) => {
				const bad = Buffer.from(good);
				bad[at] = (bad[at] ?? 0) ^ by;
				t.throws(() => openPack(bad, trust), undefined, `byte ${at}`);
			},
		),
		{ numRuns: 300 },
	);
	t.throws(() => openPack(good.subarray(0, -1), trust), { code: "E_TAMPERED" });
	const longer = Buffer.concat([good, Buffer.of(0)]);
	t.throws(() => openPack(longer, trust), { code: "E_TAMPERED" });
	// One engine's head before another engine.
	const [head] = packEngine(key, plan, builder);
	const [, other] = packEngine(key, Buffer.from("another"), builder);
	t.throws(() => openPack(Buffer.concat([head, other]), trust), {
		code: "E_TAMPERED",
	});
});

test("an engine for another class of device is refused, and what differs is named", (t) => {
	t.notThrows(() => requireClass(key, { ...ORIN, memoryBytes: 4e9 }));
	const changes: Partial<TensorRtFacts>[] = [
		{ tensorrt: "10.3.0.27" },
		{ cuda: "12.5" },
		{ cudaDriver: "12.5" },
		{ computeCapability: "7.2" },
		{ device: "Xavier" },
		{ multiprocessors: 16 },
		{ l4t: null },
		{ module: "Orin NX" },
	];
	for (const change of changes)
		t.throws(() => requireClass(key, { ...ORIN, ...change }), {
			code: "E_ENGINE_LOAD",
			message: new RegExp(Object.keys(change)[0] ?? ""),
		});
});
