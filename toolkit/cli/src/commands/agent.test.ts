import { join } from "node:path";
import { writeBundle, writeKeys } from "@wattvox/bundle";
import { temporaryDir } from "@wattvox/bundle/testing";
import { decode, Link, topic, zReported } from "@wattvox/link";
import { BASE_MEL } from "@wattvox/speech";
import { makeGolden, Voice } from "@wattvox/synth";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import test from "ava";
import { ask } from "../demo/ask.ts";
import { cli, service } from "../testing.ts";

test("serve, publish, and an agent that speaks it; then its status", async (t) => {
	const dir = await temporaryDir(t);
	const { key, privatePath, publicPath } = await writeKeys(dir, "fleet");
	const files = tinyVoice({ name: "ada", adapterSeed: 3 });
	const voice = await Voice.load(files);
	const golden = await makeGolden(voice, ["Hello."], BASE_MEL);
	await voice.dispose();
	const bundle = join(dir, "voice");
	const { digest } = await writeBundle(
		bundle,
		tinyBundle.sources(files, golden),
		tinyBundle.meta("ada"),
		key,
	);
	const store = join(dir, "store");
	const data = join(dir, "device");
	const server = service(
		[
			...["fleet", "serve", "--store", store, "--data", join(dir, "fleet")],
			...["--port", "0"],
		],
		t,
	);
	const [, broker = ""] = await server.host.says(/serving .* on (mqtt:\S+)/);
	const agent = service(
		[
			...["agent", "run", "--fleet", "home", "--device", "kitchen"],
			...["--data", data, "--trust", publicPath, "--port", "0"],
			...["--broker", broker],
		],
		t,
	);
	const [, url = ""] = await agent.host.says(/speaking on (http:\S+)/);
	const published = await cli([
		...["publish", bundle, "--store", store, "--key", privatePath],
		...["--fleet", "home", "--device", "kitchen", "--broker", broker],
	]);
	t.is(published.code, 0, published.err);
	const link = new Link({
		url: broker,
		clientId: "listener",
		connectTimeoutMs: 60_000,
	});
	await link.start();
	await new Promise<void>((resolve, reject) => {
		link
			.subscribe(topic("home", "kitchen", "reported"), (_, payload) => {
				const reported = decode(zReported, payload);
				if (reported?.state === "failed")
					reject(new Error(reported.reason?.message));
				if (reported?.bundle === digest && reported.state === "active")
					resolve();
			})
			.catch(reject);
	});
	await link.stop();
	const said = await ask(url, "Good morning.");
	t.is(said.sampleRate, 16000);
	t.true(said.samples.length > 2000);
	const status = await cli(["agent", "status", "--data", data, "--json"]);
	t.like(status.json, { running: true, reported: { bundle: digest } });
	agent.host.emit("SIGTERM");
	t.is(await agent.ended, 0);
	server.host.emit("SIGTERM");
	t.is(await server.ended, 0);
	t.regex(server.host.out, /kitchen/);
	const after = await cli(["agent", "status", "--data", data]);
	t.is(after.code, 0);
	t.regex(after.out, new RegExp(digest));
});

test("status where no agent ran exits 3", async (t) => {
	const { code, err } = await cli([
		...["agent", "status", "--data", await temporaryDir(t)],
	]);
	t.is(code, 3);
	t.regex(err, /E_FILE_MISSING/);
});

test("a build station needs the shim, and a key that is one", async (t) => {
	const dir = await temporaryDir(t);
	const { publicPath, privatePath } = await writeKeys(dir, "fleet");
	const run = [
		...["agent", "run", "--fleet", "home", "--device", "bench"],
		...["--data", join(dir, "agent"), "--trust", publicPath],
	];
	for (const more of [
		[],
		["--shim", join(dir, "shim.so"), "--builder-key", privatePath],
	]) {
		const pull = await cli([...run, "--pull-engines", ...more]);
		t.is(pull.code, 2);
		t.regex(pull.err, /--pull-engines needs --shim, and goes without/);
	}
	for (const more of [[], ["--shim", join(dir, "shim.so"), "--pull-engines"]]) {
		const wait = await cli([...run, "--wait-engines", "10", ...more]);
		t.is(wait.code, 2);
		t.regex(wait.err, /--wait-engines needs --shim, and goes without/);
	}
	const bare = await cli([...run, "--builder-key", privatePath]);
	t.is(bare.code, 2);
	t.regex(bare.err, /--builder-key needs --shim/);
	const none = await cli([
		...[...run, "--shim", join(dir, "shim.so"), "--builder-key", publicPath],
		...["--broker", "mqtt://127.0.0.1:9"],
	]);
	t.is(none.code, 4, none.err);
	t.regex(none.err, /E_KEY/);
});
