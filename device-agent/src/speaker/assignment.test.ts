import test from "ava";
import { Assignment } from "./assignment.ts";
import type { VoiceAt } from "./messages.ts";

const at = (digest: string, engine?: string): VoiceAt => ({
	...{ digest, dir: "/nowhere" },
	...(engine !== undefined && {
		engine: {
			...{ id: engine, path: "/nowhere", sha256: "", size: 1 },
			ports: { inputs: [], outputs: [] },
		},
	}),
});
const loaded = (ask: number, digest: string, engine: string | null = null) => ({
	...{ kind: "loaded" as const, ask, digest, engine },
	runtime: engine === null ? ("onnxruntime" as const) : ("tensorrt" as const),
});
const none = { state: { loaded: [], loading: null }, engines: [] };

test("an answer about what was asked before is known as such", (t) => {
	const has = new Assignment();
	const first = has.ask(at("a"));
	const second = has.ask(at("b", "e"));
	t.false(has.loaded(loaded(first, "a")));
	t.like(has, { digest: "a", engine: null, loading: "b" });
	t.deepEqual([has.isAnswered(first), has.isAnswered(second)], [true, false]);
	t.true(has.loaded(loaded(second, "b", "e")));
	t.like(has, { digest: "b", engine: "e", runtime: "tensorrt", loading: null });
	t.true(has.isAnswered(second));
});

test("asked for nothing it owes no answer", (t) => {
	const has = new Assignment();
	t.true(has.isAnswered(has.ask(null)));
});

test("suspected is the engine that was being loaded, else the one that is", (t) => {
	const has = new Assignment();
	has.loaded(loaded(has.ask(at("a", "one")), "a", "one"));
	t.deepEqual(has.suspects(none, new Set()), [{ digest: "a", engine: "one" }]);
	const ask = has.ask(at("b", "two"));
	t.deepEqual(has.suspects(none, new Set()), [{ digest: "b", engine: "two" }]);
	// it could not use that one: it has none open for b
	const trouble = { code: "E_ENGINE_LOAD" as const, message: "no" };
	has.loaded({ ...loaded(ask, "b", "two"), runtime: "onnxruntime", trouble });
	t.like(has, { digest: "b", engine: null, runtime: "onnxruntime" });
	t.deepEqual(has.suspects(none, new Set()), []);
	has.ended();
	t.like(has, { digest: null, engine: null, runtime: null });
});
