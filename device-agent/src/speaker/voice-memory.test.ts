import test from "ava";
import { voiceMemory } from "./voice-memory.ts";

test("a voice that speaks by an engine takes what the engine's file says, not its decoder's graph", (t) => {
	const sizes = { text: 1e6, decoder: 10e6 };
	t.deepEqual(voiceMemory(sizes), { onnxruntime: 55e6 });
	t.deepEqual(voiceMemory({ ...sizes, engine: 12e6 }), {
		onnxruntime: 55e6,
		tensorrt: 41e6,
	});
});
