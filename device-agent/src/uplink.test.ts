import { createLog, systemClock } from "@wattvox/core";
import { Broker } from "@wattvox/fleet";
import { filter } from "@wattvox/link";
import test from "ava";
import { Uplink } from "./uplink.ts";

test("what was denied to an attempt that came to nothing is not held against the next", async (t) => {
	t.timeout(300_000);
	const may = { all: false };
	const broker = await Broker.start({
		port: 0,
		access: {
			...{ connect: () => true, publish: () => true },
			subscribe: (_, filter) => may.all || !filter.endsWith("/desired"),
		},
	});
	t.teardown(() => broker.stop());
	// a presence that nobody acknowledges, so the first attempt never is ready
	await broker.feed.subscribe(filter("presence"), () =>
		may.all ? undefined : new Promise(() => undefined),
	);
	let denied: () => void = () => undefined;
	let failed: () => void = () => undefined;
	let ready: () => void = () => undefined;
	const heard = {
		denied: new Promise<void>((resolve) => (denied = resolve)),
		failed: new Promise<void>((resolve) => (failed = resolve)),
		ready: new Promise<void>((resolve) => (ready = resolve)),
	};
	const log = createLog("uplink", { level: "silent" });
	// the attempt's end, and not the denial, is an error of its own
	log.warn = ((...said: unknown[]) => {
		if (typeof said[0] === "string") failed();
	}) as typeof log.warn;
	const broken = { connectTimeoutMs: 3000 };
	const uplink = new Uplink({
		broker: {
			url: broker.url,
			reconnectMs: { base: 20, max: 50 },
			get connectTimeoutMs() {
				return may.all ? 60_000 : broken.connectTimeoutMs;
			},
		},
		...{ fleet: "f", device: "d1", clock: systemClock, log },
		...{ onDesired: () => undefined, onRoots: () => undefined },
		onReady: () => ready(),
		onDenied: () => denied(),
	});
	t.teardown(() => uplink.stop());
	uplink.start();
	await heard.denied;
	t.is(uplink.denied?.code, "E_DENIED");
	await heard.failed;
	may.all = true;
	await heard.ready;
	t.is(uplink.denied, undefined);
});
