import test from "ava";
import { ENGLISH_PHONES, symbolsOf } from "../data/corpus.ts";
import { newBase } from "../pretrain/base.ts";
import { voiceConfig } from "./edge.ts";

test("a voice's halo is that of the size it speaks with", (t) => {
	const base = newBase("test", "en", symbolsOf(ENGLISH_PHONES));
	const of = (size: "student" | "teacher") =>
		voiceConfig(base, size, "ada", new Float32Array(192)).halo;
	t.is(of("student"), base.halo);
	// Dilations 1, 2, 4, 1, 2, 4 against 1, 2, 4, 1.
	t.is(of("teacher"), base.halo + 6);
});
