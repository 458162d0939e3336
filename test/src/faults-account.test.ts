import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import { FIRST_WINDOW } from "@wattvox/link";
import test from "ava";
import { Account, mostUnderWay } from "./faults-account.ts";

test("a block is needed once, and again after its file was removed", async (t) => {
	const store = await temporaryDir(t);
	const partial = join(store, "partial", "a.part");
	const blob = join(store, "blobs", "sha256", "a");
	await mkdir(join(store, "partial"));
	await mkdir(join(store, "blobs", "sha256"), { recursive: true });
	const account = new Account(store);
	const a = { sha256: "a", blocks: 5 };
	const b = { sha256: "b", blocks: 7 };
	await account.wish([a]);
	t.is(account.needed, 5);
	await writeFile(partial, "");
	await account.wish([a, b]);
	t.is(account.needed, 12);
	await rename(partial, blob);
	await account.wish([a]);
	t.is(account.needed, 12, "a file that is whole now was not removed");
	await rm(blob);
	await account.wish([b]);
	t.is(account.needed, 12, "b never was there, and is still to come");
	await account.wish([a]);
	t.is(account.needed, 17);
});

test("each pull, each interruption and each spoilt file explains so much and no more", async (t) => {
	const account = new Account(await temporaryDir(t));
	const file = { sha256: "a", blocks: 10 };
	await account.wish([file]);
	t.is(account.allowed, 10);
	account.heard({ state: "pulling", revision: 1 });
	account.heard({ state: "pulling", revision: 1 });
	t.is(account.allowed, 20);
	account.heard({ state: "failed", revision: 1 });
	account.heard({ state: "pulling", revision: 1 });
	account.heard({ state: "pulling", revision: 2 });
	t.is(account.allowed, 40);
	account.interrupted();
	account.spoilt(file);
	t.is(account.allowed, 60);
});

test("a pull has its window under way, and never more than is left", (t) => {
	t.is(mostUnderWay(5), 5);
	t.is(mostUnderWay(FIRST_WINDOW + 9), FIRST_WINDOW);
	t.is(mostUnderWay(4 * FIRST_WINDOW), 2 * FIRST_WINDOW);
});
