import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { Broker } from "@wattvox/fleet";
import { decode, Link, topic, zReported } from "@wattvox/link";
import test from "ava";
import { fleet, listen, reported } from "./_agent-fleet.test.ts";
import { diagnose } from "./doctor.ts";
import { formatStatus, readStatus } from "./status.ts";

test("a device that may not hear what is desired reports so, and obeys once it may", async (t) => {
	const house = await fleet(t);
	const may = { desired: false };
	const broker = await Broker.start({
		port: 0,
		access: {
			...{ connect: () => true, publish: () => true },
			subscribe: (id, filter) =>
				id !== "d1" || may.desired || !filter.endsWith("/desired"),
		},
	});
	house.ends.push(() => broker.stop());
	const hub = new Link({ url: broker.url, clientId: "hub" });
	await hub.start();
	house.ends.push(() => hub.stop());
	const heard = new Promise<string>((resolve, reject) => {
		hub
			.subscribe(topic("f", "d1", "reported"), (_, payload) => {
				const code = decode(zReported, payload)?.reason?.code;
				if (code) resolve(code);
			})
			.catch(reject);
	});
	const agent = await house.agent({
		broker: {
			url: broker.url,
			reconnectMs: { base: 20, max: 100 },
			deniedMs: { base: 50, max: 200 },
		},
	});
	const said = await reported(agent, (r) => r.reason !== undefined);
	t.is(said.reason?.code, "E_DENIED");
	t.is(said.state, "idle");
	t.is(await heard, "E_DENIED", "on the broker too");
	may.desired = true;
	await reported(agent, (r) => r.reason === undefined);
	const name = topic("f", "d1", "desired");
	await hub.publish(name, Buffer.from("nonsense"), { qos: 1, retain: true });
	await reported(agent, (r) => r.reason !== undefined);
});

test("a device that may not tell its power says so, keeps its readings, and tells them once it may", async (t) => {
	const house = await fleet(t);
	const closed = new Set(["power", "presence"]);
	const broker = await Broker.start({
		port: 0,
		access: {
			...{ connect: () => true, subscribe: () => true },
			publish: (id, name) =>
				id !== "d1" || !closed.has(name.split("/").at(-1) ?? ""),
		},
	});
	house.ends.push(() => broker.stop());
	const heard = await listen(broker.url, house.ends);
	const dataDir = join(house.dir, "d1");
	const agent = await house.agent({
		broker: {
			url: broker.url,
			reconnectMs: { base: 20, max: 100 },
			deniedMs: { base: 50, max: 200 },
			connectTimeoutMs: 60_000,
		},
		dataDir,
		powerEveryMs: 3_600_000,
	});
	const denials = () => agent.status().denied?.map((d) => d.kind) ?? [];
	await reported(agent, () => denials().length === 2);
	t.deepEqual(denials().sort(), ["power", "presence"]);
	t.is(agent.status().reported.reason?.code, "E_DENIED");
	// who stands beside it finds that too
	const written = async () => formatStatus(await readStatus(dataDir));
	while (!/^denied +power \(E_DENIED: /m.test(await written()))
		await setImmediate();
	const { findings } = await diagnose({ dataDir });
	t.regex(
		findings.find((f) => f.what === "topics")?.found ?? "",
		/^E_DENIED: .*power: the broker does not let this client publish/,
	);
	t.deepEqual(heard.power, []);
	closed.clear();
	await reported(agent, () => denials().length === 0);
	await heard.until(() => heard.power.length > 0);
	t.is(agent.status().reported.reason, undefined);
});
