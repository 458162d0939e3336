import { setImmediate } from "node:timers/promises";
import { WattvoxError } from "@wattvox/core";
import type { Voice } from "@wattvox/synth";
import test from "ava";
import fc from "fast-check";
import { RESERVE_BYTES, type ShelfOptions, VoiceShelf } from "./voice-shelf.ts";

const never = new AbortController().signal;

/** A shelf of voices that are nothing but their being loaded. */
function shelfOf(options: Partial<ShelfOptions> = {}, weight = 10) {
	const here = new Set<string>();
	const loads: string[] = [];
	let most = 0;
	const shelf = new VoiceShelf({
		places: 2,
		bytes: 1000,
		available: () => 1e12,
		maxWaiting: 4,
		async prepare(digest) {
			return {
				bytes: weight,
				async load() {
					loads.push(digest);
					here.add(digest);
					most = Math.max(most, here.size);
					const dispose = async () => void here.delete(digest);
					const voice = { dispose } as Partial<Voice> as Voice;
					return { voice, engine: null };
				},
			};
		},
		...options,
	});
	/** Borrows and gives back at once. */
	const visit = async (digest: string) => {
		const lease = await shelf.borrow(digest, never);
		await lease.give();
	};
	return { shelf, here, loads, visit, most: () => most };
}

test("voices are loaded once, and the longest unused goes first", async (t) => {
	const { shelf, here, loads, visit } = shelfOf();
	for (const digest of ["a", "b", "a", "c"]) await visit(digest);
	t.deepEqual(loads, ["a", "b", "c"]);
	t.deepEqual([...here], ["a", "c"]);
	t.deepEqual(
		shelf.loaded.map((l) => l.digest),
		["a", "c"],
	);
	t.deepEqual(shelf.counts, { loads: 3, evictions: 1 });
	await shelf.close();
	t.is(here.size, 0);
});

test("room is made for the most that a voice may take, and what it came to take counts", async (t) => {
	const dispose = async () => undefined;
	const voice = { dispose } as Partial<Voice> as Voice;
	const { shelf, visit } = shelfOf({
		places: 3,
		bytes: 100,
		prepare: async (digest) => ({
			bytes: 60,
			load: async () => ({ voice, engine: digest, bytes: 40 }),
		}),
	});
	await visit("a");
	await visit("b");
	// a takes 40, so b's 60 had room beside it; beside both there is none for another 60
	t.deepEqual(
		shelf.loaded.map((l) => [l.digest, l.bytes]),
		[
			["a", 40],
			["b", 40],
		],
	);
	await visit("c");
	t.deepEqual(
		shelf.loaded.map((l) => l.digest),
		["b", "c"],
	);
});

test("those who ask for one voice at the same time share its loading", async (t) => {
	const { shelf, loads } = shelfOf();
	const leases = await Promise.all(
		[1, 2, 3].map(() => shelf.borrow("a", never)),
	);
	t.deepEqual(loads, ["a"]);
	t.is(new Set(leases.map((l) => l.shared)).size, 1);
});

test("what somebody speaks with stays; who wants another waits for it, and may leave", async (t) => {
	const { shelf, here, visit } = shelfOf({ places: 1 });
	const speaking = await shelf.borrow("a", never);
	const gone = new AbortController();
	const left = shelf.borrow("b", gone.signal);
	const waits = visit("c");
	await setImmediate();
	t.deepEqual([...here], ["a"]);
	gone.abort(new Error("gone"));
	await t.throwsAsync(left, { message: "gone" });
	await speaking.give();
	await waits;
	// nobody wanted b any more
	t.deepEqual([...here], ["c"]);
});

test("a bound on memory counts as one on places does", async (t) => {
	const { visit, here } = shelfOf({ places: 9, bytes: 25 });
	for (const digest of ["a", "b", "c"]) await visit(digest);
	t.deepEqual([...here], ["b", "c"]);
	const { visit: tooLarge } = shelfOf({ bytes: 9 });
	await t.throwsAsync(tooLarge("a"), {
		code: "E_MEMORY",
		message: /about 1 MB/,
	});
	const { visit: none } = shelfOf({ places: 0 });
	await t.throwsAsync(none("a"), {
		code: "E_MEMORY",
		message: /no voice beside/,
	});
});

