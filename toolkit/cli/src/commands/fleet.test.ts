import { once } from "node:events";
import { access, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { writeBundle, writeKeys } from "@wattvox/bundle";
import { sampleFiles, sampleMeta, temporaryDir } from "@wattvox/bundle/testing";
import type { UtteranceAnswer } from "@wattvox/fleet";
import { BROKERS } from "@wattvox/fleet/testing";
import { encode, Link, topic } from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { cli, service } from "../testing.ts";

async function house(t: ExecutionContext) {
	const dir = await temporaryDir(t);
	const { key, privatePath } = await writeKeys(dir, "fleet");
	const bundle = join(dir, "voice");
	const { digest } = await writeBundle(
		bundle,
		sampleFiles({ decoderBytes: 70_000 }),
		sampleMeta("ada"),
		key,
	);
	return { dir, bundle, digest, key: privatePath, store: join(dir, "store") };
}

test("serve, publish, report power, stop, and read the bill", async (t) => {
	const h = await house(t);
	const data = join(h.dir, "data");
	const { host, ended } = service(
		[
			...["fleet", "serve", "--store", h.store, "--data", data, "--port", "0"],
			"--http-port",
			"0",
		],
		t,
	);
	const [, url = ""] = await host.says(/serving .* on (mqtt:\S+)/);
	const published = await cli([
		...["publish", h.bundle, "--store", h.store, "--key", h.key],
		...["--fleet", "home", "--device", "kitchen", "--device", "hall"],
		...["--broker", url, "--json"],
	]);
	t.is(published.code, 0, published.out);
	t.like(published.json, { digest: h.digest, devices: ["kitchen", "hall"] });

	const link = new Link({ url, clientId: "kitchen", connectTimeoutMs: 60_000 });
	await link.start();
	const desired = new Promise<string>((resolve, reject) => {
		link
			.subscribe(topic("home", "kitchen", "desired"), (_, payload) =>
				resolve(payload.toString()),
			)
			.catch(reject);
	});
	t.true((await desired).includes(h.digest));
	const report = {
		...{ v: 1, device: "kitchen", boot: "b1", sequence: 0 },
		...{ millijoules: 9000, measured: false, sensor: "estimate" },
		...{ utterances: 3, audioSeconds: 12, computeSeconds: 0.6 },
		...{ voice: h.digest, at: "2026-01-01T00:00:00Z" },
	};
	await link.publish(topic("home", "kitchen", "power"), encode(report), {
		qos: 1,
	});
	const spoken = {
		...{ v: 1, device: "kitchen", log: "l1" },
		lost: { utterances: 4, readings: 0, boots: 0, damaged: 0 },
		records: [0, 1].map((n) => ({
			...{ boot: "b1", n, at: `2026-01-01T00:00:0${n}Z`, voice: h.digest },
			...{ whole: n === 0, audioSeconds: 4, computeSeconds: 0.2 },
			...{ firstSoundMs: 41, millijoules: null },
			...{ measured: false, sensor: "estimate" },
		})),
	};
	await link.publish(topic("home", "kitchen", "utterances"), encode(spoken), {
		qos: 1,
	});
	await link.stop();
	// the database is the server's now: it is asked
	t.regex(host.err, /its password, shown this once: [a-z2-9-]{23}/);
	let asked = await cli(["fleet", "power", "--data", data, "--json"]);
	while (!asked.out.includes("kitchen"))
		asked = await cli(["fleet", "power", "--data", data, "--json"]);
	t.like(asked.json, { total: { utterances: 3 } });
	t.is(
		(await cli(["fleet", "power", "--data", data, "--since", "soon"])).code,
		2,
	);

	const one = ["fleet", "utterances", "--data", data];
	let newest = (await cli([...one, "--limit", "1", "--json"])).json;
	while ((newest as UtteranceAnswer).rows.length === 0)
		newest = (await cli([...one, "--limit", "1", "--json"])).json;
	const { rows, lost } = newest as UtteranceAnswer;
	t.is(rows.length, 1);
	t.like(rows[0], { device: "kitchen", n: 1, whole: false });
	t.is(lost.utterances, 4);
	t.is((await cli([...one, "--limit", "0"])).code, 2);

	host.emit("SIGTERM");
	t.is(await ended, 0);
	const list = (await cli([...one, "--device", "kitchen"])).out;
	t.regex(
		list,
		/00:00:01 +kitchen +[0-9a-f]{12} \(broken off\) +4\.0 +0\.0500/,
	);
	t.regex(list, /41 +unknown +estimated, estimate/);
	t.regex(list, /not here: 4 utterances thinned out on devices/);
	const none = (await cli([...one, "--device", "hall"])).out;
	t.regex(none, /^no utterance is kept\s*$/);
	const bill = await cli(["fleet", "power", "--data", data]);
	t.is(bill.code, 0);
	t.regex(bill.out, /kitchen/);
	t.regex(bill.out, /est\. J/);
	const json = await cli(["fleet", "power", "--data", data, "--json"]);
	t.like(json.json, {
		total: { utterances: 3, joules: null, estimatedJoules: 9 },
	});
	const csv = await cli([
		...["fleet", "power", "--data", data, "--csv", "--by", "voice"],
		...["--since", "2025-12-31"],
	]);
	t.regex(csv.out, /^name,.*\r\n[0-9a-f]{12},/);
	const carbon = await cli([
		...["fleet", "power", "--data", data, "--codecarbon", "--by", "voice"],
	]);
	t.regex(carbon.out, /^timestamp,project_name,.*\r\n.*,fleet by voice,ever,/);
	t.is((await cli(["fleet", "power", "--by", "day"])).code, 2);
});

const mosquitto = BROKERS.find(({ name }) => name === "mosquitto");

(mosquitto?.missing ? test.skip : test)(
	`on a broker of one's own: reports that come while the server is away are in the bill${mosquitto?.missing ? ` (skipped: ${mosquitto.missing})` : ""}`,
	async (t) => {
		t.timeout(120_000);
		const dir = await temporaryDir(t);
		const broker = await mosquitto?.make(join(dir, "mosquitto"));
		if (!broker) return t.fail();
		t.teardown(() => broker.stop());
		const data = join(dir, "data");
		const serve = async (during: () => Promise<unknown>) => {
			const { host, ended } = service(
				[
					...["fleet", "serve", "--store", join(dir, "store"), "--data", data],
					...["--broker", broker.url, "--http-port", "0"],
				],
				t,
			);
			await host.says(/serving /);
			await during();
			host.emit("SIGTERM");
			t.is(await ended, 0);
		};
		const link = new Link({
			url: broker.url,
			clientId: "kitchen",
			connectTimeoutMs: 60_000,
		});
		await link.start();
		t.teardown(() => link.stop());
		const report = (sequence: number) =>
			link.publish(
				topic("home", "kitchen", "power"),
				encode({
					...{ v: 1, device: "kitchen", boot: "b1", sequence },
					millijoules: 1000 * sequence,
					...{ measured: true, sensor: "ina3221", utterances: sequence },
					...{ audioSeconds: sequence, computeSeconds: sequence },
					...{ voice: null, at: "2026-01-01T00:00:00Z" },
				}),
				{ qos: 1 },
			);
		await serve(() => report(1));
		await report(2);
		await serve(async () => {
			let asked = await cli(["fleet", "power", "--data", data, "--json"]);
			while (!/"utterances":\s*2/.test(asked.out))
				asked = await cli(["fleet", "power", "--data", data, "--json"]);
		});
		const bill = await cli(["fleet", "power", "--data", data, "--json"]);
		t.like(bill.json, { total: { joules: 2, utterances: 2 } });
	},
);

test("publish without a broker exits 5, with a wrong key 4, with a bad id 2", async (t) => {
	const h = await house(t);
	// a port that was free a moment ago and that nobody listens on
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	server.close();
	await once(server, "close");
	const publish = (...more: string[]) =>
		cli([
			...["publish", h.bundle, "--store", h.store, "--fleet", "home"],
			...["--broker", `mqtt://u:hunter2@127.0.0.1:${port}`, ...more],
		]);
	const ours = ["--key", h.key, "--device", "kitchen"];
	const stopped = service(
		[
			...["publish", h.bundle, "--store", h.store, "--fleet", "home"],
			...["--broker", `mqtt://127.0.0.1:${port}`, ...ours],
		],
		t,
	);
	await stopped.host.says(/publish/);
	stopped.host.emit("SIGINT");
	t.is(await stopped.ended, 130);
	t.is((await publish("--key", h.key, "--device", "a/b")).code, 2);
	t.is((await publish("--key", h.bundle, "--device", "a")).code, 4);
	const other = await writeKeys(h.dir, "other");
	t.is((await publish("--key", other.privatePath, "--device", "a")).code, 4);
});

test("serve on a port that is taken exits 5; a power database that is none exits 6, a missing one 3", async (t) => {
	const h = await house(t);
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => void server.close());
	const { port } = server.address() as AddressInfo;
	const taken = await cli([
		...["fleet", "serve", "--store", h.store, "--port", String(port)],
		...["--data", join(h.dir, "data")],
	]);
	t.is(taken.code, 5);
	t.regex(taken.err, /E_BROKER/);
	await writeFile(join(h.dir, "power.duckdb"), "[]".repeat(5000));
	t.is((await cli(["fleet", "power", "--data", h.dir])).code, 6);
	const none = join(h.dir, "misspelt");
	for (const asks of ["power", "utterances"]) {
		const missing = await cli(["fleet", asks, "--data", none]);
		t.is(missing.code, 3, asks);
		t.regex(missing.err, /no power database in .*misspelt/);
	}
	await t.throwsAsync(access(none), { code: "ENOENT" });
});
