import {
	checkTensorrt,
	type Graph,
	requireTensorrt,
	toTensorrt,
} from "@wattvox/onnx";
import test from "ava";
import { ENGLISH_PHONES, symbolsOf } from "../data/corpus.ts";
import { newBase } from "../pretrain/base.ts";
import { decoderGraph, edgeGraphs, textGraph, voiceConfig } from "./edge.ts";

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

test("an export that some device's TensorRT does not take is refused, whichever graph it is in", (t) => {
	const base = newBase("test", "en", symbolsOf(ENGLISH_PHONES));
	const size = "student";
	// the values are nobody's matter here
	const weights = textGraph(base[size]).initializers;
	const vocoder = decoderGraph(base[size], base.vocoder).initializers;
	const make = { text: textGraph, decoder: decoderGraph };
	t.notThrows(() => edgeGraphs(base, size, weights, vocoder, make));
	/** With an operator behind its last that TensorRT has in no version. */
	const spoil = (graph: Graph): Graph => {
		const [from] = graph.outputs;
		const node = {
			...{ op: "MelWeightMatrix", domain: "", name: "spoilt", attrs: {} },
			...{ inputs: [from?.name ?? ""], outputs: ["spoilt"] },
		};
		return { ...graph, nodes: [...graph.nodes, node] };
	};
	const refused = {
		code: "E_TENSORRT_OP",
		message: /MelWeightMatrix "spoilt"/,
	};
	const text: typeof textGraph = (c) => spoil(textGraph(c));
	const decoder: typeof decoderGraph = (c, v) => spoil(decoderGraph(c, v));
	for (const part of [{ text }, { decoder }])
		t.throws(
			() => edgeGraphs(base, size, weights, vocoder, { ...make, ...part }),
			refused,
		);
});
