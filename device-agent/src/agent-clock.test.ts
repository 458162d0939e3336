import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newKey, publicPem, trustKeys } from "@wattvox/bundle";
import { createLog, systemClock } from "@wattvox/core";
import { Broker } from "@wattvox/fleet";
import { encodeDesired, Link, topic } from "@wattvox/link";
import { AUTHORITY, issue, SERVER } from "@wattvox/link/testing";
import test from "ava";
import { Agent } from "./agent.ts";
import { diagnose } from "./doctor.ts";

// Certificates and signed times are of the 2040s, so that to them this machine's clock, which TLS asks
// and no test can move, is what a board's of 1970 is today.
test("a board whose clock is decades behind reaches its broker by TLS, and learns what time it is", async (t) => {
	t.timeout(120_000);
	const dir = await mkdtemp(join(tmpdir(), "wattvox-clock-"));
	const years: [number, number] = [2040, 2050];
	const [at, extensions] = [join(dir, "ca"), AUTHORITY];
	const authority = await issue({ dir: at, years, extensions });
	const server = await issue({
		...{ dir: join(dir, "server"), years, by: authority },
		extensions: SERVER,
	});
	const { cert, key } = server;
	const broker = await Broker.start({ port: 0, tls: { cert, key } });
	const access = { url: broker.url, tls: { ca: authority.cert } };
	const signer = newKey();
	const dataDir = join(dir, "kitchen");
	const floors = join(dataDir, "floors.json");
	const keys = { [signer.id]: { revision: 1, at: "2042-06-01T00:00:00Z" } };
	await mkdir(dataDir);
	await writeFile(floors, JSON.stringify({ v: 1, keys }));
	const agent = new Agent({
		...{ broker: access, fleet: "home", device: "kitchen", dataDir, port: 0 },
		trust: trustKeys([signer.publicKey]),
		log: createLog("agent", { level: "silent" }),
	});
	const fleet = new Link({
		...{ ...access, clientId: "fleet" },
		timeFloor: () => Date.UTC(2042, 0, 1),
	});
	t.teardown(async () => {
		await agent.stop();
		await fleet.stop();
		await broker.stop();
		await rm(dir, { recursive: true, force: true });
	});
	await agent.start();
	await fleet.start();
	const wish = {
		...{ v: 1 as const, fleet: "home", device: "kitchen", revision: 2 },
		...{ bundle: "a".repeat(64), store: "store", at: "2043-01-01T00:00:00Z" },
	};
	await fleet.publish(
		topic("home", "kitchen", "desired"),
		encodeDesired(wish, signer),
		{ qos: 1, retain: true },
	);
	while (!(await readFile(floors, "utf8")).includes("2043-01-01"))
		await systemClock.sleep(10);
	t.true(agent.status().connected);
	const pub = join(dir, "fleet.pub");
	await writeFile(pub, publicPem(signer.publicKey));
	const look = async (folder: string) => {
		const { findings } = await diagnose({
			...{ dataDir: folder, trust: [pub], broker: access, device: "kitchen" },
		});
		return Object.fromEntries(findings.map((f) => [f.what, f]));
	};
	const found = await look(dataDir);
	t.regex(found.clock?.found ?? "", /^E_CLOCK: .* 2043-01-01/);
	t.regex(found.broker?.found ?? "", /^answers in/);
});
