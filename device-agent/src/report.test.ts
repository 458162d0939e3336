import { decode, encode, zReported } from "@wattvox/link";
import test from "ava";
import { report, type Seen } from "./report.ts";

const A = "a".repeat(64);
const B = "b".repeat(64);
const at = "2026-01-01T00:00:00.000Z";
const idle = { step: undefined, progress: undefined, trouble: undefined, at };
const seen = (change: Partial<Seen> = {}): Seen => ({
	desired: null,
	stale: null,
	active: null,
	rejected: new Map(),
	speaker: { up: true, digest: null, failed: null },
	deviceClass: "orin-nano",
	measured: undefined,
	runtime: null,
	...change,
});
const active = { digest: A, revision: 1, previous: null };
const desired = { bundle: B, revision: 2, store: "store" };

test("states follow what is done", (t) => {
	const state = (step: Parameters<typeof report>[1]["step"]) =>
		report(seen({ desired }), { ...idle, step }).state;
	t.is(report(seen(), idle).state, "idle");
	t.is(report(seen({ active }), idle).state, "checking");
	const speaker = { up: true, digest: A, failed: null };
	t.is(report(seen({ active, speaker }), idle).state, "active");
	t.is(state({ do: "pull", digest: B, store: "store" }), "pulling");
	t.is(state({ do: "try", digest: B }), "checking");
	t.is(state({ do: "wait", until: 1 }), "failed");
});

test("what the board says of itself is reported where it says anything", (t) => {
	t.false("board" in report(seen(), idle));
	const board = {
		...{ model: "NVIDIA Jetson Orin Nano", l4t: "36.4.3", tensorrt: "10.3.0" },
		...{ powerMode: "15W", temperatures: { cpu: 50 }, gpuLoad: 0.5, at },
	};
	const reported = report(seen({ board }), idle);
	t.deepEqual(reported.board, board);
	t.deepEqual(decode(zReported, encode(reported)), reported);
});

test("what computes is reported, and why it is not the engine", (t) => {
	const runtime = (change: Partial<Seen>) => report(seen(change), idle).runtime;
	t.is(runtime({}), undefined, "nothing speaks");
	t.deepEqual(runtime({ runtime: "onnxruntime" }), { name: "onnxruntime" });
	const failed = {
		state: "failed",
		reason: { code: "E_ENGINE_CRASH", message: "it ended" },
	} as const;
	t.deepEqual(runtime({ runtime: "onnxruntime", engine: failed }), {
		name: "onnxruntime",
		reason: failed.reason,
	});
	t.deepEqual(
		runtime({ runtime: "tensorrt", engine: { state: "ready", id: "e" } }),
		{ name: "tensorrt" },
	);
});

test("a rejected bundle is reported with its reason beside the voice that speaks", (t) => {
	const rejected = new Map([
		[
			B,
			{ code: "E_GOLDEN", message: "sounds different", revision: 2 } as const,
		],
	]);
	t.deepEqual(report(seen({ active, desired, rejected }), idle), {
		v: 1,
		bundle: A,
		revision: 2,
		state: "failed",
		reason: { code: "E_GOLDEN", message: "sounds different" },
		deviceClass: "orin-nano",
		at,
	});
	const again = { ...desired, revision: 3 };
	const later = report(seen({ active, desired: again, rejected }), idle);
	t.is(later.reason, undefined);
});

test("an active voice that does not load is no active voice", (t) => {
	const why = { code: "E_MODEL", message: "broken" } as const;
	const failed = { digest: A, ...why, at: 0 };
	const told = report(
		seen({ active, speaker: { up: true, digest: null, failed } }),
		idle,
	);
	t.is(told.state, "failed");
	t.deepEqual(told.reason, { code: "E_MODEL", message: "broken" });
});

test("progress belongs to a pull, and long messages are cut", (t) => {
	const progress = { done: 1, total: 2 };
	const step = { do: "pull", digest: B, store: "s" } as const;
	const trouble = { code: "E_PULL", message: "x".repeat(5000) } as const;
	const told = report(seen({ desired }), { ...idle, step, progress, trouble });
	t.deepEqual(told.progress, progress);
	t.is(told.reason?.message.length, 1000);
	t.is(report(seen(), { ...idle, progress }).progress, undefined);
});
