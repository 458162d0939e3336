import { studentConfig, teacherConfig } from "@wattvox/models";
import { teacherOutputs } from "../graphs/acoustic.ts";
import { type Base, newBase } from "../pretrain/base.ts";

/** Sizes of acoustic models that train in seconds. */
export const TINY = {
	width: 16,
	heads: 2,
	trunkLayers: 1,
	contentLayers: 1,
	cond: 8,
	decoderWidth: 16,
	decoderLayers: 1,
	posteriorWidth: 8,
	expand: 1,
};

const SYMBOLS = ["_", "pau", "aa", "b"];

/** A base of such models. */
export const base: Base = {
	...newBase("tiny", "en", SYMBOLS),
	teacher: { ...teacherConfig(SYMBOLS.length), ...TINY, decoderWidth: 24 },
	student: { ...studentConfig(SYMBOLS.length), ...TINY },
};

/** Its weights as drawn, without training. */
export const drawn = (size: "teacher" | "student") =>
	teacherOutputs(base[size], 1, false).initializers;
