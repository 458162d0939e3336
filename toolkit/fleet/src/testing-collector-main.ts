/**
 * A collector in a process of its own, for tests that kill it.
 *
 * argv: the power database's folder; the broker's address, or the port of one to start here; and when
 * the first batch stops for good: "writing" (received, not committed), "written" (committed, not
 * acknowledged) or "never". Over IPC it sends {url} once it listens, {received} with every report,
 * "stopped" when a batch stopped, and answers any message with the power table's total.
 */
import { Link } from "@wattvox/link";
import { Broker } from "./broker.ts";
import { Collector } from "./collector.ts";
import { powerStore } from "./power/open.ts";
import type { PowerPoint } from "./power/point.ts";
import { powerTable } from "./power-table.ts";

const [dir = "", where = "", stop = "never"] = process.argv.slice(2);
const tell = (message: unknown) => process.send?.(message);
const store = powerStore(dir);
await store.start();
const stopped = () => {
	tell("stopped");
	return new Promise<void>(() => undefined);
};
const write = async (points: readonly PowerPoint[]) => {
	if (stop === "writing") return stopped();
	await store.write(points);
	if (stop === "written") return stopped();
};
const own = /^\d+$/.test(where)
	? new Broker({ port: Number(where) })
	: undefined;
const link = new Link({
	...{ url: where, clientId: "collector", persistent: true },
	connectTimeoutMs: 60_000,
});
let received = 0;
const collector = new Collector({
	link: own?.feed ?? link,
	store: { write, writeUtterances: (batch) => store.writeUtterances(batch) },
	onPoint: () => tell({ received: ++received }),
});
await collector.start();
await (own ?? link).start();
process.on("message", async () => tell((await powerTable(store)).total));
process.once("disconnect", () => process.exit());
tell({ url: own?.url ?? where });
