import { WattvoxError } from "@wattvox/core";
import type { Dim } from "./types.ts";

/**
 * Symbolic sizes are affine in one symbol: "T", "T+4", "T-1". That much is enough to see that a value
 * padded by two frames on each side and sliced back has its old length again. Strides make symbols of
 * their own from others, "T*4" and "(T+1)//2": the same formula gives the same symbol.
 */
const AFFINE = /^(.*?)([+-]\d+)?$/;
const MULTIPLE = /^(.*)\*(\d+)$/;

/** A symbolic size as its symbol and what is added. */
function affine(d: string): [base: string, offset: number] {
	const match = AFFINE.exec(d);
	return [match?.[1] ?? d, Number(match?.[2] ?? 0)];
}

/** d + k. */
export function addDim(d: Dim, k: number): Dim {
	if (typeof d === "number") return d + k;
	const [base, known] = affine(d);
	const offset = known + k;
	if (offset === 0) return base;
	return offset > 0 ? `${base}+${offset}` : `${base}${offset}`;
}

/** a - b where both are known or share their symbol; undefined otherwise. */
export function subDims(a: Dim, b: Dim): number | undefined {
	if (typeof a === "number" && typeof b === "number") return a - b;
	if (typeof a === "string" && typeof b === "string") {
		const [[x, i], [y, j]] = [affine(a), affine(b)];
		if (x === y) return i - j;
	}
	return undefined;
}

/** d * k, for k >= 1. */
export function mulDim(d: Dim, k: number): Dim {
	if (typeof d === "number" || k === 1)
		return typeof d === "number" ? d * k : d;
	const [base, offset] = affine(d);
	const [, stem = base, factor = "1"] = MULTIPLE.exec(base) ?? [];
	return addDim(`${stem}*${Number(factor) * k}`, offset * k);
}

/** floor(d / k), for k >= 1. */
export function floorDivDim(d: Dim, k: number): Dim {
	if (typeof d === "number") return Math.floor(d / k);
	if (k === 1) return d;
	const [base, offset] = affine(d);
	const whole = Math.floor(offset / k);
	const [, stem = "", factor = "1"] = MULTIPLE.exec(base) ?? [];
	if (Number(factor) % k === 0)
		return addDim(mulDim(stem, Number(factor) / k), whole);
	const quotient = `(${addDim(base, offset - whole * k)})//${k}`;
	// What is made of a fresh symbol is as fresh.
	return addDim(isFresh(base) ? `?${quotient}` : quotient, whole);
}

/**
 * The product of sizes: a number, or a symbol such as "B*T*12" that is the same for the same sizes;
 * undefined where a symbol is not known, or two are multiplied of which one is a sum.
 */
export function mulDims(dims: readonly Dim[]): Dim | undefined {
	let factor = 1;
	const symbols: string[] = [];
	for (const d of dims) {
		if (typeof d === "number") factor *= d;
		else if (isFresh(d)) return undefined;
		else symbols.push(d);
	}
	const [one] = symbols;
	if (one === undefined || factor === 0) return factor;
	if (factor < 0) return undefined;
	if (symbols.length === 1) return mulDim(one, factor);
	const stems: string[] = [];
	for (const d of symbols) {
		const [base, offset] = affine(d);
		if (offset) return undefined;
		const [, stem = base, by = "1"] = MULTIPLE.exec(base) ?? [];
		factor *= Number(by);
		stems.push(...(stem.includes("(") ? [stem] : stem.split("*")));
	}
	return mulDim(stems.sort().join("*"), factor);
}

let counter = 0;
/** A symbol that equals no other. */
export const freshDim = (): string => `?${++counter}`;

/** True for a symbol that freshDim made: it means "not known", and is never written to a file. */
export const isFresh = (d: Dim): boolean =>
	typeof d === "string" && d.startsWith("?");

/**
 * The size of one axis of a broadcast of a and b (numpy's rule). Two different symbols give a fresh one.
 * @throws WattvoxError E_MODEL when both are known, differ, and neither is 1
 */
export function broadcastDim(a: Dim, b: Dim): Dim {
	if (a === b) return a;
	if (a === 1) return b;
	if (b === 1) return a;
	if (typeof a === "number" && typeof b === "number")
		throw new WattvoxError("E_MODEL", `sizes ${a} and ${b} do not broadcast`);
	// A known size that is not 1 wins over a symbol: the symbol must equal it or be 1.
	if (typeof a === "number") return a;
	if (typeof b === "number") return b;
	return freshDim();
}

/** The shape of a broadcast of several shapes; undefined when one rank is unknown. */
export function broadcastShapes(
	...shapes: (readonly Dim[] | undefined)[]
): Dim[] | undefined {
	let out: Dim[] = [];
	for (const shape of shapes) {
		if (!shape) return undefined;
		const rank = Math.max(out.length, shape.length);
		const next: Dim[] = [];
		for (let i = 0; i < rank; i++) {
			const a = out[i - rank + out.length] ?? 1;
			const b = shape[i - rank + shape.length] ?? 1;
			next.push(broadcastDim(a, b));
		}
		out = next;
	}
	return out;
}

/** Product of sizes; undefined when one is symbolic. */
export function product(dims: readonly Dim[]): number | undefined {
	let n = 1;
	for (const d of dims) {
		if (typeof d !== "number") return undefined;
		n *= d;
	}
	return n;
}

/** True when both shapes are known and equal, symbols by name. */
export const sameShape = (
	a: readonly Dim[] | undefined,
	b: readonly Dim[] | undefined,
): boolean =>
	!!a && !!b && a.length === b.length && a.every((d, i) => d === b[i]);
