import { Broker } from "@wattvox/fleet";
import { decode, Link, topic, zReported } from "@wattvox/link";
import test from "ava";
import { fleet, reported } from "./_agent-fleet.test.ts";

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
