import { StoreServer } from "@wattvox/fleet";
import test from "ava";
import { fleet, reported, say } from "./_agent-fleet.test.ts";

test("a pull that never ends is cut and reported, speech goes on, and the voice comes when it can", async (t) => {
	const f = await fleet(t);
	const deadlines = { pull: 600_000 };
	const agent = await f.agent({ deadlines });
	const anna = await f.bundle("anna");
	await f.publish(anna.path);
	await agent.speaksWith(anna.digest);
	await f.server.stop();
	deadlines.pull = 100;
	const bert = await f.bundle("bert", { adapterSeed: 2 });
	await f.publish(bert.path);
	const { reason } = await reported(agent, (r) => r.reason !== undefined);
	t.is(reason?.code, "E_TIMEOUT");
	t.regex(reason?.message ?? "", /"pull" took more than 0\.1 s/);
	const { status, bundle } = await say(agent);
	t.is(status, 200);
	t.is(bundle, anna.digest);
	deadlines.pull = 600_000;
	const server = new StoreServer({ source: f.store, broker: { url: f.url } });
	await server.start();
	f.ends.push(() => server.stop());
	await agent.speaksWith(bert.digest);
	t.is((await say(agent)).bundle, bert.digest);
});