test("a system that is short of memory gets the unused ones back before one is refused", async (t) => {
	let left = RESERVE_BYTES + 10;
	const { shelf, visit, here } = shelfOf({ available: () => left });
	await visit("a");
	left -= 10;
	const refused = t.throwsAsync(visit("b"), {
		code: "E_MEMORY",
		message: /the system has 64 MB left/,
	});
	await refused;
	t.is(here.size, 0, "it was tried without the other");
	left += 10;
	await visit("b");
	t.deepEqual(
		shelf.loaded.map((l) => l.digest),
		["b"],
	);
});

test("too many that wait are sent away; one that does not load takes nothing with it", async (t) => {
	let fail: (reason: Error) => void = () => undefined;
	const { shelf, visit } = shelfOf({
		maxWaiting: 2,
		prepare: (digest) =>
			digest === "stuck"
				? new Promise((_, reject) => {
						fail = reject;
					})
				: Promise.resolve({
						bytes: 1,
						load: async () => ({
							voice: { dispose: async () => undefined } as unknown as Voice,
							engine: null,
						}),
					}),
	});
	const stuck = visit("stuck");
	const behind = visit("a");
	await t.throwsAsync(visit("b"), { code: "E_BUSY" });
	t.is(shelf.waiting, 2);
	await setImmediate();
	fail(new WattvoxError("E_TAMPERED", "damaged"));
	await t.throwsAsync(stuck, { code: "E_TAMPERED" });
	await behind;
	await visit("a");
	t.is(shelf.waiting, 0);
});

test("what is not to be had any more is let go, and freed when nobody speaks with it", async (t) => {
	const { shelf, here, visit } = shelfOf();
	const speaking = await shelf.borrow("a", never);
	await visit("b");
	await shelf.retain(new Set(["b"]));
	t.deepEqual([...here], ["a", "b"]);
	t.deepEqual(
		shelf.loaded.map((l) => l.digest),
		["b"],
	);
	await speaking.give();
	t.deepEqual([...here], ["b"]);
	t.is(shelf.take("b")?.digest, "b");
	t.is(shelf.take("b"), undefined);
	await shelf.close();
	await t.throwsAsync(visit("a"), { code: "E_INTERRUPTED" });
	t.deepEqual([...here], ["b"], "what was taken is the taker's");
});

test("whoever comes and goes: never more than there are places, and none while it is held", async (t) => {
	const ticks = fc.nat({ max: 5 });
	await fc.assert(
		fc.asyncProperty(
			fc.integer({ min: 1, max: 3 }),
			fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d"), ticks, ticks), {
				maxLength: 12,
			}),
			async (places, wishes) => {
				const { shelf, here, most } = shelfOf({ places, maxWaiting: 99 });
				await Promise.all(
					wishes.map(async ([digest, before, held]) => {
						for (let i = 0; i < before; i++) await setImmediate();
						const lease = await shelf.borrow(digest, never);
						for (let i = 0; i <= held; i++) {
							t.true(here.has(digest));
							await setImmediate();
						}
						await lease.give();
					}),
				);
				t.true(most() <= places);
				await shelf.close();
				t.is(here.size, 0);
			},
		),
		{ numRuns: 60 },
	);
});

test("a voice is given up only to who wants it by the engine that it speaks by", async (t) => {
	const voice = { dispose: async () => undefined } as unknown as Voice;
	const { shelf, visit } = shelfOf({
		prepare: async (digest) => ({
			bytes: 1,
			load: async () => ({ voice, engine: digest === "a" ? "e" : null }),
		}),
	});
	for (const digest of ["a", "b"]) await visit(digest);
	t.deepEqual(
		shelf.loaded.map((l) => l.engine),
		["e", null],
	);
	t.is(shelf.take("a", null), undefined);
	t.is(shelf.take("b", "e"), undefined);
	t.is(shelf.take("a", "e")?.engine, "e");
	t.is(shelf.take("b", null)?.engine, null);
	t.deepEqual(shelf.loaded, []);
});
