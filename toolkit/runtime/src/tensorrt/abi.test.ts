import { readFile } from "node:fs/promises";
import test from "ava";
import { lacks, standIn } from "../testing.ts";
import { abiContract } from "./abi-contract.ts";
import { ABI, DIMS, PROTOTYPES, WHY } from "./ffi.ts";
import { STATUS } from "./status.ts";

const compiled = lacks("gcc") ? test.skip : test;

const header = await readFile(
	new URL("../../native/wattvox_trt.h", import.meta.url),
	"utf8",
);

test("the FFI binds the header: every function, prototype by prototype", (t) => {
	const tidy = (c: string) =>
		c
			.replace(/_Out_ |\s+/g, (found) => (found === "_Out_ " ? "" : " "))
			.replace("(void)", "()")
			.trim();
	const declared = [...header.matchAll(/^WV_API ([^;]+);/gm)].map((m) =>
		tidy(m[1] ?? ""),
	);
	t.deepEqual(Object.values(PROTOTYPES).map(tidy), declared);
});

test("the constants of the FFI are the header's", (t) => {
	const defined = (name: string) =>
		Number(new RegExp(`#define ${name} (\\d+)`).exec(header)?.[1]);
	t.deepEqual([ABI, WHY, DIMS].map(Number), [
		defined("WV_ABI"),
		defined("WV_WHY"),
		defined("WV_DIMS"),
	]);
	const statuses = Object.entries(STATUS).map(([name, value]) => [
		`WV_${name.toUpperCase()}`,
		value,
	]);
	const block = /enum wv_status \{([^}]+)\}/.exec(header)?.[1] ?? "";
	t.deepEqual(
		[...block.matchAll(/(WV_\w+) = (\d+)/g)].map((m) => [m[1], Number(m[2])]),
		statuses,
	);
});

compiled("the stand-in keeps the ABI contract", async (t) => {
	await abiContract(t, await standIn());
});
