import { join } from "node:path";
import { newKey, trustKeys, writeBundle } from "@wattvox/bundle";
import { sampleFiles, sampleMeta, temporaryDir } from "@wattvox/bundle/testing";
import { Broker, openStore, publish } from "@wattvox/fleet";
import test from "ava";
import { cli } from "../testing.ts";

test("store list and remove: a dry run, a refusal while a device is told to run it, and by force", async (t) => {
	t.timeout(240_000);
	const root = await temporaryDir(t);
	const at = (name: string) => join(root, name);
	const [key, store, bundle] = [newKey(), at("store"), at("bundle")];
	const meta = sampleMeta("ada");
	const { digest } = await writeBundle(bundle, sampleFiles(), meta, key);
	await openStore(store).put(bundle, trustKeys([key.publicKey]));
	const broker = await Broker.start({ port: 0 });
	t.teardown(() => broker.stop());
	const { url } = broker;
	const where = ["--store", store, "--json"];
	const remove = (...more: string[]) =>
		cli([
			...["store", "remove", digest.slice(0, 12), ...where],
			...["--broker", url, "--data", at("data"), ...more],
		]);
	const listed = await cli(["store", "list", ...where]);
	t.is(listed.code, 0, listed.err);
	t.like((listed.json as object[])[0], { digest, voice: "ada" });
	const shown = await cli(["store", "list", "--store", store]);
	t.regex(shown.out, new RegExp(`^${digest.slice(0, 16)} +ada `, "m"));

	await publish(bundle, openStore(store), {
		...{ fleet: "home", devices: ["kitchen"], key, broker: { url } },
	});
	const dry = await remove("--dry-run");
	t.is(dry.code, 0, dry.err);
	t.like(dry.json, { removed: false, bundles: [digest], devices: 1 });
	t.like((dry.json as { uses: object[] }).uses[0], {
		by: "device home/kitchen",
	});
	const refused = await remove();
	t.is(refused.code, 6);
	t.regex(refused.out + refused.err, /E_BUSY.*device home\/kitchen/);
	t.deepEqual(await openStore(store).bundles(), [digest]);
	const forced = await remove("--force");
	t.is(forced.code, 0, forced.err);
	t.like(forced.json, { removed: true, uses: null, devices: null });
	t.deepEqual(await openStore(store).bundles(), []);
	t.is((await remove("--force")).code, 3, "there is none any more");
	const empty = await cli(["store", "list", "--store", store]);
	t.regex(empty.out, /holds no bundles/);
});
