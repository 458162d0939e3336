import { appendFile, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import { topic } from "@wattvox/link";
import test from "ava";
import { Broker } from "./broker.ts";
import { RetainedStore } from "./broker-retained.ts";
import { connect } from "./testing.ts";

const at = (device: string) => topic("home", device, "desired");

test("retained messages outlive the broker; presence does not", async (t) => {
	const dir = await temporaryDir(t);
	const first = await Broker.start({ port: 0, dataDir: dir });
	t.teardown(() => first.stop());
	const fleet = await connect(first.url, "fleet");
	const say = (name: string, text: string) =>
		fleet.publish(name, Buffer.from(text), { qos: 1, retain: true });
	await say(at("a"), "old");
	await say(at("a"), "new");
	await say(at("b"), "gone");
	await say(at("b"), "");
	await say(topic("home", "a", "presence"), "here");
	await fleet.stop();
	await first.stop();

	const second = await Broker.start({ port: 0, dataDir: dir });
	t.teardown(() => second.stop());
	const link = await connect(second.url, "later");
	t.teardown(() => link.stop());
	const heard: string[] = [];
	await new Promise<void>((resolve, reject) => {
		link
			.subscribe("wattvox/#", (name, payload) => {
				heard.push(`${name.split("/")[3]} ${payload}`);
				if (payload.toString() === "end") resolve();
			})
			// what was retained comes first
			.then(() => link.publish(at("z"), Buffer.from("end")))
			.catch(reject);
	});
	t.deepEqual(heard, ["a new", "z end"]);
});

test("a torn or damaged line is left out, the others count", async (t) => {
	const dir = await temporaryDir(t);
	const path = join(dir, "retained.log");
	const payload = Buffer.from("x");
	const store = new RetainedStore(dir);
	t.deepEqual(await store.open(), []);
	await store.keep({ topic: "a", payload, qos: 1 });
	await store.keep({ topic: "b", payload, qos: 0 });
	await store.close();
	await store.close();
	const lines = (await readFile(path, "utf8")).split("\n");
	await writeFile(
		path,
		[lines[0], "0badc0de [1]", lines[1]?.slice(0, 20)].join("\n"),
	);
	const again = new RetainedStore(dir);
	t.deepEqual(await again.open(), [{ topic: "a", payload, qos: 1 }]);
	await again.close();
	await appendFile(path, "junk");
	const third = new RetainedStore(dir);
	t.is((await third.open()).length, 1);
	await third.close();
	t.notRegex(await readFile(path, "utf8"), /junk/);
});

test("the log does not grow with what was replaced", async (t) => {
	const dir = await temporaryDir(t);
	const store = new RetainedStore(dir);
	await store.open();
	const payload = Buffer.alloc(50_000, 7);
	for (let round = 0; round < 10; round++)
		await Promise.all(
			["a", "b", "c"].flatMap((topic) =>
				[1, 2].map(() => store.keep({ topic, payload, qos: 1 })),
			),
		);
	await store.close();
	// 60 messages of 67 kB in base64 came; 3 are live
	t.true((await stat(join(dir, "retained.log"))).size < 2_300_000);
	const again = new RetainedStore(dir);
	t.is((await again.open()).length, 3);
	t.true((await stat(join(dir, "retained.log"))).size < 250_000);
	await again.close();
});
