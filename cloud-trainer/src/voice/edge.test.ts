import { checkTensorrt, requireTensorrt, toTensorrt } from "@wattvox/onnx";
import test from "ava";
import { ENGLISH_PHONES, symbolsOf } from "../data/corpus.ts";
import { newBase } from "../pretrain/base.ts";
import { decoderGraph, textGraph, voiceConfig } from "./edge.ts";

test("a voice's halo is that of the size it speaks with", (t) => {
	const base = newBase("test", "en", symbolsOf(ENGLISH_PHONES));
	const of = (size: "student" | "teacher") =>
		voiceConfig(base, size, "ada", new Float32Array(192)).halo;
	t.is(of("student"), base.halo);
	// Dilations 1, 2, 4, 1, 2, 4 against 1, 2, 4, 1, 2.
	t.is(of("teacher"), base.halo + 4);
});

test("TensorRT takes both edge graphs of both sizes, 8.5 and 10, with nothing to remark", (t) => {
	const base = newBase("test", "en", symbolsOf(ENGLISH_PHONES));
	for (const size of ["student", "teacher"] as const)
		for (const graph of [
			textGraph(base[size]),
			decoderGraph(base[size], base.vocoder),
		]) {
			t.notThrows(() => requireTensorrt(graph));
			// The check sees what it looks at: as they stand, 8.5 has no LayerNormalization.
			const [first] = checkTensorrt(graph, "8.5");
			t.is(first?.op, "LayerNormalization");
			t.deepEqual(checkTensorrt(toTensorrt(graph, "8.5"), "8.5"), []);
		}
});
